//! The port to the host's authentication, for clients that bring a token.

use async_trait::async_trait;

use crate::{model::Identity, protocol::Code};

/// Turns a token into who holds it.
///
/// Needed where clients connect to a listener of ours. Behind a router of the host's own, the host's extractor
/// says who it is and no token is used.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Returns the identity behind a token. Answer [`Code::Unauthenticated`] for every wrong token alike, and
    /// [`Code::Retry`] when it cannot be told now. The token must never be logged.
    async fn authenticate(&self, token: &str) -> Result<Identity, Code>;
}

/// Accepts no token: identities come from the host only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTokens;

#[async_trait]
impl Authenticator for NoTokens {
    async fn authenticate(&self, _: &str) -> Result<Identity, Code> {
        Err(Code::Unauthenticated)
    }
}
