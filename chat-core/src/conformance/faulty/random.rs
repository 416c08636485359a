//! Faults of a store by chance.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Answer, Call, Chance, StoreFault};
use crate::store::{StoreError, StoreErrorKind};

/// Says how often what goes wrong, in percent of all calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreOdds {
    /// A call is refused before the store has seen it. With 100 the store cannot be reached.
    pub refused: u8,
    /// A call is carried out, and its answer is lost.
    pub lost: u8,
    /// A call waits on its way there, and its answer on its way back.
    pub slow: u8,
    /// The longest such wait.
    pub slow_max: Duration,
}

impl StoreOdds {
    /// Lets nothing through.
    pub fn unreachable() -> Self {
        Self { refused: 100, ..Self::default() }
    }

    /// Sets how many calls are refused and how many answers are lost.
    #[must_use]
    pub fn failing(mut self, refused: u8, lost: u8) -> Self {
        (self.refused, self.lost) = (refused, lost);
        self
    }

    /// Sets how many calls and answers are slow, and how slow.
    #[must_use]
    pub fn slow(mut self, slow: u8, longest: Duration) -> Self {
        (self.slow, self.slow_max) = (slow, longest);
        self
    }
}

/// Refuses, loses and slows down by chance, all as transient errors.
#[derive(Debug)]
pub struct RandomFaults {
    chance: Chance,
    odds: Mutex<StoreOdds>,
}

impl RandomFaults {
    /// Makes faults by these odds.
    pub fn new(chance: Chance, odds: StoreOdds) -> Self {
        Self { chance, odds: Mutex::new(odds) }
    }

    /// Sets other odds from now on; the default ones heal.
    pub fn set(&self, odds: StoreOdds) {
        *self.odds.lock() = odds;
    }

    fn odds(&self) -> StoreOdds {
        *self.odds.lock()
    }

    async fn dawdle(&self) {
        let odds = self.odds();
        if self.chance.percent(odds.slow) {
            tokio::time::sleep(self.chance.time(odds.slow_max)).await;
        }
    }
}

#[async_trait]
impl StoreFault for RandomFaults {
    async fn before(&self, _: &mut Call) -> Result<(), StoreError> {
        self.dawdle().await;
        if self.chance.percent(self.odds().refused) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "a fault refused the call"));
        }
        Ok(())
    }

    async fn after(&self, _: &Call, _: &mut Answer) -> Result<(), StoreError> {
        self.dawdle().await;
        if self.chance.percent(self.odds().lost) {
            return Err(StoreError::new(StoreErrorKind::Timeout, "a fault lost the answer"));
        }
        Ok(())
    }
}
