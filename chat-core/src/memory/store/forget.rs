//! Finding and forgetting people.

use async_trait::async_trait;

use super::MemoryStore;
use crate::{
    model::{Person, RoomId, UserId},
    store::{PeopleStore, StoreError},
};

#[async_trait]
impl PeopleStore for MemoryStore {
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        Ok(self.people.lock().get(user))
    }

    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        let rooms: Vec<_> = self.rooms.read().iter().map(|(id, room)| (*id, room.clone())).collect();
        let later = rooms.into_iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        let found = later.filter(|(_, room)| {
            let room = room.lock();
            room.log.knows(user) || room.projection.as_ref().is_some_and(|projection| projection.knows(user))
        });
        Ok(found.map(|(id, _)| id).take(limit.into()).collect())
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        if let Some(room) = self.room(room) {
            let mut room = room.lock();
            room.log.disguise(user, stand_in);
            if let Some(projection) = &mut room.projection {
                projection.forget(user);
            }
        }
        Ok(())
    }

    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        let inbox = RoomId::inbox(user);
        self.rooms.write().remove(&inbox);
        self.feeds.lock().gone(inbox);
        let rooms: Vec<_> = self.rooms.read().values().cloned().collect();
        for room in rooms {
            let mut room = room.lock();
            room.log.give(user, stand_in);
            if let Some(projection) = &mut room.projection {
                projection.forget(user);
            }
        }
        self.people.lock().forget(user);
        Ok(())
    }
}
