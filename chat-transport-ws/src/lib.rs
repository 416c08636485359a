//! The WebSocket transport of chat-engine.
//!
//! * [`WsServer`] turns a request into a session of the engine: handshake, limits, one task per connection. It works
//!   in any hyper or axum handler, and with [`WsServer::serve`] on a listener of its own.
//! * [`Front`] is the HTTP/1 server before it, with time-outs and limits that `axum::serve` does not set; it serves any
//!   hyper service, an axum router included.
//! * [`WsConfig`], [`FrontConfig`], [`PerAddress`], [`Proxies`] and [`Origins`] bound and admit; each default has its reason.
//!
//! Inside, `outbox` is a connection's one way out: publishers write a frame to its socket from their own task, and what
//! the kernel does not take at once waits there. `wire` hands the same socket to the WebSocket library, which reads
//! and answers pings through the same outbox, so that frames never interleave. `framing` makes a frame's bytes once
//! for all recipients. `connection` is the task: it reads, keeps time and closes.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `client` | the module `client`: a remote [`Hub`](chat_core::Hub), for bots, terminals and other servers |
//! | `client-tls` | `wss://` in the client; the application installs the rustls provider of its choice |
//! | `echo` | ends that send back what they get, for test suites of WebSocket; no part of the API |

#[cfg(feature = "client")]
pub mod client;
mod config;
mod framing;
mod server;

pub use config::{FrontConfig, PerAddress, Proxies, WsConfig};
pub use server::{ClientAddress, Front, Origins, WsServer};
