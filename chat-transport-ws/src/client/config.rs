//! What may be set, each default with its reason.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use chat_core::{Entropy, HubError, clock::SystemEntropy};
use futures::future::BoxFuture;

/// Gives the token at each connect, and again before it ends.
pub(super) type Token = Arc<dyn Fn() -> BoxFuture<'static, Result<String, HubError>> + Send + Sync>;

/// Says how a [`RemoteHub`](super::RemoteHub) connects and how much it keeps.
///
/// ```
/// use chat_transport_ws::client::ClientConfig;
/// let config = ClientConfig::default().token(|| async { Ok("the host's token".to_owned()) });
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// A first connection is waited for this long: 30 s, a server that is just being restarted.
    pub connect_within: Duration,
    /// A request, and a connection with its `welcome`, must be answered within this: 15 s, three times what a server
    /// waits for its store. Drafts have no such limit: they are kept until they are answered.
    pub answer_within: Duration,
    /// If an answer is due and nothing was heard for this long, the server is pinged, and after as long again the
    /// connection is given up: 7 s, since a server answers within 5 s even if its store does not.
    pub silence_max: Duration,
    /// The same when no answer is due: 35 s, as servers ping every 25 s.
    pub idle_max: Duration,
    /// The wait before the first try to connect again is random up to this, doubled with each try: 250 ms.
    pub backoff_base: Duration,
    /// The longest such wait: 15 s.
    pub backoff_max: Duration,
    /// A connection that held this long was good, so that the next wait starts small again: 5 s.
    pub stable_after: Duration,
    /// Drafts kept until they are answered: 500; beyond that `post` answers `too_many`.
    pub unsent_max: usize,
    /// Drafts under way at once: 16, below the burst of 20 that a server allows.
    pub sends_under_way_max: usize,
    /// Requests that wait for a connection or an answer: 256.
    pub requests_max: usize,
    /// Events that wait for one receiver that is busy: 512; what comes then is read from the log again later.
    pub events_max: usize,
    pub(super) token: Option<Token>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_within: Duration::from_secs(30),
            answer_within: Duration::from_secs(15),
            silence_max: Duration::from_secs(7),
            idle_max: Duration::from_secs(35),
            backoff_base: Duration::from_millis(250),
            backoff_max: Duration::from_secs(15),
            stable_after: Duration::from_secs(5),
            unsent_max: 500,
            sends_under_way_max: 16,
            requests_max: 256,
            events_max: 512,
            token: None,
            headers: Vec::new(),
            entropy: Arc::new(SystemEntropy),
        }
    }
}

impl ClientConfig {
    /// Sets who gives the token: asked at each connect, and when the server says that the last one ends soon.
    ///
    /// An error that is not retryable ends the hub; after any other the client tries again.
    #[must_use]
    pub fn token<F, T>(mut self, provider: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, HubError>> + Send + 'static,
    {
        self.token = Some(Arc::new(move || Box::pin(provider())));
        self
    }

    /// Adds a header to the HTTP request, such as a cookie by which the host knows who connects.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the source of chance in waits and keys, so that a test can repeat them.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Returns how long to wait before try number `attempt` (from 0): anything up to the doubled base ("full
    /// jitter"), so that clients which were cut off together do not come back together.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.backoff_base.saturating_mul(1 << attempt.min(16));
        let mut random = [0; 4];
        self.entropy.fill(&mut random);
        doubled.min(self.backoff_max).mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))
    }
}

/// Shows no token, no header and no entropy: they are secrets or no data.
impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("answer_within", &self.answer_within)
            .field("silence_max", &self.silence_max)
            .field("backoff_base", &self.backoff_base)
            .field("backoff_max", &self.backoff_max)
            .field("unsent_max", &self.unsent_max)
            .field("events_max", &self.events_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn a_wait_is_random_between_nothing_and_the_doubled_base() {
        let golden = include_str!("../../../docs/protocol/vectors/backoff.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let longest = ClientConfig::default().entropy(Arc::new(Always(0xFF)));
        let shortest = ClientConfig::default().entropy(Arc::new(Always(0)));
        for wait in golden["waits"].as_array().unwrap() {
            let attempt = wait["attempt"].as_u64().unwrap().try_into().unwrap();
            assert_eq!(longest.backoff(attempt).as_millis(), u128::from(wait["most_ms"].as_u64().unwrap()), "{wait}");
            assert_eq!(shortest.backoff(attempt), Duration::ZERO);
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = ClientConfig::default().header("cookie", "s3cret").token(|| async { Ok("s3cret".to_owned()) });
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
