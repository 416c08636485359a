//! How many control frames a client may send: they cost us an answer and are no message to be limited elsewhere.

use std::time::Duration;

use tokio::time::Instant;

/// Ten a second; a client pings every few seconds at most.
const EVERY: Duration = Duration::from_millis(100);
/// 50 at once after a pause.
const BURST: Duration = Duration::from_secs(5);
/// So many above the limit without a pause, 2 s of being slowed down, are no mistake.
const STRIKES_MAX: u32 = 20;

/// Slows a client down, then gives it up.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// When the allowance would be used up at the allowed rate.
    used_until: Instant,
    strikes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// Read on only then.
    PauseUntil(Instant),
    Abuse,
}

impl Throttle {
    pub(crate) fn new(now: Instant) -> Self {
        Self { used_until: now, strikes: 0 }
    }

    pub(crate) fn take(&mut self, now: Instant) -> Verdict {
        if self.used_until <= now {
            (self.used_until, self.strikes) = (now, 0);
        }
        if self.used_until + EVERY <= now + BURST {
            self.used_until += EVERY;
            return Verdict::Pass;
        }
        self.strikes += 1;
        if self.strikes > STRIKES_MAX { Verdict::Abuse } else { Verdict::PauseUntil(now + EVERY) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_pings_now_and_then_is_never_slowed_down() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        assert!((0..10_000).all(|i| throttle.take(start + i * EVERY) == Verdict::Pass));
    }

    #[test]
    fn a_flood_is_slowed_down_and_then_ended() {
        let start = Instant::now();
        let (mut now, mut throttle) = (start, Throttle::new(start));
        assert!((0..50).all(|_| throttle.take(now) == Verdict::Pass));
        loop {
            match throttle.take(now) {
                Verdict::PauseUntil(then) => now = then,
                Verdict::Abuse => break,
                Verdict::Pass => {}
            }
        }
        assert_eq!(now, start + STRIKES_MAX * EVERY);
    }
}
