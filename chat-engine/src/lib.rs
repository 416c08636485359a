//! Chat for your own application.
//!
//! Open a store by URL and the chat is there: rooms, messages, members, presence, slash commands, resumable clients. It
//! runs inside your process; with nothing but SQLite it needs nothing installed.
//!
//! ```
//! use chat_engine::{Chat, Draft, Hub, Identity, Page, RoomId, RoomSpec, UserId};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Chat::open("memory:").await?; // or "sqlite:chat.db"
//!
//! // Your users and your names for rooms: there is nothing to keep in step.
//! let ann = Identity::human(UserId::new("ann")?, "Ann");
//! let order = RoomSpec::private("Order 4711").named("order:4711").members([ann.user.clone()]);
//! chat.hub(Identity::system()).create(order).await?; // no effect when it exists
//!
//! let room = chat.hub(ann).room(RoomId::named("order:4711")).await?;
//! room.post(Draft::text("where is my parcel?")).await?;
//!
//! let messages = room.history(Page::default()).await?;
//! assert_eq!(messages[0].body.text(), Some("where is my parcel?"));
//! # Ok(())
//! # }
//! ```
//!
//! In an axum application, [`Chat::router`] adds WebSocket, REST and the browser client under any path, and asks the
//! application's own extractor who somebody is; `examples/embed` does it in ten lines.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `axum` | yes | [`Chat::router`] |
//! | `jwt` | no | `Jwt`, an [`Authenticator`] for tokens of an identity provider |
//! | `sqlite` | yes | stores at `sqlite:path` |
//! | `postgres` | no | stores at `postgres://user:password@host:port/database?schema=chat` |
//! | `mysql` | no | stores at `mysql://user:password@host:port/database`, or `mariadb://…` |
//! | `mongodb` | no | stores at `mongodb://host/database?namespace=chat_`; brings rustls with ring |
//! | `redis` | no | brokers, presence and work queues at `redis://:password@host?namespace=chat`, or `redis+cluster://:password@host1,host2` |
//! | `amqp` | no | brokers and work queues at `amqp://user:password@host,host:port/vhost?partitioned=1&namespace=chat` |
//! | `tls` | no | TLS to SQL servers, RabbitMQ (`amqps:`) and Redis (`rediss:`), by rustls with ring |
//!
//! Without any of them there are `memory:` stores, brokers, presence and queues.
//!
//! # Where to read on
//!
//! | to … | read |
//! |---|---|
//! | post, read, follow rooms as some user | [`Hub`], [`Room`], [`LocalHub`] |
//! | know what a log is made of | [`Entry`], [`Body`], [`Seq`], [`Cursor`] |
//! | make a send that can be repeated | [`Key`], [`Draft`] |
//! | decide who may do what, and moderate | [`Policy`] |
//! | add a slash command | [`Command`] |
//! | let it be carried out by workers elsewhere | [`RemoteCommand`], [`BotRunner`] |
//! | accept tokens instead of a login of the host's | [`Authenticator`] |
//! | keep logs somewhere else | [`chat_core::store`] |
//! | join nodes over another broker | [`chat_core::broker`] |
//! | speak the protocol | [`chat_core::protocol`] |
//! | change a limit | [`Limits`] |
//! | forget old messages | [`Retention`] |
//! | hand out or forget what is held of a person | [`open_people`] |

#![forbid(unsafe_code)]

mod chat;
mod error;
mod hybrid;
#[cfg(feature = "jwt")]
pub mod jwt;
mod open;
mod people;
#[cfg(feature = "axum")]
mod router;
mod source;
mod tools;
mod url;

pub use chat::{Chat, ChatBuilder};
pub use chat_core;
pub use chat_core::{
    Action, Authenticator, Body, BotRunner, CatchUp, Code, Command, CommandError, Cursor, Draft, Engine, Entry,
    EntryId, Event, Hub, HubError, Identity, Invocation, Key, Kind, Limits, LocalHub, Member, Members, Outgoing, Page,
    Policy, Posted, RemoteCommand, Reply, Retention, Role, Room, RoomId, RoomSpec, RoomSummary, Seq, Signal, Start,
    Text, Timestamp, UserId, Visibility,
    model::{Edit, MemberChange, Membership, React, RoomChange},
    store::Access,
};
#[cfg(feature = "axum")]
pub use chat_transport_ws::{ClientAddress, Front, FrontConfig, Origins, PerAddress, Proxies, WsConfig, WsServer};
pub use error::OpenError;
pub use hybrid::open_hybrid;
#[cfg(feature = "jwt")]
pub use jwt::Jwt;
pub use open::{Part, open_dead_letters, open_full_store, open_queue, open_restore, open_store};
pub use people::open_people;
#[cfg(feature = "axum")]
pub use router::{Failure, Json};
pub use source::Source;
pub use tools::{migrations, redacted};
