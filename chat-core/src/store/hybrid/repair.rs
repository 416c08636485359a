//! Putting rooms and messages right, each where it is kept.

use async_trait::async_trait;

use super::Hybrid;
use crate::{
    model::Entry,
    store::{Projected, Repair, StoreError},
};

#[async_trait]
impl<L: Repair, R: Repair> Repair for Hybrid<L, R> {
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError> {
        self.rooms.set_room(room).await
    }

    async fn set_message(&self, message: &Entry) -> Result<(), StoreError> {
        self.log.set_message(message).await
    }
}
