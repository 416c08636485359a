//! Chance that a seed decides.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Entropy;

/// Is a source of numbers that look random and follow from a seed (SplitMix64): no secret, and the same on every machine.
///
/// It is an [`Entropy`], too, so that an engine can be given one.
#[derive(Debug)]
pub struct Chance(Mutex<u64>);

impl Chance {
    /// Makes the source of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// Makes a source of its own for a part, so that what other parts draw does not change what this one draws.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::new(self.draw())
    }

    /// Draws a number.
    pub fn draw(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number below `end`; 0 when there is none.
    pub fn below(&self, end: usize) -> usize {
        usize::try_from(self.draw() % (end.max(1) as u64)).unwrap_or_default()
    }

    /// Is true in so many of 100 cases.
    pub fn percent(&self, odds: u8) -> bool {
        self.draw() % 100 < u64::from(odds)
    }

    /// Draws a time up to `longest`, in whole milliseconds.
    pub fn time(&self, longest: Duration) -> Duration {
        let end = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        Duration::from_millis(self.draw() % end)
    }

    /// Draws one of these; `None` when there are none.
    pub fn one_of<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

impl Entropy for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_be_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let chance = Chance::new(0);
        assert_eq!([chance.draw(), chance.draw()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        let (one, two) = (Chance::new(7).fork(), Chance::new(7).fork());
        assert!((0..100).all(|_| one.draw() == two.draw()));
    }

    #[test]
    fn odds_are_met_roughly_and_bounds_exactly() {
        let chance = Chance::new(1);
        let hits = (0..10_000).filter(|_| chance.percent(10)).count();
        assert!((800..1_200).contains(&hits), "{hits} of 10,000");
        assert!((0..1_000).all(|_| !chance.percent(0) && chance.percent(100) && chance.below(3) < 3));
        assert!((0..1_000).all(|_| chance.time(Duration::from_millis(2)) <= Duration::from_millis(2)));
        assert_eq!((chance.below(0), chance.one_of::<u8>(&[])), (0, None));
    }
}
