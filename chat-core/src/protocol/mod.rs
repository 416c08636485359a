//! The words between a client and a server: `chat.v1.json`.
//!
//! One JSON object a frame, `type` first. This module knows no socket; a transport carries the frames.
//! `docs/protocol.md` describes them for writers of clients.

mod client;
mod code;
pub mod parts;
mod server;
mod signal;

pub(crate) use client::check_room_name;
pub use client::{DecodeError, Request, Target, Which, decode};
pub use code::{Close, CloseCode, Code, HubError};
pub use server::{Features, ServerFrame, encode, summary_json, to_json};
pub use signal::{Outgoing, Signal};

/// The name of the protocol, for a transport that negotiates one.
pub const NAME: &str = "chat.v1.json";
