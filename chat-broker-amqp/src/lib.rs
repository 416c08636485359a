//! The broker and the work queue of chat-engine on RabbitMQ.
//!
//! | module | holds |
//! |---|---|
//! | [`config`](AmqpConfig) | where it is, and under which names |
//! | `connection` | connecting to one of several hosts, and staying connected |
//! | `broker`, `ear`, `envelope` | [`AmqpBroker`]: publishing hints, hearing them, how they travel |
//! | `queue`, `publisher`, `worker`, `receipt`, `dead_letters` | [`AmqpQueue`]: pushing, taking, settling, and what is given up |
//! | `names`, `letter` | what queues are called and how they are made; how a job travels |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `tls` | no | `amqps:`, by rustls with ring |
//!
//! All names begin with the namespace, so that engines share a RabbitMQ without hearing each other.

mod broker;
mod config;
mod connection;
mod dead_letters;
mod ear;
mod envelope;
mod error;
mod letter;
mod names;
mod publisher;
mod queue;
mod receipt;
mod worker;

pub use broker::AmqpBroker;
pub use config::{AmqpConfig, ConfigError};
pub use queue::AmqpQueue;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use crate::AmqpConfig;

    /// Returns the configuration for the real RabbitMQ, in a namespace of this process.
    pub(crate) fn config() -> AmqpConfig {
        let url = std::env::var("CHAT_TEST_AMQP").expect("CHAT_TEST_AMQP says where it is: see scripts/services");
        AmqpConfig::parse(&format!("{url}?namespace=u{}", std::process::id())).expect("a URL")
    }
}
