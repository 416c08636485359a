//! Broker, presence and work queue of a chat on Redis 7 or newer, or another server that speaks its protocol (Valkey).
//!
//! ```no_run
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let broker = chat_redis::RedisBroker::open("redis://:password@redis.example").await?;
//! # drop(broker);
//! # Ok::<(), chat_core::broker::BrokerError>(()) }).unwrap();
//! ```
//!
//! Each takes the URL of one server or of a Redis Cluster; see [`RedisConfig`]. All keys and channels begin with a
//! namespace (`chat`), so that a Redis may be shared. Nothing is kept in it that a chat could not lose without losing
//! messages: those are in the store.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `tls` | no | `rediss:` and `rediss+cluster:`, by rustls with ring |
//!
//! # Inside
//!
//! `broker.rs`, `presence.rs` and `queue.rs` are the ports; what must be one step is a script in Lua beside them. `servers.rs` connects to one server or all of a cluster, `slots.rs`
//! knows which of them has a key, and `subscriber.rs` hears channels through every outage.

#![forbid(unsafe_code)]

mod broker;
mod config;
mod error;
mod presence;
mod queue;
mod servers;
mod slots;
mod subscriber;

pub use broker::RedisBroker;
pub use config::RedisConfig;
pub use presence::RedisPresence;
pub use queue::RedisQueue;
