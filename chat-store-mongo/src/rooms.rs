//! The port that reads the projection of the logs.

use async_trait::async_trait;
use chat_core::{
    Entry, Member, Page, RoomId, RoomStore, RoomSummary, Seq, StoreError, UserId,
    store::{Access, Listing},
};

use crate::MongoStore;

#[async_trait]
impl RoomStore for MongoStore {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        self.0.access(room, user).await
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.0.members(room, page).await
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        self.0.list(which, page).await
    }

    async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        self.0.memberships(user, rooms_max).await
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.0.mark(user, room, read).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.0.project(entries).await
    }
}
