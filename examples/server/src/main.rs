//! A complete chat server.
mod accounts;
mod config;
fn main() {}
