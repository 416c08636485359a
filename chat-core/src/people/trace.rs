//! Going through what is stored of a person.

use crate::{
    model::{Entry, RoomId, Seq, UserId},
    store::{Personal, StoreError},
};

/// How many rooms or entries are read at once: as long as a client's longest page.
const PAGE: u16 = crate::Page::LIMIT_MAX;

/// Returns the next rooms in which something is stored of a user.
pub(super) async fn rooms<S: Personal + ?Sized>(
    store: &S,
    user: &UserId,
    after: Option<RoomId>,
) -> Result<Vec<RoomId>, StoreError> {
    store.rooms_of(user, after, PAGE).await
}

/// Is a walk through a room's log.
pub(super) struct Walk {
    room: RoomId,
    at: Option<Seq>,
}

impl Walk {
    pub(super) fn through(room: RoomId) -> Self {
        Self { room, at: Some(Seq::ZERO) }
    }

    /// Returns the next page; `None` at the end.
    pub(super) async fn page<S: Personal + ?Sized>(&mut self, store: &S) -> Result<Option<Vec<Entry>>, StoreError> {
        let Some(at) = self.at else { return Ok(None) };
        let page = store.read(self.room, at, PAGE).await?;
        self.at = page.last().map(|last| last.seq).filter(|_| page.len() == usize::from(PAGE));
        Ok(Some(page))
    }
}

/// Tells whether an entry was written by a user or names them.
pub(super) fn concerns(entry: &Entry, user: &UserId) -> bool {
    entry.author == *user || entry.body.names(user)
}
