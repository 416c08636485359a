//! HTTP/1 with the protections that a server open to everybody needs.

use std::{
    error::Error,
    future::ready,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::TRANSFER_ENCODING};
use http_body_util::{Either, Full};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    gate::Gate,
    metrics,
    refusal::{Answer, Refusal},
};
use crate::{FrontConfig, Proxies};

/// Accepting fails when file descriptors are used up: wait for some to come back instead of spinning.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What only proxies may say. From anybody else it is removed, so that the service behind need not ask who said it.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Is the address of the client, put by [`Front`] into each request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Serves HTTP/1: time-outs, bounded heads, limits per address, no request smuggling.
///
/// ```no_run
/// # async fn run(listener: tokio::net::TcpListener, router: axum::Router) -> std::io::Result<()> {
/// use chat_transport_ws::{Front, FrontConfig};
/// use hyper_util::service::TowerToHyperService;
///
/// let front = Front::new(FrontConfig::default());
/// front.serve(listener, TowerToHyperService::new(router), std::future::pending()).await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Front {
    config: Arc<FrontConfig>,
    gate: Arc<Gate>,
}

impl Front {
    /// Makes a front.
    pub fn new(config: FrontConfig) -> Self {
        let gate = Gate::new(config.per_address, config.connections_max);
        Self { config: Arc::new(config), gate }
    }

    /// Serves until `shutdown` is done, then lets requests under way end within [`FrontConfig::drain_within`].
    /// Upgraded connections are not waited for: their new owner closes them.
    ///
    /// A request with `Transfer-Encoding` is refused: browsers send none, and a proxy that reads its length otherwise
    /// than we do would be tricked into passing on a hidden second request.
    pub async fn serve<S, B>(
        &self,
        listener: TcpListener,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.serve_over(listener, |stream| ready(Ok(stream)), service, shutdown).await
    }

    /// Serves as [`Front::serve`] does, over what `wrap` makes of each connection: TLS, for instance. It is done
    /// within [`FrontConfig::head_within`], or the connection is closed.
    pub async fn serve_over<W, F, I, S, B>(
        &self,
        listener: TcpListener,
        wrap: W,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        W: Fn(TcpStream) -> F + Clone + Send + 'static,
        F: Future<Output = io::Result<I>> + Send,
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (stop, stopped) = watch::channel(());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.as_mut() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => self.accept(wrap.clone(), stream, from, service.clone(), stopped.clone()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
        drop((listener, stop));
        self.gate.emptied(self.config.drain_within).await;
        Ok(())
    }

    fn accept<W, F, I, S, B>(
        &self,
        wrap: W,
        stream: TcpStream,
        from: SocketAddr,
        service: S,
        mut stopped: watch::Receiver<()>,
    ) where
        W: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = io::Result<I>> + Send,
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let from = from.ip().to_canonical();
        let is_proxy = self.config.proxies.contains(from);
        let Some(permit) = self.gate.enter((!is_proxy).then_some(from)) else { return metrics::turned_away() };
        let http = self.http();
        let config = self.config.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // A failure is the client's: it speaks another protocol, or none.
            let Ok(Ok(stream)) = timeout(config.head_within, wrap(stream)).await else { return };
            let service = service_fn(move |request| {
                let called = admit(request, from, &config.proxies).map(|request| service.call(request));
                async {
                    match called {
                        Ok(response) => response.await.map(|response| response.map(Either::Left)),
                        Err(refusal) => Ok(Answer::from(refusal).map(|sentence| Either::Right(Full::new(sentence)))),
                    }
                }
            });
            let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                // An error is the client's: it was answered, as far as that was possible.
                _ = connection.as_mut() => return,
                _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }

    fn http(&self) -> http1::Builder {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.config.head_within)
            .max_buf_size(self.config.head_bytes_max)
            .max_headers(self.config.headers_max);
        http
    }
}

/// Refuses a request, or names its client.
fn admit(mut request: Request<Incoming>, from: IpAddr, proxies: &Proxies) -> Result<Request<Incoming>, Refusal> {
    // hyper drops a Content-Length beside it, so the two cannot be told from it alone.
    if request.headers().contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::TRANSFER_ENCODING);
    }
    let client = client_of(from, request.headers(), proxies);
    if !proxies.contains(from) {
        for name in FORWARDED {
            request.headers_mut().remove(name);
        }
    }
    request.extensions_mut().insert(ClientAddress(client));
    Ok(request)
}

/// Returns whom a proxy of ours speaks for: the last address in the list that is no proxy of ours. What stands before
/// it, the client itself has written.
fn client_of(from: IpAddr, headers: &HeaderMap, proxies: &Proxies) -> IpAddr {
    if !proxies.contains(from) {
        return from;
    }
    let lists = headers.get_all("x-forwarded-for").iter().rev();
    let mut named = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
    let mut client = from;
    while proxies.contains(client) {
        match named.next().map(|name| name.trim().parse::<IpAddr>()) {
            Some(Ok(address)) => client = address.to_canonical(),
            _ => return client,
        }
        if *proxies == Proxies::Nearby {
            break; // a client nearby is no proxy
        }
    }
    client
}

/// Tells an accept that failed since its client had gone from one that failed since we cannot accept.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn client(from: &str, lists: &[&'static str]) -> String {
        let proxies = Proxies::Listed(vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        client_behind(&proxies, from, lists)
    }

    fn client_behind(proxies: &Proxies, from: &str, lists: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append("x-forwarded-for", http::HeaderValue::from_static(list));
        }
        client_of(from.parse().unwrap(), &headers, proxies).to_string()
    }

    #[test]
    fn only_our_proxies_are_believed() {
        assert_eq!(client("192.0.2.9", &["1.1.1.1"]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 192.0.2.9"]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "192.0.2.9, 10.0.0.2"]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &["192.0.2.9, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_proxy_nearby_is_believed_in_its_last_word() {
        let client = |from, lists| client_behind(&Proxies::Nearby, from, lists);
        for proxy in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "::1", "fd00::1"] {
            assert_eq!(client(proxy, &["6.6.6.6", "1.1.1.1, 192.0.2.9"]), "192.0.2.9");
            assert_eq!(client(proxy, &["6.6.6.6, 10.0.0.9"]), "10.0.0.9");
        }
        assert_eq!(client("192.0.2.9", &["6.6.6.6"]), "192.0.2.9");
    }
}
