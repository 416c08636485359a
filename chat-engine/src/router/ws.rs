//! The WebSocket of a connection that the host has authenticated.

use axum::{body::Body, extract::Request, response::Response};
use chat_core::Peer;
use chat_transport_ws::ClientAddress;

use super::extract::Caller;

/// `GET /ws`: hands the connection over to the WebSocket transport.
///
/// The address is limited where [`Front`](chat_transport_ws::Front) or the host says whose it is. The socket's own would
/// often be that of a proxy, and limiting it would limit everybody at once.
pub(super) async fn upgrade(caller: Caller, mut request: Request) -> Response {
    let address = request.extensions().get::<ClientAddress>().map(|client| client.0);
    let peer = Peer::known(address, caller.identity);
    caller.chat.ws().upgrade(&mut request, peer).map(Body::from)
}
