//! Giving logs away and taking them.

use std::ops::Bound;

use async_trait::async_trait;

use super::MemoryStore;
use crate::{
    model::{RoomId, Seq, UserId},
    store::{Kept, LogState, Part, Restore, StoreError},
};

#[async_trait]
impl Restore for MemoryStore {
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rooms = self.rooms.read();
        let logs = rooms.range((after, Bound::Unbounded)).filter(|(_, room)| room.lock().log.head().is_some());
        Ok(logs.map(|(id, _)| *id).take(limit.into()).collect())
    }

    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError> {
        Ok(self.room(room).and_then(|room| room.lock().state()))
    }

    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError> {
        let mut kept = self.room(room).map(|room| room.lock().log.kept(after, limit)).unwrap_or_default();
        let people = self.people.lock();
        for Kept { entry, .. } in &mut kept {
            entry.name = people.name(&entry.author);
        }
        Ok(kept)
    }

    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError> {
        Ok(self.room(room).map(|room| room.lock().marks(after, limit)).unwrap_or_default())
    }

    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        let id = part.state.room.id;
        part.after(self.state(id).await?.map_or(Seq::ZERO, |state| state.head))?; // before the room has a place
        let room = self.rooms.write().entry(id).or_default().clone();
        let mut room = room.lock();
        room.restore(part, &mut self.people.lock())?;
        self.feeds.lock().moved(id);
        Ok(())
    }
}
