//! Finding and forgetting people, in both stores.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::Hybrid;
use crate::{
    model::{Person, RoomId, UserId},
    store::{PeopleStore, StoreError},
};

#[async_trait]
impl<L: PeopleStore, R: PeopleStore> PeopleStore for Hybrid<L, R> {
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        match self.rooms.person(user).await? {
            None => self.log.person(user).await,
            person => Ok(person),
        }
    }

    /// What was written is in the one, who is a member and has read what is in the other.
    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        let mut rooms: BTreeSet<_> = self.log.rooms_of(user, after, limit).await?.into_iter().collect();
        rooms.extend(self.rooms.rooms_of(user, after, limit).await?);
        Ok(rooms.into_iter().take(limit.into()).collect())
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.log.forget_in(room, user, stand_in).await?;
        self.rooms.forget_in(room, user, stand_in).await
    }

    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.log.forget(user, stand_in).await?;
        self.rooms.forget(user, stand_in).await
    }
}
