//! Where and how a quote service is asked, and what can be wrong with that.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The public quote service that is asked unless another template is set.
pub const DEFAULT_TEMPLATE: &str = "https://stooq.com/q/l/?s={code}&f=sd2t2ohlcv&h&e=csv";
/// A person is waiting in a room: after five seconds "no quote" is the better answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// A quote has about 150 bytes; 64 KiB leaves room for any header and is nothing to hold in memory.
const DEFAULT_BODY_BYTES_MAX: usize = 64 * 1024;

/// Settles where and how a [`QuoteSource`](crate::QuoteSource) asks.
#[derive(Clone)]
pub struct SourceConfig {
    pub(crate) template: String,
    pub(crate) api_key: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) body_bytes_max: usize,
    pub(crate) private_hosts: bool,
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
