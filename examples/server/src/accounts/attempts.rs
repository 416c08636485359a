//! How often passwords may be guessed.
//!
//! Wrong guesses count against the address they come from and against the account. The account's count is kept
//! apart for the places its owner has logged in from: strangers who guess stop each other, and not the owner.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Wrong guesses at once and per minute: a person mistypes a few times, a guesser needs millions.
const GUESSES: f64 = 20.0;
const WINDOW: Duration = Duration::from_mins(1);
/// Counts kept; full ones are forgotten first. About 10 MiB.
const KEPT_MAX: usize = 100_000;

/// Is where somebody connects from: an IPv4 address, or the /64 that one IPv6 customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place(IpAddr);

impl Place {
    /// Returns the place of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Is what guesses count against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Place(Place),
    /// The account, from anywhere its owner has not logged in from.
    Strangers(String),
    /// The account, from one place its owner has logged in from.
    Owner(String, Place),
}

#[derive(Clone, Copy, Debug)]
struct Count {
    left: f64,
    at: Instant,
}

/// Counts wrong guesses.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<Key, Count>>);

impl Attempts {
    /// Takes one guess at `user` from `place`, or says how long to wait. A right guess is [given back](Self::refund).
    pub(crate) fn take(&self, user: &str, place: Place, known: bool) -> Result<(), Duration> {
        let keys = keys(user, place, known);
        let mut counts = self.0.lock();
        forget_full(&mut counts);
        let now = Instant::now();
        let wait = keys.iter().filter_map(|key| wait(counts.get(key)?, now)).max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        for key in keys {
            let count = counts.entry(key).or_insert(Count { left: GUESSES, at: now });
            *count = Count { left: left(count, now) - 1.0, at: now };
        }
        Ok(())
    }

    /// Gives back the guess that was right: many people behind one address may log in as often as they like.
    pub(crate) fn refund(&self, user: &str, place: Place, known: bool) {
        let mut counts = self.0.lock();
        for key in keys(user, place, known) {
            if let Some(count) = counts.get_mut(&key) {
                count.left = (count.left + 1.0).min(GUESSES);
            }
        }
    }
}

fn keys(user: &str, place: Place, known: bool) -> [Key; 2] {
    let user = user.to_owned();
    [Key::Place(place), if known { Key::Owner(user, place) } else { Key::Strangers(user) }]
}

/// Guesses come back evenly over the window.
fn left(count: &Count, now: Instant) -> f64 {
    let back = now.duration_since(count.at).as_secs_f64() / WINDOW.as_secs_f64() * GUESSES;
    (count.left + back).min(GUESSES)
}

fn wait(count: &Count, now: Instant) -> Option<Duration> {
    let missing = 1.0 - left(count, now);
    (missing > 0.0).then(|| WINDOW.mul_f64(missing / GUESSES))
}

fn forget_full(counts: &mut HashMap<Key, Count>) {
    if counts.len() < KEPT_MAX {
        return;
    }
    let now = Instant::now();
    counts.retain(|_, count| left(count, now) < GUESSES);
    if counts.len() >= KEPT_MAX {
        // That many guessers within a minute: memory stays bounded, and the hashes' own limit still holds.
        counts.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn place(last: u8) -> Place {
        Place::of([192, 0, 2, last].into())
    }

    fn guess(attempts: &Attempts, user: &str, from: u8, times: usize) -> usize {
        (0..times).filter(|_| attempts.take(user, place(from), false).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_guesses_twenty_times_a_minute() {
        let attempts = Attempts::default();
        let guessed: usize = (0..30).map(|user| guess(&attempts, &format!("user{user}"), 1, 1)).sum();
        assert_eq!(guessed, 20);
        let wait = attempts.take("ann", place(1), false).unwrap_err();
        assert!(wait <= Duration::from_secs(3), "{wait:?}");
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert_eq!(guess(&attempts, "ann", 1, 5), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn guessers_from_everywhere_share_one_count_and_leave_the_owners_alone() {
        let attempts = Attempts::default();
        let guessed: usize = (1..=100).map(|from| guess(&attempts, "ann", from, 1)).sum();
        assert_eq!(guessed, 20);
        assert!(attempts.take("ann", place(200), true).is_ok());
        assert!(attempts.take("bob", place(201), false).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn right_guesses_do_not_count() {
        let attempts = Attempts::default();
        for _ in 0..100 {
            attempts.take("ann", place(1), true).unwrap();
            attempts.refund("ann", place(1), true);
        }
    }

    #[test]
    fn a_place_is_one_customer() {
        let place = |text: &str| Place::of(text.parse().unwrap());
        assert_eq!(place("2001:db8:1:2::1"), place("2001:db8:1:2:ffff::9"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_eq!(place("::ffff:192.0.2.1"), place("192.0.2.1"));
    }
}
