//! Giving logs away, and taking them.

use async_trait::async_trait;

use super::Hybrid;
use crate::{
    model::{RoomId, Seq, UserId},
    store::{Feed, Kept, LogState, Part, Restore, Store, StoreError, StoreErrorKind},
};

#[async_trait]
impl<L: Restore + Feed, R: Restore> Restore for Hybrid<L, R>
where
    Self: Store,
{
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        self.log.logs(after, limit).await
    }

    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError> {
        self.log.state(room).await
    }

    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError> {
        self.log.kept(room, after, limit).await
    }

    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError> {
        self.rooms.marks(room, after, limit).await
    }

    /// Takes what can be projected: of a trimmed log the rooms could not be told.
    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        if part.state.first > Seq::FIRST {
            return Err(StoreError::new(StoreErrorKind::Unsupported, "restore a trimmed log into two stores"));
        }
        self.log.restore(part).await?;
        self.catch_up_in(part.state.room.id, part.state.head).await.map(drop)
    }
}
