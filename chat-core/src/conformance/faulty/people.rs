//! People of a faulty store: they are found and forgotten as they are without the faults.

use async_trait::async_trait;

use super::{FaultyStore, StoreFault};
use crate::{
    model::{Person, RoomId, UserId},
    store::{PeopleStore, Personal, StoreError},
};

#[async_trait]
impl<S: Personal, F: StoreFault> PeopleStore for FaultyStore<S, F> {
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        self.inner.person(user).await
    }

    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        self.inner.rooms_of(user, after, limit).await
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.inner.forget_in(room, user, stand_in).await
    }

    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.inner.forget(user, stand_in).await
    }
}
