//! The keys that tokens are checked with: each for one algorithm.

use std::fmt;

use jsonwebtoken::DecodingKey;

/// RFC 7518 wants a key as long as the hash; a shorter one is guessed offline from any token.
const SECRET_BYTES_MIN: usize = 32;

/// Names the algorithm that a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256: issuer and chat share a secret.
    Hs256,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// ECDSA over P-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// Tells the operator what is wrong with a key. Nothing of the key is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The shared secret is too short.
    #[error("the secret of the key `{id}` must have at least 32 bytes")]
    Short {
        /// The key's id.
        id: String,
    },
    /// The text is not a public key of this kind.
    #[error("the key `{id}` is not a public key for {algorithm:?} as PEM")]
    Unreadable {
        /// The key's id.
        id: String,
        /// What it was to be for.
        algorithm: Algorithm,
    },
}

/// Is a key of the issuer, under the id that its tokens name as `kid`.
#[derive(Clone)]
pub struct Key {
    id: String,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    /// Makes a key: of a secret of at least 32 bytes for [`Algorithm::Hs256`], else of a public key as PEM.
    pub fn new(id: impl Into<String>, algorithm: Algorithm, key: &[u8]) -> Result<Self, KeyError> {
        let id = id.into();
        let read = match algorithm {
            Algorithm::Hs256 if key.len() < SECRET_BYTES_MIN => return Err(KeyError::Short { id }),
            Algorithm::Hs256 => Ok(DecodingKey::from_secret(key)),
            Algorithm::Rs256 | Algorithm::Ps256 => DecodingKey::from_rsa_pem(key),
            Algorithm::Es256 => DecodingKey::from_ec_pem(key),
            Algorithm::EdDsa => DecodingKey::from_ed_pem(key),
        };
        match read {
            Ok(decoding) => Ok(Self { id, algorithm, decoding }),
            Err(_) => Err(KeyError::Unreadable { id, algorithm }),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    pub(super) fn algorithm(&self) -> jsonwebtoken::Algorithm {
        match self.algorithm {
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Shows nothing of the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
