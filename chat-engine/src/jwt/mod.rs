//! JSON Web Tokens of an identity provider, as [RFC 8725](https://www.rfc-editor.org/rfc/rfc8725) wants them checked.
//!
//! ```
//! use chat_engine::{Chat, Jwt, jwt::{Algorithm, Key}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = b"32 bytes, from a file of secrets";
//! let tokens = Jwt::new("https://login.example", "chat")
//!     .key(Key::new("2026-11", Algorithm::Hs256, secret)?)
//!     .leeway_s(30);
//! let chat = Chat::builder().store("memory:").authenticator(tokens).build().await?;
//! # drop(chat);
//! # Ok(())
//! # }
//! ```

mod key;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use chat_core::{Authenticator, Code, Identity, Timestamp, UserId};
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde::Deserialize;

pub use key::{Algorithm, Key, KeyError};

/// Clocks of servers differ by less; a longer leeway only lengthens the life of stolen tokens.
const LEEWAY_S_MAX: u64 = 60;
/// A token with a page of claims has 2 KiB. What is longer is not decoded.
const TOKEN_BYTES_MAX: usize = 8 * 1_024;
/// Times on the wire are at most 2^53 − 1 ms.
const TIME_MS_MAX: i64 = (1 << 53) - 1;

/// Accepts the signed tokens of one issuer, meant for one audience.
///
/// # Behavior
///
/// * A token is accepted only with a valid signature by one of the given keys, under that key's own algorithm: the
///   token's header chooses among the keys by `kid`, which must be there, and nothing else. `none` is no algorithm.
/// * `iss`, `aud`, `exp`, `nbf` and `sub` must be there, and right; `typ` must be `JWT`, or what [`typ`](Self::typ)
///   says.
/// * A header that says where a key is to be had (`jku`, `jwk`, `x5u`, `x5c`), or that names extensions (`crit`), is
///   refused. Nothing is ever fetched.
/// * `sub` becomes the user, `name` the display name (without it `sub`), `sid`, else `jti`, the login, so that
///   [`Engine::revoke`](chat_core::Engine::revoke) can end the sessions of one token. The session ends at `exp` plus
///   the leeway unless a newer token refreshes it.
/// * What was revoked does not come in again, however long it is still good for: `iat`, else `nbf`, says when a token was
///   given. It says so in seconds; a token of the second in which all of a user's were revoked is taken for a new one.
/// * Every wrong token is answered alike, [`Code::Unauthenticated`]; none is logged.
///
/// Without a key no token is accepted.
#[derive(Clone)]
pub struct Jwt {
    keys: BTreeMap<String, Key>,
    issuer: String,
    audience: String,
    typ: String,
    leeway_s: u64,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: f64,
    iat: Option<f64>,
    name: Option<String>,
    sid: Option<String>,
    jti: Option<String>,
}

impl Jwt {
    /// Accepts tokens of this `iss` for this `aud`, once there is a [`key`](Self::key).
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        let (issuer, audience) = (issuer.into(), audience.into());
        Self { keys: BTreeMap::new(), issuer, audience, typ: "JWT".to_owned(), leeway_s: LEEWAY_S_MAX }
    }

    /// Adds a key. One with the same id is replaced.
    #[must_use]
    pub fn key(mut self, key: Key) -> Self {
        self.keys.insert(key.id().to_owned(), key);
        self
    }

    /// Wants this `typ` in the header, such as `at+jwt`: an issuer's tokens for other ends are refused. Default: `JWT`.
    #[must_use]
    pub fn typ(mut self, typ: impl Into<String>) -> Self {
        self.typ = typ.into();
        self
    }

    /// Lets clocks differ by so much, at most the default of 60 seconds.
    #[must_use]
    pub fn leeway_s(mut self, seconds: u64) -> Self {
        self.leeway_s = seconds.min(LEEWAY_S_MAX);
        self
    }

    /// Checks a token and returns whom it is about.
    ///
    /// The order matters: the header is read to find the key, and nothing of the claims before the signature.
    fn check(&self, token: &str) -> Option<Identity> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let key = self.key_of(&decode_header(token).ok()?)?;
        let claims = decode::<Claims>(token, key.decoding(), &self.validation(key)).ok()?.claims;
        self.identity(claims)
    }

    fn key_of(&self, header: &Header) -> Option<&Key> {
        let points_elsewhere =
            header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
        let of_type = header.typ.as_ref().is_some_and(|typ| typ.eq_ignore_ascii_case(&self.typ));
        if points_elsewhere || header.crit.is_some() || !of_type {
            return None;
        }
        self.keys.get(header.kid.as_ref()?)
    }

    fn validation(&self, key: &Key) -> Validation {
        let mut validation = Validation::new(key.algorithm());
        validation.set_required_spec_claims(&["iss", "aud", "exp", "nbf", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.validate_nbf = true;
        validation.leeway = self.leeway_s;
        validation
    }

    fn identity(&self, claims: Claims) -> Option<Identity> {
        let user = UserId::new(&*claims.sub).ok()?;
        let name = claims.name.unwrap_or(claims.sub);
        let login = claims.sid.or(claims.jti).unwrap_or_default();
        let ends = ms(claims.exp + f64::from(u32::try_from(self.leeway_s).unwrap_or(u32::MAX)));
        let issued = ms(claims.iat.unwrap_or(claims.nbf).floor() + 0.999);
        Some(Identity::human(user, name).with_login(login).with_expiry(ends).with_issue(issued))
    }
}

fn ms(seconds: f64) -> Timestamp {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // bounded right here
    Timestamp((seconds * 1_000.0).clamp(0.0, TIME_MS_MAX as f64) as i64)
}

#[async_trait]
impl Authenticator for Jwt {
    async fn authenticate(&self, token: &str) -> Result<Identity, Code> {
        self.check(token).ok_or(Code::Unauthenticated)
    }
}

/// Shows the keys' ids and nothing of the keys.
impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("keys", &self.keys.keys())
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("typ", &self.typ)
            .field("leeway_s", &self.leeway_s)
            .finish()
    }
}
