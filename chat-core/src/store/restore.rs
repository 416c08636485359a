//! Moving whole logs from one store to another: an optional power of a store.
//!
//! A log is moved as it is kept, not as it was written: what was deleted stays deleted, what was trimmed stays trimmed,
//! and what nobody can tell from the entries any more (members who joined in what was trimmed, read marks, display names) comes along.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use chat_core::{memory::MemoryStore, store::{Restore, copy_log}};
//!
//! let (from, to) = (MemoryStore::new(), MemoryStore::new());
//! for room in from.logs(None, 100).await? {
//!     copy_log(&from, &to, room, |entries| println!("{entries} more")).await?;
//! }
//! # Ok::<(), chat_core::StoreError>(()) }).unwrap();
//! ```

use std::sync::Arc;

use async_trait::async_trait;

use super::{Store, StoreError, StoreErrorKind};
use crate::model::{Body, BodyHash, Entry, Folded, Member, Page, RoomId, RoomRecord, Seq, Timestamp, UserId};

/// How many entries, members or marks are moved at once: the most that a page of members has.
const PAGE: u16 = Page::LIMIT_MAX;

/// Is one position of a log, with all that a store keeps of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The entry as [`LogStore::read`](super::LogStore::read) gives it.
    pub entry: Entry,
    /// The fingerprint that a retry is compared with; `None` once the body was blanked.
    pub hash: Option<BodyHash>,
    /// What history shows, if a later entry has changed it.
    pub shown: Option<(Body, Box<Folded>)>,
}

/// Is where a log stands, and what it has made of its room.
#[derive(Clone, Debug, PartialEq)]
pub struct LogState {
    /// The room.
    pub room: RoomRecord,
    /// The last position.
    pub head: Seq,
    /// The position of the last entry that took a right away.
    pub guard: Seq,
    /// The first position that is read.
    pub first: Seq,
    /// The highest time in a key that was trimmed away, in ms; `None` when nothing was trimmed.
    pub trimmed_ms: Option<i64>,
    /// When the last entry was committed.
    pub active: Timestamp,
}

/// Is a part of a log to be put where it is not yet.
#[derive(Clone, Debug)]
pub struct Part {
    /// How the whole log stands, and not only this part.
    pub state: LogState,
    /// What follows what is there, in order. What is there already is passed over.
    pub entries: Vec<Kept>,
    /// Members, who stay as they are if they are members already.
    pub members: Vec<Member>,
}

impl Part {
    /// Returns the entries that follow `head`, where the log ends by now. It is an error if they do not follow it.
    pub fn after(&self, head: Seq) -> Result<&[Kept], StoreError> {
        let fresh = &self.entries[self.entries.partition_point(|kept| kept.entry.seq <= head)..];
        let mut last = head;
        for Kept { entry, .. } in fresh {
            // After the creation comes what was not trimmed.
            let follows = entry.seq == last.next() || (last == Seq::FIRST && entry.seq == self.state.first);
            if !follows || entry.room != self.state.room.id {
                let hole = format!("restore position {} after {last}", entry.seq);
                return Err(StoreError::new(StoreErrorKind::Corrupt, hole));
            }
            last = entry.seq;
        }
        if last == Seq::ZERO {
            return Err(StoreError::new(StoreErrorKind::Corrupt, "restore a log without its creation"));
        }
        Ok(fresh)
    }
}

/// Gives logs away as they are kept, and takes them.
///
/// # Contract
///
/// Nobody else writes to a log while it is given away or taken: what is given then fits together. A log that was taken
/// whole is the same log: its cursors, its keys and its guard go on. One that was taken in part is not to be used yet.
#[async_trait]
pub trait Restore: Store {
    /// Lists the rooms that have a log, inboxes too, by id, at most `limit` after this one.
    ///
    /// # Behavior
    /// * `logs_are_listed_by_id`: each once, and in pages.
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError>;

    /// Returns how a log stands; `None` when there is no such room.
    ///
    /// # Behavior
    /// * `a_state_is_as_of_the_last_entry`: also right after it was appended.
    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError>;

    /// Reads what is kept after a position, at most `limit` entries: the creation, even where it is trimmed, and what is not.
    ///
    /// # Behavior
    /// * `what_is_kept_is_given`: with fingerprints and what later entries did, in pages.
    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError>;

    /// Lists read marks in a room by user id, at most `limit` after this user.
    ///
    /// # Behavior
    /// * `read_marks_are_listed_by_user_id`: of members and others, and none at 0.
    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError>;

    /// Puts a part of a log where it stood in another store. A log is taken in order, from its creation on, then its members;
    /// marks come last, by [`RoomStore::mark`](super::RoomStore::mark).
    ///
    /// # Behavior
    /// * `a_restored_log_is_the_same`: whatever is read of it.
    /// * `a_trimmed_log_is_restored`: with the members and the guard that follow from nothing that is kept.
    /// * `a_restored_log_goes_on`: keys stay known, the guard holds, messages can be edited, members can leave.
    /// * `a_restored_retry_is_known_by_what_was_sent`: hashes are kept as they are, not made of the bodies.
    /// * `restoring_twice_changes_nothing`: what was cut off is repeated, or goes on where it stopped.
    /// * `what_does_not_follow_is_refused`: and nothing changes.
    async fn restore(&self, part: &Part) -> Result<(), StoreError>;
}

#[async_trait]
impl<T: Restore + ?Sized> Restore for Arc<T> {
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        (**self).logs(after, limit).await
    }
    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError> {
        (**self).state(room).await
    }
    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError> {
        (**self).kept(room, after, limit).await
    }
    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError> {
        (**self).marks(room, after, limit).await
    }
    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        (**self).restore(part).await
    }
}

/// Copies a log to a store that has none of it, or the beginning of it, and tells how many entries each step has added.
pub async fn copy_log(
    from: &dyn Restore,
    to: &dyn Restore,
    room: RoomId,
    mut progress: impl FnMut(u64) + Send,
) -> Result<(), StoreError> {
    let Some(state) = from.state(room).await? else { return Ok(()) };
    let part = |entries, members| Part { state: state.clone(), entries, members };
    let mut after = to.state(room).await?.map_or(Seq::ZERO, |there| there.head);
    loop {
        let entries = from.kept(room, after, PAGE).await?;
        let Some(last) = entries.last() else { break };
        after = last.entry.seq;
        let count = entries.len() as u64;
        to.restore(&part(entries, Vec::new())).await?;
        progress(count);
    }
    let mut page = Page::newest(PAGE);
    loop {
        let members = from.members(room, &page).await?;
        let Some(last) = members.last() else { break };
        page = page.after_user(last.user.clone());
        to.restore(&part(Vec::new(), members)).await?;
    }
    let mut after = None;
    loop {
        let marks = from.marks(room, after.as_ref(), PAGE).await?;
        let Some((last, _)) = marks.last() else { break };
        after = Some(last.clone());
        for (user, read) in &marks {
            to.mark(user, room, *read).await?;
        }
    }
    Ok(())
}
