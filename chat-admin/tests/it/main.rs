//! The real binary, on files.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
mod copy;
mod fsck;
mod import;
mod migrate;
#[path = "../common/store.rs"]
mod store;
