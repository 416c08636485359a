//! Telling what a node of the own cluster says from what anybody says who reaches the broker.
//!
//! A payload is a version byte, 32 bytes of HMAC-SHA256 under the cluster's secret (zero without one), and a body.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const SEAL_BYTES: usize = 32;

/// Seals and opens payloads of one kind.
#[derive(Clone)]
pub(crate) struct Seal {
    version: u8,
    mac: Option<Hmac<Sha256>>,
}

impl Seal {
    /// Each kind of payload has a version of its own, which the seal covers: none can be passed off as another.
    pub(crate) fn new(version: u8, secret: Option<&[u8]>) -> Self {
        // HMAC takes keys of any length: the error cannot occur.
        let mac = secret.and_then(|secret| Hmac::<Sha256>::new_from_slice(secret).ok());
        Self { version, mac: mac.map(|mac| mac.chain_update([version])) }
    }

    /// Tells whether what this node says can be told from what others say.
    pub(crate) fn can_seal(&self) -> bool {
        self.mac.is_some()
    }

    pub(crate) fn close(&self, body: &[u8]) -> Bytes {
        let mut payload = Vec::with_capacity(1 + SEAL_BYTES + body.len());
        payload.push(self.version);
        match &self.mac {
            Some(mac) => payload.extend(mac.clone().chain_update(body).finalize().into_bytes()),
            None => payload.extend([0; SEAL_BYTES]),
        }
        payload.extend(body);
        payload.into()
    }

    /// Returns the body, and whether the seal is ours; `None` when it is no payload of this version.
    pub(crate) fn open<'a>(&self, payload: &'a [u8]) -> Option<(&'a [u8], bool)> {
        let (version, rest) = payload.split_first()?;
        let (seal, body) = rest.split_at_checked(SEAL_BYTES)?;
        let sealed = self.mac.as_ref().is_some_and(|mac| mac.clone().chain_update(body).verify_slice(seal).is_ok());
        (*version == self.version).then_some((body, sealed))
    }
}
