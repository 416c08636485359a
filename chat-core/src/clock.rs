//! Time and chance, injected so that a run can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// Tells the time of day. Durations are tokio's, which a test can pause.
pub trait Clock: Send + Sync {
    /// Returns the time now.
    fn now(&self) -> Timestamp;
}

/// Gives random bytes, fit for ids.
pub trait Entropy: Send + Sync {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Is the machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // Before 1970 the machine's clock is wrong by more than any answer could mend.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Is the machine's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        uuid_fill(bytes);
    }
}

fn uuid_fill(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        // No random source at all, as in a broken sandbox: ids only need to be unique, so derive them from the clock.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let seed = nanos.to_be_bytes();
        bytes.iter_mut().zip(seed.iter().cycle()).for_each(|(byte, seed)| *byte = *seed);
    }
}

/// Returns `N` random bytes.
pub(crate) fn bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}
