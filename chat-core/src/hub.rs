//! What applications, REST handlers and bots program against.
//!
//! [`Hub`] is the chat as one user has it, [`Room`] one room of it. There are two implementations: the engine's own
//! ([`Engine::hub`](crate::Engine::hub)) and the WebSocket client, so the same code runs inside the server and outside.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    model::{Cursor, Draft, Entry, EntryId, Member, Page, RoomId, RoomSpec, RoomSummary, Seq, UserId},
    protocol::{Code, HubError, Outgoing, Signal},
};

/// Says what became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Posted {
    /// It is in the log.
    Stored {
        /// At this position.
        seq: Seq,
        /// Under this id.
        id: EntryId,
    },
    /// It was a command, which is carried out and not stored.
    Accepted,
}

/// Says from where to receive a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// What comes from now on.
    Head,
    /// Everything that is kept and may be read.
    Oldest,
    /// What comes after this.
    After(Cursor),
}

/// Says why positions are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapReason {
    /// They are not kept any more.
    Retention,
    /// They are not for this user.
    NotVisible,
}

/// Is something that happens in a room.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An entry, in order, once.
    Entry(Arc<Entry>),
    /// Something that is never stored.
    Signal(Signal),
    /// These positions will not come.
    Gap {
        /// The room.
        room: RoomId,
        /// The first missing position.
        from: Seq,
        /// The last missing position.
        to: Seq,
        /// Why.
        why: GapReason,
    },
    /// The cursor is not of this log: forget what you have of the room and begin anew.
    Reset(RoomId),
    /// Entries of this room come from now on, after this position.
    Followed {
        /// The room.
        room: RoomId,
        /// The position after which entries come.
        head: Seq,
    },
    /// Entries of this room come no more.
    Unfollowed {
        /// The room.
        room: RoomId,
        /// Why.
        why: Code,
    },
    /// The stream ends; this is its last item.
    Closed(HubError),
}

/// Is the chat as one user has it.
#[async_trait]
pub trait Hub: Send + Sync {
    /// Creates a room, or returns the one that already has this name.
    async fn create(&self, spec: RoomSpec) -> Result<Arc<dyn Room>, HubError>;

    /// Returns a room that the user may read.
    async fn room(&self, id: RoomId) -> Result<Arc<dyn Room>, HubError>;

    /// Returns the private room with another user. No I/O: the first post creates it.
    fn direct(&self, with: &UserId) -> Arc<dyn Room>;

    /// Lists the user's rooms, the most recently active first.
    async fn rooms(&self, page: Page) -> Result<Vec<RoomSummary>, HubError>;

    /// Receives all rooms of the user, new ones included: those with a cursor from there, the others from now on.
    fn events(&self, resume: Vec<Cursor>) -> BoxStream<'static, Event>;
}

/// Is one room as one user has it.
#[async_trait]
pub trait Room: Send + Sync {
    /// Returns the room's id.
    fn id(&self) -> RoomId;

    /// Posts a draft: text, join, leave, a new title, everything that lasts.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the draft back. Post it again under the same key to learn what became of it.
    async fn post(&self, draft: Draft) -> Result<Posted, HubError>;

    /// Sends something that is never stored.
    async fn signal(&self, signal: Outgoing) -> Result<(), HubError>;

    /// Reads messages, oldest first, edits and deletes applied; with a default page, the newest 50.
    async fn history(&self, page: Page) -> Result<Vec<Entry>, HubError>;

    /// Lists the members.
    async fn members(&self, page: Page) -> Result<Vec<Member>, HubError>;

    /// Receives the room. [`Event::Followed`] comes first, [`Event::Closed`] last.
    fn events(&self, start: Start) -> BoxStream<'static, Event>;
}
