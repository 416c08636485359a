//! The WebSocket alone on a listener, for programs without an HTTP server of their own.

use std::{convert::Infallible, io};

use bytes::Bytes;
use chat_core::Peer;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use tokio::net::TcpListener;

use super::{ClientAddress, Front, WsServer, refusal::Refusal};

impl WsServer {
    /// Serves WebSockets at `path`, and nothing else, until `shutdown` is done. Open WebSockets stay: close them with
    /// [`Engine::drain`](chat_core::Engine::drain) and await [`WsServer::closed`].
    pub async fn serve(
        &self,
        listener: TcpListener,
        front: &Front,
        path: &str,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let (server, path) = (self.clone(), path.to_owned());
        let service = service_fn(move |request| {
            let answer = server.answer(&path, request);
            async { Ok::<_, Infallible>(answer.map(Full::new)) }
        });
        front.serve(listener, service, shutdown).await
    }

    fn answer(&self, path: &str, mut request: Request<Incoming>) -> Response<Bytes> {
        if request.uri().path() != path {
            return Refusal::NOT_HERE.into();
        }
        let address = request.extensions().get::<ClientAddress>().map(|client| client.0);
        self.upgrade(&mut request, Peer::unknown(address))
    }
}
