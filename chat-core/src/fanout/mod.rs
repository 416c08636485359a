//! The live rooms of this node and who receives them: the loop that runs once per recipient.
//!
//! This module knows no store and no broker. It awaits nothing, allocates nothing and looks nothing up per recipient.

#[cfg(test)]
mod order;
mod room;
mod rooms;
mod seat;

use bytes::Bytes;

use crate::{
    hub::Event,
    protocol::{Close, ServerFrame},
};

pub(crate) use room::{Attach, Chained, Judged, LiveRoom, Standing, entry_frame};
pub(crate) use rooms::{Lease, Rooms};
pub(crate) use seat::{Followed, Nudge, Seat};

/// Is how one frame is treated when its receiver is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An entry of a room. Refused when the outbox is over its budget: the session is parked and served from the log later.
    Entry,
    /// An answer or a notice about the session itself. Taken beyond the budget, since reading stops until there is
    /// room; an outbox at twice its budget is [`Push::Gone`].
    Answer,
    /// Something that is never stored. Dropped, as [`Push::Taken`], when the outbox is more than half full.
    Signal,
}

/// Is one encoded frame, shared by all who receive it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Frame {
    /// How it is treated when its receiver is slow.
    pub class: Class,
    /// The bytes, framed as the transport's [`Encoding`] made them.
    pub bytes: Bytes,
    /// What happened, for receivers in this process that want no bytes.
    pub event: Option<Event>,
}

impl Frame {
    /// Makes a frame.
    pub fn new(class: Class, bytes: Bytes, event: Option<Event>) -> Self {
        Self { class, bytes, event }
    }
}

/// Is what an outbox did with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// Taken: written, buffered, or (a signal) dropped.
    Taken,
    /// Not taken: over budget. The transport calls [`Session::drained`](crate::Session::drained) when there is room.
    Full,
    /// Nobody is there any more.
    Gone,
}

/// Is a session's way out, made by the transport. Never blocks and never awaits; called from any task.
pub trait Outbox: Send + Sync {
    /// Takes a frame, or says that it cannot.
    fn push(&self, frame: &Frame) -> Push;

    /// Ends the connection after what was taken so far, telling the client why.
    fn close(&self, why: Close);
}

/// Turns frames into bytes: codec and framing in one, so that a room message is encoded once for all
/// recipients of the same encoding. Two encodings are the same if they are the same object.
pub trait Encoding: Send + Sync {
    /// Encodes a frame.
    fn encode(&self, frame: &ServerFrame<'_>) -> Bytes;
}
