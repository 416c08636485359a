//! What only shows on real servers: outages, kills, passwords, certificates, and two chats on one Redis.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-redis --all-features -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod namespaces;
mod queue;
mod redis;
#[cfg(feature = "tls")]
mod tls;
mod worker;
