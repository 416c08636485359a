//! The hub of this process: the chat as one user has it, without a socket between.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    hub::{Event, GapReason, Hub, Room},
    model::{Cursor, Entry, Identity, Key, Member, Page, RoomId, RoomSpec, RoomSummary, Seq, UserId},
    protocol::{HubError, Which},
};

/// Is the chat as one user of this node has it.
#[derive(Clone, Debug)]
pub struct LocalHub {}

/// Is what a client without a connection missed in one room.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CatchUp {
    /// The entries after the cursor, oldest first, as they were written.
    pub entries: Vec<Entry>,
    /// Positions that will not come, and why.
    pub gap: Option<(Seq, Seq, GapReason)>,
    /// The cursor is not of this log: forget the room and begin anew.
    pub reset: bool,
    /// There is more after the last entry.
    pub more: bool,
}

impl LocalHub {
    #[allow(dead_code)]
    pub(crate) fn new(_identity: Identity) -> Self {
        Self {}
    }

    /// Creates a room under a key, so that the same request again answers the same room.
    pub async fn create_under(&self, _key: Key, _spec: RoomSpec) -> Result<Arc<dyn Room>, HubError> {
        unimplemented!("the engine follows")
    }

    /// Returns a handle to a room without asking anything: every use of it is judged.
    pub fn handle(&self, _room: RoomId) -> Arc<dyn Room> {
        unimplemented!("the engine follows")
    }

    /// Lists rooms.
    pub async fn list(&self, _which: Which, _page: Page) -> Result<Vec<RoomSummary>, HubError> {
        unimplemented!("the engine follows")
    }

    /// Reads what a follower at `cursor` would be sent.
    pub async fn catch_up(&self, _cursor: Cursor, _limit: u16) -> Result<CatchUp, HubError> {
        unimplemented!("the engine follows")
    }

    /// Returns one room as a list shows it.
    pub async fn summary(&self, _room: RoomId) -> Result<RoomSummary, HubError> {
        unimplemented!("the engine follows")
    }

    /// Lists members, each with whether they are online.
    pub async fn members_online(&self, _room: RoomId, _page: Page) -> Result<Vec<(Member, bool)>, HubError> {
        unimplemented!("the engine follows")
    }
}

#[async_trait]
impl Hub for LocalHub {
    async fn create(&self, _: RoomSpec) -> Result<Arc<dyn Room>, HubError> {
        unimplemented!("the engine follows")
    }
    async fn room(&self, _: RoomId) -> Result<Arc<dyn Room>, HubError> {
        unimplemented!("the engine follows")
    }
    fn direct(&self, _: &UserId) -> Arc<dyn Room> {
        unimplemented!("the engine follows")
    }
    async fn rooms(&self, _: Page) -> Result<Vec<RoomSummary>, HubError> {
        unimplemented!("the engine follows")
    }
    fn events(&self, _: Vec<Cursor>) -> BoxStream<'static, Event> {
        unimplemented!("the engine follows")
    }
}
