//! The catalogue of bad input: everything that strangers can send, against the real binary, with the reply it gets.
//!
//! A case is one line in a [`cases!`](row) list: its id, what is sent, the stated reply, and what does it and returns
//! the *observed* reply as a short text (`426`, `close 1002`, `error invalid`, `ignored`). Each line is a named test,
//! and a row of the page `docs/attack-catalogue.md`, which is made from the same lists:
//!
//! ```sh
//! cargo test -p chat-server --test catalogue                               # all cases, and the page is as it should be
//! CATALOGUE=write cargo test -p chat-server --test catalogue the_page      # writes the page anew
//! ```
//!
//! After every case the harness ([`lab`]) checks what holds always: a witness in another room, connected before the
//! case, still sends and receives; nothing was stored in the case's room but what the case [states](case::Case::stores);
//! the server lives, has logged no panic and no line above 2 KiB, its memory grew by at most twice what it was sent and
//! 1 MiB, and it took no more than five times the processor time it should.
//!
//! **To add cases**, add lines to a list. **To add a module**, write `mod name;` and `name::PART` below; the module holds
//! `cases! { … }` and a `PART` with its heading. What is proven by a test elsewhere is a line in a `proven_in!` list;
//! that the test exists is checked. [`case`] is what a case works with, [`raw`] a client that can misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::needless_pass_by_value)] // `json!(…)` reads best where it is sent

#[macro_use]
mod row;

mod case;
mod lab;
mod page;
mod raw;
#[path = "../common/server.rs"]
mod server;
#[path = "../common/socket.rs"]
mod socket;
mod talk;
mod upstream;
mod vitals;

mod frames;
mod handshake;
mod json;
mod queue;
mod quotes;
mod rest;
mod security;
mod slash;

/// The parts of the page, in order.
const PARTS: &[row::Part] =
    &[handshake::PART, frames::PART, json::PART, rest::PART, slash::PART, quotes::PART, queue::PART, security::PART];
