//! Finding and forgetting people: an optional port, for stores that hold people who may ask for it.

use std::sync::Arc;

use async_trait::async_trait;

use super::{LogStore, Store, StoreError};
use crate::model::{Entry, Page, Person, RoomId, Seq, UserId};

/// Finds what is stored of a person, and forgets who they were.
///
/// It does not take texts away: those are blanked by entries, as everything that happens to a message. See
/// [`people`](crate::people) for the order in which a person is erased.
#[async_trait]
pub trait PeopleStore: Send + Sync {
    /// Returns a person that the store knows: somebody who wrote, was a member, or read.
    ///
    /// # Behavior
    /// * `a_person_is_known_by_the_latest_name`: by their id while none was seen; `None` for a stranger.
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError>;

    /// Returns the rooms in which something is stored of a user, in the order of their ids: those after one, at most
    /// `limit`.
    ///
    /// # Behavior
    /// * `rooms_of_a_person_are_found`: where they wrote, are a member, or have a read mark; inboxes, too.
    /// * `rooms_that_only_name_a_person_are_found`: where they were a member once, and never wrote.
    /// * `rooms_of_a_person_come_in_pages`.
    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError>;

    /// Puts the stand-in where entries of a room [name](crate::Body::names) the user, blanks the hashes of those, and
    /// drops the user's membership and read mark there.
    ///
    /// # Behavior
    /// * `a_forgotten_person_is_named_no_more_in_the_room`: and their keys there are answered as before.
    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError>;

    /// Makes the stand-in the author of everything that the user wrote, forgets the display name, and drops the user's
    /// inbox. The last step: afterwards nothing says that there was such a user, and nothing that was deleted
    /// can be found in the store's files by those who read them.
    ///
    /// # Behavior
    /// * `a_forgotten_person_is_a_stranger`: the positions of what they wrote stay, under the stand-in.
    /// * `a_forgotten_person_may_come_back`: as somebody new, with an inbox of their own.
    /// * `what_others_sent_is_known_as_before`: only entries that named the user have no hash any more.
    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError>;
}

/// Is a store whose people can be exported and erased.
pub trait Personal: Store + PeopleStore {}

impl<T: Store + PeopleStore + ?Sized> Personal for T {}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: PeopleStore + ?Sized> PeopleStore for $pointer<T> {
            async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
                (**self).person(user).await
            }
            async fn rooms_of(
                &self,
                user: &UserId,
                after: Option<RoomId>,
                limit: u16,
            ) -> Result<Vec<RoomId>, StoreError> {
                (**self).rooms_of(user, after, limit).await
            }
            async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
                (**self).forget_in(room, user, stand_in).await
            }
            async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
                (**self).forget(user, stand_in).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);

/// Looks through the log for the edits of a message.
pub(super) async fn edits_by_scan<S: LogStore + ?Sized>(
    store: &S,
    room: RoomId,
    target: Seq,
    after: Seq,
    limit: u16,
) -> Result<Vec<Entry>, StoreError> {
    let mut at = target.max(after);
    let mut found = Vec::new();
    loop {
        let page = store.read(room, at, Page::LIMIT_MAX).await?;
        let whole = page.len() < usize::from(Page::LIMIT_MAX);
        at = page.last().map_or(at, |last| last.seq);
        found.extend(page.into_iter().filter(|entry| entry.edits(target)));
        if whole || found.len() >= limit.into() {
            found.truncate(limit.into());
            return Ok(found);
        }
    }
}
