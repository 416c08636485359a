//! Breaks a chat server on purpose, and checks from outside that it kept its promises.
//!
//! | module | holds |
//! |---|---|
//! | [`history`] | what happened, as the clients saw it, one line each |
//! | [`checker`] | which promises that breaks, and the lines that show it |
//! | [`figures`] | how long things took |
//! | [`proxy`] | a TCP proxy that breaks connections |
//! | `run` | a server that is broken while clients talk; feature `run`, which is on |
//! | `certify` | what came of one programme on every pair of a store and a broker; likewise |
//!
//! The promises, how each is tested and how to read a witness: `docs/reliability.md`.

#[cfg(feature = "run")]
pub mod certify;
pub mod checker;
pub mod figures;
pub mod history;
pub mod proxy;
#[cfg(feature = "run")]
pub mod run;
