//! What goes wrong between us and a RabbitMQ, done to a real one: each trap that the driver or the broker has.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-broker-amqp --test servers -- --ignored --skip alone::`, and what
//! disturbs all others, `… -- --ignored --test-threads 1 alone::`

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod alone;
mod brokers;
mod queues;
mod refused;
#[cfg(feature = "tls")]
mod tls;

use std::time::Duration;

/// How long anything here may take on a slow machine before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(30);
