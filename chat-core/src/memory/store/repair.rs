//! Putting right what was made of the logs.

use async_trait::async_trait;

use super::MemoryStore;
use crate::{
    model::Entry,
    store::{Projected, Repair, StoreError},
};

#[async_trait]
impl Repair for MemoryStore {
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError> {
        let place = self.rooms.write().entry(room.record.id).or_default().clone();
        place.lock().set(room, &mut self.people.lock())
    }

    async fn set_message(&self, message: &Entry) -> Result<(), StoreError> {
        if let Some(room) = self.room(message.room) {
            room.lock().log.show(message);
        }
        Ok(())
    }
}
