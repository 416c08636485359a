//! The server's side.

mod connection;
#[cfg(feature = "echo")]
mod echo;
mod front;
mod gate;
mod handshake;
mod heartbeat;
mod io;
mod listener;
mod metrics;
mod origin;
mod outbox;
mod refusal;
mod throttle;
mod upgrade;
mod wire;

pub use front::{ClientAddress, Front};
pub use origin::Origins;
pub use upgrade::WsServer;
