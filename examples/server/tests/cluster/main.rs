//! Several servers that are one chat: real processes on one real database, joined by a real broker.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-server --test cluster -- --ignored --skip alone::`, and what kills
//! a service that all others use, `… -- --ignored --test-threads 1 alone::`
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alone;
mod bots;
mod hints;
mod member;
mod rabbitmq;
mod redis;
#[path = "../common/server.rs"]
mod server;
#[path = "../common/socket.rs"]
mod socket;
mod strangers;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} says where the server is: see scripts/services"))
}
