//! A quote service under the control of the test, on a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use stock_bot::{Quote, QuoteSource, Reason, Refusal, SourceConfig, StockCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A reply that every test of a good case may use.
pub(crate) const GOOD: &str = "Symbol,Close\r\nAAPL.US,93.42\r\n";
/// Short, so that the slow cases take no longer than a blink.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

/// A server that counts its connections or requests and ends with the test.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    hits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// Answers each request, whatever its path, with what `answer` makes of it.
    pub(crate) async fn answering<A, R>(answer: A) -> Self
    where
        A: Fn(Request) -> R + Clone + Send + Sync + 'static,
        R: IntoResponse + 'static,
    {
        let (listener, address, hits) = listen().await;
        let count = hits.clone();
        let router = Router::new().fallback(move |request: Request| {
            count.fetch_add(1, Ordering::SeqCst);
            let response = answer(request).into_response();
            async move { response }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, hits, task }
    }

    /// Reads a request and then writes these bytes and closes: for what no HTTP server would do.
    pub(crate) async fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let (listener, address, hits) = listen().await;
        let (count, bytes) = (hits.clone(), bytes.into());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                // The client may close first; that is its right.
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(&bytes).await;
            }
        });
        Self { address, hits, task }
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// The configuration that asks this server, which is on a loopback address.
    pub(crate) fn config(&self) -> SourceConfig {
        SourceConfig::new(format!("http://{}/q?s={{code}}", self.address)).allow_private_hosts().timeout(TIMEOUT)
    }

    pub(crate) async fn quote(&self) -> Result<Quote, Refusal> {
        source(self.config()).quote(&code("aapl.us")).await
    }

    /// Asks for one quote and returns why there is none.
    pub(crate) async fn reason(&self) -> Reason {
        self.quote().await.unwrap_err().reason()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address, Arc::default())
}

pub(crate) fn code(text: &str) -> StockCode {
    text.parse().unwrap()
}

/// Makes a source, with the provider that a binary would have installed.
pub(crate) fn source(config: SourceConfig) -> QuoteSource {
    install_provider();
    QuoteSource::new(config).unwrap()
}

pub(crate) fn install_provider() {
    // Fails from the second test on: the provider is one per process.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
