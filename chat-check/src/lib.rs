//! Breaks a chat server on purpose, and checks from outside that it kept its promises.
//!
//! | module | holds |
//! |---|---|
//! | [`history`] | what happened, as the clients saw it, one line each |
//! | [`checker`] | which promises that breaks, and the lines that show it |
//!
//! The promises, how each is tested and how to read a witness: `docs/reliability.md`.

pub mod checker;
pub mod history;
pub mod proxy;
