//! When to ping, and when to give a connection up. Pure: time is handed in.

use std::time::Duration;

use chat_core::CloseCode;
use tokio::time::Instant;

use super::outbox::Pulse;
use crate::WsConfig;

/// Keeps the time of one connection.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    ping_every: Duration,
    pong_within: Duration,
    stalled_after: Duration,
    hello_by: Instant,
    ping: Option<Ping>,
}

#[derive(Debug)]
struct Ping {
    at: Instant,
    /// Nothing had been pushed since the client was last heard, so nothing is on the way before the ping.
    is_alone: bool,
}

/// Is what is known at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    pub(crate) now: Instant,
    pub(crate) heard_at: Instant,
    pub(crate) pulse: Pulse,
    pub(crate) is_greeted: bool,
}

/// Is what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing; look again then.
    Until(Instant),
    /// Ping, and look again then.
    Ping(Instant),
    Close(CloseCode),
}

impl Heartbeat {
    pub(crate) fn new(config: &WsConfig, now: Instant, hello_within: Duration) -> Self {
        Self {
            ping_every: config.ping_every,
            pong_within: config.pong_within,
            stalled_after: config.stalled_after,
            hello_by: now + hello_within,
            ping: None,
        }
    }

    pub(crate) fn beat(&mut self, signs: &Signs) -> Beat {
        if self.ping.as_ref().is_some_and(|ping| signs.heard_at > ping.at) {
            self.ping = None; // whatever came is as good as a pong
        }
        if !signs.is_greeted && signs.now >= self.hello_by {
            return Beat::Close(CloseCode::HelloTimeout);
        }
        if signs.now >= self.given_up_at(signs) {
            return Beat::Close(CloseCode::Slow);
        }
        let is_due = self.ping.is_none() && signs.now >= signs.heard_at + self.ping_every;
        if is_due {
            self.ping = Some(Ping { at: signs.now, is_alone: signs.pulse.pushed_at <= signs.heard_at });
        }
        let next = self.next(signs);
        if is_due { Beat::Ping(next) } else { Beat::Until(next) }
    }

    /// Data on the way may delay a pong for long on a thin line: then only a standstill counts.
    fn given_up_at(&self, signs: &Signs) -> Instant {
        let stalled = signs.heard_at.max(signs.pulse.drained_at) + self.stalled_after;
        match &self.ping {
            Some(ping) if ping.is_alone => stalled.min(ping.at + self.pong_within),
            _ => stalled,
        }
    }

    fn next(&self, signs: &Signs) -> Instant {
        let mut next = self.given_up_at(signs);
        if self.ping.is_none() {
            next = next.min(signs.heard_at + self.ping_every);
        }
        if signs.is_greeted { next } else { next.min(self.hello_by) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A greeted connection, last heard at 0; times are seconds.
    struct Case {
        start: Instant,
        heart: Heartbeat,
    }

    impl Case {
        fn new() -> Self {
            let start = Instant::now();
            Self { start, heart: Heartbeat::new(&WsConfig::default(), start, 10 * SECOND) }
        }

        fn at(&self, second: u32) -> Instant {
            self.start + second * SECOND
        }

        fn beat(&mut self, now: u32, heard: u32, pushed: u32, drained: u32) -> Beat {
            let pulse = Pulse { pushed_at: self.at(pushed), drained_at: self.at(drained) };
            self.heart.beat(&Signs { now: self.at(now), heard_at: self.at(heard), pulse, is_greeted: true })
        }
    }

    #[test]
    fn a_silent_client_is_pinged_and_closed_without_a_pong() {
        let mut case = Case::new();
        assert_eq!(case.beat(0, 0, 0, 0), Beat::Until(case.at(25)));
        assert_eq!(case.beat(25, 0, 0, 0), Beat::Ping(case.at(33)));
        assert_eq!(case.beat(32, 0, 25, 0), Beat::Until(case.at(33)));
        assert_eq!(case.beat(33, 0, 25, 0), Beat::Close(CloseCode::Slow));
    }

    #[test]
    fn a_pong_keeps_the_connection() {
        let mut case = Case::new();
        assert_eq!(case.beat(25, 0, 0, 0), Beat::Ping(case.at(33)));
        assert_eq!(case.beat(33, 26, 25, 0), Beat::Until(case.at(51)));
        assert_eq!(case.beat(51, 26, 25, 0), Beat::Ping(case.at(59)));
    }

    #[test]
    fn a_client_with_data_on_the_way_has_until_it_stalls() {
        let mut case = Case::new();
        assert_eq!(case.beat(25, 0, 20, 0), Beat::Ping(case.at(60)));
        assert_eq!(case.beat(40, 0, 39, 0), Beat::Until(case.at(60)));
        assert_eq!(case.beat(60, 0, 59, 50), Beat::Until(case.at(110)));
        assert_eq!(case.beat(110, 0, 59, 50), Beat::Close(CloseCode::Slow));
    }

    #[test]
    fn hello_has_its_own_deadline() {
        let mut case = Case::new();
        let pulse = Pulse { pushed_at: case.start, drained_at: case.start };
        let signs = |case: &Case, now| Signs { now: case.at(now), heard_at: case.at(now), pulse, is_greeted: false };
        let early = signs(&case, 1);
        assert_eq!(case.heart.beat(&early), Beat::Until(case.at(10)));
        let late = signs(&case, 10);
        assert_eq!(case.heart.beat(&late), Beat::Close(CloseCode::HelloTimeout));
    }
}
