//! From an HTTP request to a session.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use chat_core::{Encoding, Engine, Limits, Peer, Session};
use http::{Request, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::net::TcpStream;

use super::{
    connection::{self, Listener},
    gate::Gate,
    handshake,
    io::Io,
    metrics::{self, Metrics},
    outbox::SocketOutbox,
    refusal::{Answer, Refusal},
};
use crate::{WsConfig, framing::JsonText};

/// Serves the engine over WebSocket. Cheap to clone; make one per engine, since a room message is encoded once per
/// server. Install the recorder of `metrics` before.
///
/// ```
/// use bytes::Bytes;
/// use chat_core::Peer;
/// use chat_transport_ws::WsServer;
/// use http::{Request, Response};
///
/// /// The same for axum's `Request` and for hyper's: both hand the connection over by an extension of the request.
/// fn handler<B>(server: &WsServer, mut request: Request<B>) -> Response<Bytes> {
///     server.upgrade(&mut request, Peer::unknown(None))
/// }
/// ```
#[derive(Clone)]
pub struct WsServer {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) config: WsConfig,
    pub(crate) encoding: Arc<dyn Encoding>,
    pub(crate) metrics: Arc<Metrics>,
    gate: Arc<Gate>,
}

impl fmt::Debug for WsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsServer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl WsServer {
    /// Serves an engine.
    pub fn new(engine: Engine, config: WsConfig) -> Self {
        let gate = Gate::new(config.per_address, config.connections_max);
        let (encoding, metrics) = (Arc::new(JsonText), Arc::new(Metrics::new()));
        Self { shared: Arc::new(Shared { engine, config, encoding, metrics, gate }) }
    }

    /// Answers a request for a WebSocket: with 101, after which the connection lives in a task of its own, or with the
    /// status that says what is wrong, and one sentence.
    ///
    /// The peer is whom the caller knows: its address (of the client, not of a proxy) is limited, its identity goes to
    /// the engine. Must be called within a tokio runtime.
    pub fn upgrade<B>(&self, request: &mut Request<B>, peer: Peer) -> Response<Bytes> {
        self.upgrade_to(request, peer.address, |shared, outbox| shared.session(peer, outbox))
    }

    /// Answers as [`WsServer::upgrade`] does, for a connection that sends back what it gets: what test suites of
    /// WebSocket ask of a server. Everything between the socket and the session is the same.
    #[cfg(feature = "echo")]
    #[doc(hidden)]
    pub fn echo<B>(&self, request: &mut Request<B>) -> Response<Bytes> {
        self.upgrade_to(request, None, |_, outbox| super::echo::Echo::new(outbox))
    }

    fn upgrade_to<B, L: Listener + Send>(
        &self,
        request: &mut Request<B>,
        address: Option<IpAddr>,
        listener: impl FnOnce(&Shared, Arc<SocketOutbox>) -> L + Send + 'static,
    ) -> Response<Bytes> {
        let answer = self.try_upgrade(request, address, listener).unwrap_or_else(Answer::from);
        metrics::answered(answer.status());
        answer
    }

    fn try_upgrade<B, L: Listener + Send>(
        &self,
        request: &mut Request<B>,
        address: Option<IpAddr>,
        listener: impl FnOnce(&Shared, Arc<SocketOutbox>) -> L + Send + 'static,
    ) -> Result<Answer, Refusal> {
        let answer = handshake::check(request, &self.shared.config.origins)?;
        if request.extensions().get::<OnUpgrade>().is_none() {
            return Err(Refusal::NOT_UPGRADABLE);
        }
        let permit = self.shared.gate.enter(address).ok_or(Refusal::TOO_MANY)?;
        let upgraded = hyper::upgrade::on(request);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            // Fails if the client has gone before our answer.
            let Ok(upgraded) = upgraded.await else { return };
            let (io, read) = take_apart(upgraded, shared.config.send_buffer_bytes);
            connection::run(&shared, io, read, |outbox| listener(&shared, outbox)).await;
            drop(permit);
        });
        Ok(answer)
    }

    /// Waits until all WebSockets have closed, at most so long; [`Engine::drain`] closes them. Tells whether all have.
    pub async fn closed(&self, within: Duration) -> bool {
        self.shared.gate.emptied(within).await
    }
}

impl Shared {
    pub(crate) fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    fn session(&self, peer: Peer, outbox: Arc<SocketOutbox>) -> Session {
        self.engine.connect(peer, outbox, self.encoding.clone())
    }
}

/// Gets the socket back from hyper, with what was read beyond the request. A stream that is no bare TCP socket is
/// served, too, but written by one task only.
fn take_apart(upgraded: Upgraded, send_buffer_bytes: usize) -> (Io, Bytes) {
    // Served by hyper itself.
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return (tcp(parts.io, send_buffer_bytes), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    // Served by hyper-util, as `axum::serve` does.
    match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => (tcp(parts.io, send_buffer_bytes), parts.read_buf),
        Err(upgraded) => (Io::foreign(TokioIo::new(upgraded)), Bytes::new()),
    }
}

fn tcp(io: TokioIo<TcpStream>, send_buffer_bytes: usize) -> Io {
    let stream = io.into_inner();
    // Both only tune; a socket that refuses them still works.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_send_buffer_size(send_buffer_bytes);
    Io::Tcp(stream)
}

#[cfg(test)]
mod tests;
