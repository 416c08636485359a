//! The port that carries hints between nodes.
//!
//! # Contract
//!
//! A broker only makes things fast. It may lose, double, delay and reorder; nodes find what it lost in the log. What
//! it must do is say so: when it cannot exclude a loss, it yields [`Heard::Interrupted`].
//!
//! Queues, deadlines and what to drop are the engine's: an adapter has no buffer of its own that can grow.
//!
//! A broker may also hang. The engine gives a call up that takes some seconds, and waits for none of them to do anything
//! else. What it could not listen to it asks for again, and polls the log until then.
//!
//! # Implementing
//!
//! Reconnect by yourself, for ever, with back-off; listen again to the same topics; yield `Interrupted`
//! for each time messages may have been missed, after listening again. While the broker is away, yield it at once and
//! again at least every 15 s: the engine polls the log faster for 30 s after each. Never end the stream before [`Link::close`].

mod bridge;
mod hearing;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{
    error::{Error, ErrorKind},
    model::{NodeId, RoomId},
};

pub use bridge::Bridge;
pub use hearing::Hearing;

/// Is what went wrong in a broker.
pub type BrokerError = Error<BrokerErrorKind>;

/// Says what went wrong in a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokerErrorKind {
    /// The broker cannot be reached.
    Unavailable,
    /// The broker holds back publishers (memory or disk alarm).
    Blocked,
    /// The link was closed.
    Closed,
    /// Anything else, such as a wrong password.
    Other,
}

impl ErrorKind for BrokerErrorKind {
    fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Blocked)
    }
}

impl fmt::Display for BrokerErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the broker cannot be reached",
            Self::Blocked => "the broker holds back publishers",
            Self::Closed => "the link is closed",
            Self::Other => "the broker refused",
        })
    }
}

/// Is the part of all rooms that travels together: the hash of the room id modulo [`Topic::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(u16);

impl Topic {
    /// How many topics the rooms share; fixed for a cluster, since all nodes must agree.
    pub const COUNT: u16 = 1024;

    /// The one topic more, over which nodes tell each other [who is online](crate::presence::BrokerPresence).
    pub const PRESENCE: Self = Self(Self::COUNT);

    /// Returns the topic of a room.
    pub fn of(room: RoomId) -> Self {
        let bytes = room.as_bytes();
        // Room ids are random or hashes: their last bytes are as good as any hash of them.
        Self(u16::from_be_bytes([bytes[14], bytes[15]]) % Self::COUNT)
    }

    /// Returns the topic with this number; numbers above that of [`Topic::PRESENCE`] give `None`.
    pub fn new(number: u16) -> Option<Self> {
        (number <= Self::COUNT).then_some(Self(number))
    }

    /// Returns the number.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// Is something a node heard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// Somebody published this; one's own publications may come back.
    Payload {
        /// The topic.
        topic: Topic,
        /// The payload as published.
        bytes: Bytes,
    },
    /// Payloads may have been lost since the last thing heard.
    Interrupted,
}

/// Is one node's place at the broker.
pub struct Attached {
    /// Where the node speaks.
    pub link: Arc<dyn Link>,
    /// What the node hears; ends only after [`Link::close`].
    pub heard: BoxStream<'static, Heard>,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attached")
    }
}

/// Joins a node to the others.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Joins a node. An error here is final: the engine does not start.
    async fn attach(&self, node: NodeId) -> Result<Attached, BrokerError>;
}

/// Speaks for one node. Payloads are at most 64 KiB.
#[async_trait]
pub trait Link: Send + Sync {
    /// Begins to hear these topics, also after every reconnect, until ignored. After an error, or when it was given up,
    /// it may be called again at any time.
    ///
    /// # Behavior
    /// * `a_listener_hears_what_others_publish`: on this topic and on no other.
    /// * `listening_twice_hears_once`.
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError>;

    /// Stops hearing these topics.
    ///
    /// # Behavior
    /// * `an_ignored_topic_is_silent`.
    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError>;

    /// Publishes to all nodes that listen. `Ok` promises nothing.
    ///
    /// # Behavior
    /// * `every_listener_hears`: with as many nodes as there are.
    /// * `one_publishers_payloads_stay_in_order`: per topic, as long as nothing is interrupted.
    /// * `a_listener_that_falls_behind_is_told`: what does not fit is dropped, followed by [`Heard::Interrupted`].
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError>;

    /// Leaves. The stream of what is heard ends.
    ///
    /// # Behavior
    /// * `a_closed_link_ends_its_stream`.
    async fn close(&self);
}
