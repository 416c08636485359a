//! Concepts, ports and engine of chat-engine.
//!
//! The room log is the truth and brokers only carry hints.

pub mod auth;
pub mod broker;
pub mod command;
pub mod engine;
pub mod error;
pub mod fanout;
pub mod hub;
pub mod memory;
pub mod model;
pub mod policy;
pub mod presence;
pub mod protocol;
pub mod queue;
pub mod store;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use auth::{Authenticator, NoTokens};
pub use broker::Broker;
pub use command::{BotRunner, Command, CommandError, Invocation, RemoteCommand, Reply};
pub use engine::{BuildError, CatchUp, Clock, Engine, EngineBuilder, Entropy, Flow, Limits, LocalHub, Peer, Session};
pub use fanout::{Class, Encoding, Frame, Outbox, Push};
pub use hub::{Event, GapReason, Hub, Posted, Room, Start};
pub use model::{
    Body, Cursor, Draft, Entry, EntryId, Identity, Key, Kind, Member, Page, Role, RoomId, RoomSpec, RoomSummary, Seq,
    Text, Timestamp, UserId, Visibility,
};
pub use policy::{Action, Members, Policy};
pub use presence::Presence;
pub use protocol::{Close, CloseCode, Code, HubError, Outgoing, ServerFrame, Signal};
pub use queue::WorkQueue;
pub use store::{LogStore, RoomStore, Store, StoreError, StoreErrorKind};
