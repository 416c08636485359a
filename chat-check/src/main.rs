//! `chat-check`: see `chat-check --help`, and `docs/reliability.md`.
fn main() {}
