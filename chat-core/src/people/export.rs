//! Handing out what is held of a person.

use serde::Serialize;

use super::trace::{Walk, concerns, rooms};
use crate::{
    model::{Entry, Member, Page, Person, RoomRecord, Seq, UserId},
    store::{Listing, Personal, StoreError},
};

/// Is one line of an export, as JSON: its `type` says what it is.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Line {
    /// `person`: the id and the latest display name seen. The first line.
    Person(Person),
    /// `room`: a room in which something of theirs is stored; what follows, up to the next, is of it.
    Room {
        /// The room.
        room: Box<RoomRecord>,
        /// Their membership, if they are a member.
        #[serde(skip_serializing_if = "Option::is_none")]
        member: Option<Member>,
        /// How far they have read.
        read: Seq,
    },
    /// `entry`: what they wrote, as they wrote it (messages, edits, reactions, joins), or what names them.
    Entry(Box<Entry>),
}

/// Hands out everything that is stored of a user, line by line: as it is read, and no more than a page at a time. Returns
/// how many lines there were; none for a stranger.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use chat_core::{UserId, memory::MemoryStore, people};
/// let mut out = Vec::new();
/// let lines = people::export(&MemoryStore::new(), &UserId::new("ann").unwrap(), |line| out.push(line)).await.unwrap();
/// assert_eq!((lines, out.len()), (0, 0));
/// # });
/// ```
pub async fn export<S: Personal + ?Sized>(
    store: &S,
    user: &UserId,
    mut line: impl FnMut(Line),
) -> Result<u64, StoreError> {
    let Some(person) = store.person(user).await? else { return Ok(0) };
    line(Line::Person(person));
    let mut lines = 1;
    let mut after = None;
    loop {
        let page = rooms(store, user, after).await?;
        let Some(last) = page.last().copied() else { return Ok(lines) };
        for room in page {
            let one = Listing::One(room, user.clone());
            for summary in store.rooms(&one, &Page::newest(1)).await? {
                let (room, member, read) = (Box::new(summary.room), summary.member, summary.read);
                line(Line::Room { room, member, read });
                lines += 1;
            }
            let mut walk = Walk::through(room);
            while let Some(entries) = walk.page(store).await? {
                for entry in entries.into_iter().filter(|entry| concerns(entry, user)) {
                    line(Line::Entry(Box::new(entry)));
                    lines += 1;
                }
            }
        }
        after = Some(last);
    }
}
