//! Points in time.

use serde::{Deserialize, Serialize};

/// Counts milliseconds since 1970-01-01T00:00:00Z.
///
/// Times are shown to people and never order anything: order is the [`Seq`](super::Seq) alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Adds `ms` milliseconds; saturates instead of wrapping.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to `self`, negative when `earlier` is the later one.
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}
