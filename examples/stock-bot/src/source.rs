//! Asks a quote service over HTTP: one GET, one bounded reply, one answer.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect, retry};
use rustls::crypto::CryptoProvider;
use tokio::time;

use crate::code::StockCode;
use crate::egress::{PublicOnly, is_public};
use crate::quote::Quote;
use crate::refusal::{Fault, Refusal};
use crate::template::Template;

/// The public quote service that is asked unless another template is set.
pub const DEFAULT_TEMPLATE: &str = "https://stooq.com/q/l/?s={code}&f=sd2t2ohlcv&h&e=csv";
/// A person is waiting in a room: after five seconds "no quote" is the better answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// A quote has about 150 bytes; 64 KiB leaves room for any header and is nothing to hold in memory.
const DEFAULT_BODY_BYTES_MAX: usize = 64 * 1024;

/// Settles where and how a [`QuoteSource`] asks.
#[derive(Clone)]
pub struct SourceConfig {
    template: String,
    api_key: Option<String>,
    timeout: Duration,
    body_bytes_max: usize,
    private_hosts: bool,
}

impl SourceConfig {
    /// Starts from a URL template: `http` or `https`, with one `{code}` in its path or query.
    pub fn new(template: impl Into<String>) -> Self {
        Self {
            template: template.into(),
            api_key: None,
            timeout: DEFAULT_TIMEOUT,
            body_bytes_max: DEFAULT_BODY_BYTES_MAX,
            private_hosts: false,
        }
    }

    /// Sends the key as the query parameter `apikey`. It shows in no `Debug`, no refusal and no error.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Sets the time for everything together: resolving, connecting, sending, the last byte. Default: 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest reply that is read. Default: 64 KiB.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    /// Lets the host be, or resolve to, a loopback, private or link-local address. Off by default; for the
    /// sample server and for mirrors inside the network.
    #[must_use]
    pub fn allow_private_hosts(mut self) -> Self {
        self.private_hosts = true;
        self
    }
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self::new(DEFAULT_TEMPLATE)
    }
}

impl fmt::Debug for SourceConfig {
    /// Leaves out the template too: nobody has checked yet that it holds no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceConfig")
            .field("timeout", &self.timeout)
            .field("body_bytes_max", &self.body_bytes_max)
            .field("private_hosts", &self.private_hosts)
            .finish_non_exhaustive()
    }
}

/// Asks one quote service. Cheap to clone; clones share their connections.
///
/// # Guarantees
///
/// * The host is the one of the template. No redirect is followed, no proxy of the environment is used, and
///   no private address is connected to unless [allowed](SourceConfig::allow_private_hosts).
/// * One request per call, never retried: whoever calls knows whether anybody still waits.
/// * A reply is refused unless it has status 200 and is complete within the limits of time and size; it is
///   never decompressed, so its size is what crossed the network.
#[derive(Clone)]
pub struct QuoteSource {
    client: Client,
    template: Template,
    api_key: Option<String>,
    timeout: Duration,
    body_bytes_max: usize,
}

impl QuoteSource {
    /// Checks the configuration and prepares the client. It connects to nothing.
    ///
    /// # Errors
    ///
    /// See [`SourceError`]; in particular a TLS provider must be installed first (see the [crate] page).
    pub fn new(config: SourceConfig) -> Result<Self, SourceError> {
        let template = Template::parse(&config.template)?;
        let private = template
            .address()
            .is_some_and(|address| !is_public(address));
        if private && !config.private_hosts {
            return Err(SourceError::PrivateHost);
        }
        let client = client(&template, config.private_hosts)?;
        let SourceConfig {
            api_key,
            timeout,
            body_bytes_max,
            ..
        } = config;
        Ok(Self {
            client,
            template,
            api_key,
            timeout,
            body_bytes_max,
        })
    }

    /// Asks for one quote.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; nothing is left behind.
    pub async fn quote(&self, code: &StockCode) -> Result<Quote, Refusal> {
        let reply = time::timeout(self.timeout, self.fetch(code)).await;
        let body = reply.unwrap_or(Err(Fault::TimedOut(self.timeout)));
        Quote::from_csv(code, &body.map_err(|fault| Refusal::new(code, fault))?)
    }

    async fn fetch(&self, code: &StockCode) -> Result<Vec<u8>, Fault> {
        let url = self.template.fill(code, self.api_key.as_deref());
        let mut response = self.client.get(url).send().await.map_err(transport)?;
        if response.status() != StatusCode::OK {
            return Err(Fault::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > self.body_bytes_max {
                return Err(Fault::TooLong(self.body_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl fmt::Debug for QuoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuoteSource")
            .field("host", &self.template.host())
            .field("timeout", &self.timeout)
            .field("body_bytes_max", &self.body_bytes_max)
            .finish_non_exhaustive()
    }
}

/// The URL of a failed request holds the key.
fn transport(error: reqwest::Error) -> Fault {
    Fault::Transport(error.without_url())
}

fn client(template: &Template, private_hosts: bool) -> Result<Client, SourceError> {
    if CryptoProvider::get_default().is_none() {
        return Err(SourceError::NoTlsProvider); // the client would panic
    }
    let mut builder = Client::builder()
        .user_agent(concat!("stock-bot/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy() // a proxy would connect to an address that nobody checked
        // Off already, unless another crate of the program turns the features on.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd();
    if !private_hosts {
        builder = builder.dns_resolver(PublicOnly);
    }
    if !template.is_https() {
        // No TLS will happen, and so a machine without root certificates can run the sample.
        builder = builder.tls_certs_only([]);
    }
    builder
        .build()
        .map_err(|error| SourceError::Client(error.into()))
}

/// Tells the operator what is wrong with a [`SourceConfig`]. No text of the template is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The template is not a URL.
    #[error("the quote template is not a URL")]
    Url(#[source] Box<dyn Error + Send + Sync>),
    /// The scheme is neither `http` nor `https`.
    #[error("the quote template must begin with http:// or https://")]
    Scheme,
    /// There is no slot for the code, or more than one.
    #[error("the quote template must hold {{code}} exactly once")]
    Slot,
    /// The slot is in the host or the fragment.
    #[error("{{code}} must be in the path or the query of the quote template")]
    SlotPlace,
    /// There is a user, a password or an `apikey` in the template.
    #[error("the quote template must hold no user, password or apikey; set the API key instead")]
    Secret,
    /// The host is a private address and private hosts are not allowed.
    #[error("the host of the quote template is a private address")]
    PrivateHost,
    /// No TLS provider is installed in this process.
    #[error("no TLS provider is installed; install rustls' ring provider first")]
    NoTlsProvider,
    /// The HTTP client could not be made, for instance because the machine has no root certificates.
    #[error("the HTTP client could not be made")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}

impl SourceError {
    pub(crate) fn url(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Url(error.into())
    }
}
