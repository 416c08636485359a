//! The WebSocket behind the host's login.
