//! Concepts, ports and engine of chat-engine, a chat library for other people's applications.
//!
//! **The room log is the truth and brokers only carry hints.** Everything that lasts (messages, edits, joins, topics)
//! is an entry in one append-only log per room, at a dense position that the store assigns in the commit that stores
//! it. A sender is acknowledged after that commit and nobody receives anything before it. What brokers lose, nodes find
//! in the log; what a client missed, any node reads for it from the log.
//!
//! ```
//! use chat_core::{Draft, Engine, Event, Hub, Identity, RoomSpec, Start, UserId};
//! use futures::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder().build().await?; // in memory; ports are swapped here
//! let ann = engine.hub(Identity::human(UserId::new("ann")?, "Ann"));
//! let room = ann.create(RoomSpec::public("general")).await?;
//!
//! let mut events = room.events(Start::Head);
//! room.post(Draft::text("hello")).await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Entry(entry) = event {
//!         assert_eq!(entry.body.text(), Some("hello"));
//!         break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | you want to | look at |
//! |---|---|
//! | use chat from your own code | [`Hub`] and [`Room`], through [`Engine::hub`] |
//! | decide who may do what | [`Policy`] |
//! | keep logs in another database | [`store`], and the suites in `conformance` |
//! | join nodes through another broker | [`broker`] |
//! | share who is online | [`presence`] |
//! | hand work to other processes | [`queue`], [`BotRunner`] |
//! | add a slash command | [`Command`] |
//! | carry connections over something else | [`Session`], [`Outbox`], [`Encoding`] |
//! | hand out or forget what is held of a person | [`people`] |
//! | know what an entry is | [`model`] |
//! | know what goes over the wire | [`protocol`] |
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `conformance` | the suites that adapters run against themselves, one macro a port |
//! | `fuzzing` | ways into private readers, for fuzz targets; no part of the API |

pub mod auth;
pub mod broker;
pub mod clock;
pub mod command;
pub mod engine;
pub mod error;
pub mod fanout;
pub mod hub;
pub mod memory;
pub mod model;
pub mod people;
pub mod policy;
pub mod presence;
pub mod protocol;
pub mod queue;
pub mod retention;
mod seal;
pub mod store;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use auth::{Authenticator, NoTokens};
pub use broker::Broker;
pub use clock::{Clock, Entropy};
pub use command::{BotRunner, Command, CommandError, Invocation, RemoteCommand, Reply};
pub use engine::{BuildError, CatchUp, Engine, EngineBuilder, Flow, Limits, LocalHub, Peer, Session, Version};
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
pub use retention::Retention;
pub use store::{LogStore, PeopleStore, Personal, RoomStore, Store, StoreError, StoreErrorKind};
