//! The WebSocket of a connection that the host has authenticated.

use axum::extract::Request;

use super::{Answer, extract::Caller, failure::Failure};

/// `GET /ws`: hands the connection over to the WebSocket transport.
pub(super) async fn upgrade(_caller: Caller, _request: Request) -> Answer {
    Err(Failure::invalid("no WebSocket yet"))
}
