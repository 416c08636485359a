//! The server as people and operators meet it: the real binary, real sockets, a SQLite file in a temporary folder.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::needless_pass_by_value)] // `json!(…)` reads best where it is sent

mod accounts;
mod bot;
mod chat;
mod drain;
mod limits;
mod operators;
mod options;
mod page;
mod security;
#[path = "../common/server.rs"]
mod server;
#[path = "../common/socket.rs"]
mod socket;
mod tls;
#[allow(dead_code)] // the catalogue needs all of it
#[path = "../catalogue/vitals.rs"]
mod vitals;
