//! The port that keeps the logs.

use async_trait::async_trait;
use chat_core::{
    Entry, LogStore, Page, RoomId, Seq, StoreError, UserId,
    store::{Append, Head, Outcome, Tail},
};
use futures::future::try_join_all;

use crate::MongoStore;

#[async_trait]
impl LogStore for MongoStore {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        try_join_all(batch.iter().map(|share| self.0.append(share))).await
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

    async fn tails(&self, user: Option<&UserId>, after: &[(RoomId, Seq)]) -> Result<Vec<Tail>, StoreError> {
        try_join_all(after.iter().map(|(room, after)| self.0.tail(user, *room, *after))).await
    }
}
