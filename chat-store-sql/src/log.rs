//! The port that keeps the logs.

use async_trait::async_trait;
use chat_core::{
    Entry, LogStore, Page, RoomId, Seq, StoreError,
    store::{Append, Head, Outcome},
};

use crate::SqlStore;

#[async_trait]
impl LogStore for SqlStore {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.0.append(batch).await
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.0.read(room, after, limit).await
    }

    async fn edits(&self, room: RoomId, target: Seq, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.0.edits(room, target, after, limit).await
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.0.history(room, page).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.0.heads(rooms).await
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.0.trim(room, through).await
    }
}
