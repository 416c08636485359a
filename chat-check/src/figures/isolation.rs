//! What slow clients cost the others and the server, out of a history of the scenario `slow`.
//!
//! Its samples are `phase` (1 without slow clients, 2 with them, 3 when they read again), `rss_kib`, `parked` and
//! `closed` (the server's counters), and `live_us` (a round trip of a request for next to nothing).

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Duration,
};

use super::{Ms, Times};
use crate::history::{Event, Fault, How, Name, Record};

/// Holds the figures of both phases, and what became of the slow.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Isolation {
    /// Clients that stopped reading altogether.
    pub stalled: u64,
    /// Clients that read at 64 kbit/s.
    pub narrow: u64,
    /// From sending to each healthy receiver, without slow clients and with them.
    pub delivery: [Times; 2],
    /// Round trips of a request for next to nothing, in the same phases.
    pub live: [Times; 2],
    /// The most memory of the server in each phase, and what it had at the end.
    pub rss_kib: [u64; 3],
    /// The most by which memory exceeded, in the phase with slow clients, what the growth of the phase without them
    /// led to: a log that gets longer fills the store's cache, whoever reads it.
    pub grown_kib: u64,
    /// How often the server left a session behind, in the phase with slow clients.
    pub parked: u64,
    /// From a stalled client's last word to the server's giving it up as slow.
    pub closed: Times,
    /// Stalled clients that read why, when they read again.
    pub told: u64,
    /// Times a client that reads at 64 kbit/s had to connect again.
    pub narrow_cut: u64,
}

/// The memory that a client may cost the server: its outbox, and a tenth.
const CLIENT_KIB: u64 = 256 + 26;
/// What memory wanders by around its growth, by the allocator and by when SQLite writes what.
const NOISE_KIB: u64 = 4 * 1024;
/// The 99th percentile may grow by a quarter; it is an error when it grows to five times that.
const RATIO_MEANT: f64 = 1.25;
/// When who takes nothing is closed; it may be five times as late.
const CLOSED_FROM: Duration = Duration::from_mins(1);
const CLOSED_BY: Duration = Duration::from_secs(60 + 5 * 5);
/// The code `slow, resume`.
const SLOW: u16 = 4010;

impl Isolation {
    /// Takes the figures of a history, if it is of this scenario.
    pub fn of(history: &[Record]) -> Option<Self> {
        let faults = |kind| {
            let faults = history.iter().filter_map(move |record| match &record.event {
                Event::Fault(fault) if &*fault.kind == kind => Some(fault),
                _ => None,
            });
            faults.collect::<Vec<&Fault>>()
        };
        let (stalled, narrow) = (faults("stalled"), faults("narrow"));
        if stalled.is_empty() {
            return None;
        }
        let (mut found, mut pass) = (Self::default(), Pass::default());
        (found.stalled, found.narrow) = (stalled.len() as u64, narrow.len() as u64);
        pass.starts = stalled.iter().map(|fault| fault.start).collect();
        pass.starts.sort_unstable();
        pass.stalled = stalled.into_iter().map(|fault| &fault.target).collect();
        pass.narrow = narrow.into_iter().map(|fault| &fault.target).collect();
        for record in history {
            pass.see(record, &mut found);
        }
        let ([a, b], [c, d]) = (&mut found.delivery, &mut found.live);
        for times in [a, b, c, d, &mut found.closed] {
            times.0.sort_unstable();
        }
        Some(found)
    }

    /// Returns what is not as it must be, in words.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut must = |good: bool, says: String| broken.extend((!good).then_some(says));
        let closed = self.closed.count() as u64;
        must(self.parked >= self.stalled, format!("{} times parked, {} stalled", self.parked, self.stalled));
        must(closed == self.stalled, format!("{closed} of {} stalled clients were closed", self.stalled));
        for (percent, what) in [(0, "first"), (100, "last")] {
            let at = self.closed.percentile(percent).unwrap_or(CLOSED_FROM);
            must(at >= CLOSED_FROM && at <= CLOSED_BY, format!("the {what} of them was closed after {at:?}"));
        }
        must(self.narrow_cut == 0, format!("readers at 64 kbit/s were cut off {} times", self.narrow_cut));
        let (grown, budget) = (self.grown_kib, self.budget_kib());
        must(grown <= budget, format!("memory grew by {grown} KiB more than before, {budget} KiB are allowed"));
        let ratio = self.ratio();
        must(ratio <= 5.0 * RATIO_MEANT, format!("p99 of the healthy is {ratio:.2} of that before"));
        broken
    }

    fn budget_kib(&self) -> u64 {
        // Who reads slowly fills an outbox, too.
        (self.stalled + self.narrow) * CLIENT_KIB + NOISE_KIB
    }

    /// Returns how many times as long the healthy waited; endlessly if nothing came.
    fn ratio(&self) -> f64 {
        let [without, with] = self.delivery.each_ref().map(|times| times.percentile(99));
        without.zip(with).map_or(f64::INFINITY, |(without, with)| with.as_secs_f64() / without.as_secs_f64())
    }
}

/// Is what has to be known of the lines before.
#[derive(Default)]
struct Pass<'h> {
    phase: u64,
    stalled: HashSet<&'h Name>,
    narrow: HashSet<&'h Name>,
    /// When clients stalled, in order.
    starts: Vec<u64>,
    sent: HashMap<&'h Name, u64>,
    /// Times and memory at the beginning and the end of the phase without slow clients.
    memory: Option<[(u64, u64); 2]>,
    /// The counters when the phase with slow clients began.
    parked_before: u64,
    closed_before: u64,
}

impl<'h> Pass<'h> {
    fn see(&mut self, Record { t, event }: &'h Record, found: &mut Isolation) {
        match event {
            Event::Sample(it) => self.measured(*t, &it.what, it.value, found),
            Event::Send(it) => drop(self.sent.entry(&it.key).or_insert(*t)),
            Event::Recv(it) if it.how == How::Live && !self.is_slow(&it.c) => {
                // A draft belongs to the phase in which it arrives.
                if let (Some(sent), Some(times)) = (self.sent.get(&it.key), at(&mut found.delivery, self.phase)) {
                    times.0.push(t - sent);
                }
            }
            Event::Open(it) if self.phase >= 2 && self.narrow.contains(&it.c) => found.narrow_cut += 1,
            Event::Close(it) if it.code == SLOW && self.stalled.contains(&it.c) => found.told += 1,
            _ => {}
        }
    }

    fn measured(&mut self, t: u64, what: &str, value: u64, found: &mut Isolation) {
        match what {
            "phase" => self.phase = value,
            "rss_kib" => self.remembers(t, value, found),
            "live_us" => {
                if let Some(times) = at(&mut found.live, self.phase) {
                    times.0.push(value);
                }
            }
            "parked" if self.phase < 2 => self.parked_before = value,
            "parked" if self.phase == 2 => found.parked = value - self.parked_before,
            "closed" if self.phase < 2 => self.closed_before = value,
            "closed" => {
                let counted = usize::try_from(value - self.closed_before).unwrap_or(usize::MAX);
                // Whoever they were: the first is not closed earlier than the first that stalled may be, and so on.
                let new = self.starts.iter().take(counted).skip(found.closed.count());
                found.closed.0.extend(new.map(|start| t - start).collect::<Vec<_>>());
            }
            _ => {}
        }
    }

    fn remembers(&mut self, t: u64, kib: u64, found: &mut Isolation) {
        match self.phase {
            1 => self.memory.get_or_insert([(t, kib); 2])[1] = (t, kib),
            2 => found.grown_kib = found.grown_kib.max(kib.saturating_sub(self.expected_kib(t))),
            _ => {}
        }
        match at(&mut found.rss_kib, self.phase) {
            Some(last) if self.phase == 3 => *last = kib,
            Some(most) => *most = kib.max(*most),
            None => {}
        }
    }

    /// Returns the memory that the server would have if it had gone on growing as it did without slow clients.
    fn expected_kib(&self, t: u64) -> u64 {
        let [(t0, first), (t1, last)] = self.memory.unwrap_or_default();
        first + last.saturating_sub(first) * (t - t0) / (t1 - t0).max(1)
    }

    fn is_slow(&self, c: &Name) -> bool {
        self.stalled.contains(c) || self.narrow.contains(c)
    }
}

/// Returns the place of a phase, which begin with 1.
fn at<T, const N: usize>(list: &mut [T; N], phase: u64) -> Option<&mut T> {
    list.get_mut(usize::try_from(phase).ok()?.checked_sub(1)?)
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} clients took nothing, {} read at 64 kbit/s", self.stalled, self.narrow)?;
        for (what, [without, with]) in [("healthy delivery", &self.delivery), ("round trip of /live", &self.live)] {
            for (phase, times) in [("without", without), ("with", with)] {
                let ms = |percent| Ms(times.percentile(percent).unwrap_or_default());
                writeln!(f, "{what:<20}{phase:<8}{:>8} times  p50 {:>9}  p99 {:>9}", times.count(), ms(50), ms(99))?;
            }
        }
        let [without, with, after] = self.rss_kib;
        writeln!(f, "p99 of the healthy, with to without: {:.2}; {RATIO_MEANT} is meant", self.ratio())?;
        writeln!(f, "memory: {without} KiB without, {with} KiB with, {after} KiB after")?;
        writeln!(f, "beyond its growth before, at most {} KiB; {} KiB are allowed", self.grown_kib, self.budget_kib())?;
        let ms = |percent| Ms(self.closed.percentile(percent).unwrap_or_default());
        let closed = self.closed.count();
        writeln!(f, "{closed} closed as slow, after {} to {}; {} read why", ms(0), ms(100), self.told)?;
        write!(f, "parked {} times; readers at 64 kbit/s cut off {} times", self.parked, self.narrow_cut)?;
        self.broken().iter().try_for_each(|says| write!(f, "\nBROKEN: {says}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// A run in which a healthy client waits 1 ms without and `with_ms` with a stalled one, which is closed after
    /// `closed_s`.
    fn run(with_ms: u64, closed_s: u64, grown_kib: u64) -> Isolation {
        let sample = |t, what: &str, value| format!(r#"{{"t":{t},"event":"sample","what":"{what}","value":{value}}}"#);
        let delivery = |t: u64, c: &str, key: &str, took: u64| {
            [
                format!(r#"{{"t":{t},"event":"send","c":"a","user":"ann","room":"tea","key":"{key}","hash":"h"}}"#),
                format!(
                    r#"{{"t":{},"event":"recv","c":"{c}","user":"bob","room":"tea","seq":2,"id":"e","key":"{key}","hash":"h","how":"live"}}"#,
                    t + took
                ),
            ]
        };
        let start = 10 * SECOND;
        let closed = start + closed_s * SECOND;
        let mut lines = vec![sample(0, "phase", 1), sample(1, "rss_kib", 49_000), sample(2, "parked", 3)];
        lines.extend([sample(3, "closed", 2), sample(4, "live_us", 500)]);
        lines.extend(delivery(SECOND, "b", "k1", 1_000));
        lines.push(sample(5 * SECOND, "rss_kib", 50_000)); // so 51,000 at the start
        lines.extend([sample(start, "phase", 2), sample(start, "rss_kib", 51_000 + grown_kib)]);
        lines.extend(delivery(start + SECOND, "b", "k2", with_ms * 1_000));
        lines.extend(delivery(start + 2 * SECOND, "slow", "k3", 9 * SECOND));
        lines.extend([sample(closed - 1, "parked", 5), sample(closed, "closed", 3), sample(closed + 1, "phase", 3)]);
        lines.push(format!(r#"{{"t":{closed},"event":"close","c":"still","link":1,"code":4010}}"#));
        for (kind, c) in [("stalled", "still"), ("narrow", "slow")] {
            lines.push(format!(
                r#"{{"t":{closed},"event":"fault","kind":"{kind}","target":"{c}","start":{start},"stop":{closed}}}"#
            ));
        }
        let history: Vec<_> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        Isolation::of(&history).unwrap()
    }

    #[test]
    fn only_the_healthy_are_compared() {
        let found = run(2, 61, 300);
        assert_eq!((found.delivery[0].0.clone(), found.delivery[1].0.clone()), (vec![1_000], vec![2_000]));
        assert_eq!((found.parked, found.told, found.closed.0.clone()), (2, 1, vec![61 * SECOND]));
        assert_eq!(found.broken(), Vec::<String>::new());
    }

    #[test]
    fn what_is_too_early_too_late_too_slow_or_too_large_is_named() {
        assert_eq!(run(1, 59, 0).broken().len(), 2, "both the first and the last were early");
        assert_eq!(run(1, 86, 0).broken().len(), 2);
        assert_eq!(run(7, 61, 0).broken(), ["p99 of the healthy is 7.00 of that before"]);
        let budget = 2 * CLIENT_KIB + NOISE_KIB;
        assert_eq!(
            run(1, 61, budget + 1).broken(),
            [format!("memory grew by {} KiB more than before, {budget} KiB are allowed", budget + 1)]
        );
    }

    #[test]
    fn another_scenario_has_no_such_figures() {
        assert!(Isolation::of(&[]).is_none());
    }
}
