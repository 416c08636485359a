//! The broker and the work queue of chat-engine on RabbitMQ.
//!
//! | module | holds |
//! |---|---|
//! | [`config`](AmqpConfig) | where it is, and under which names |
//! | `connection` | connecting to one of several hosts, and staying connected |
//! | `broker`, `ear`, `envelope` | [`AmqpBroker`]: publishing hints, hearing them, how they travel |
//!
//! All names begin with the namespace, so that engines share a RabbitMQ without hearing each other.

mod broker;
mod config;
mod connection;
mod ear;
mod envelope;
mod error;

pub use broker::AmqpBroker;
pub use config::{AmqpConfig, ConfigError};
