//! What it takes when all who sat on a node that has died come to the others, out of a history of the scenario `storm`, and
//! what became of those who only sit there, in all scenarios.
//!
//! Its samples come round by round: `steady_kib` is the first of each, then `peak_kib`, `reads_meant`, `reads_own` and
//! `reads`.

use std::fmt;

use super::Times;
use crate::history::{Event, Record};

/// What those who are left may need at the most, of what all nodes needed before.
const PEAK_PERCENT: u64 = 150;

/// Holds what was measured of those who only sit there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Storm {
    /// Those who did not hear what was said in the end, and what others saw that nobody should.
    pub astray: u64,
    /// Those who heard what was said in the end.
    pub heard: u64,
    /// What each death of a node took.
    pub rounds: Vec<Round>,
}

/// Is what it took when a node died.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Round {
    /// The memory of all nodes before, and of those that were left at its peak, in KiB.
    pub steady_kib: u64,
    #[allow(missing_docs)] // see above
    pub peak_kib: u64,
    /// Pages of logs that were read, where the database counts them.
    pub reads: Option<u64>,
    /// Of those, what each who comes back reads of its own inbox: nobody can share that.
    pub reads_own: u64,
    /// How many the others are if each node reads each room once in a quarter of a second.
    pub reads_meant: u64,
}

impl Storm {
    /// Returns what is not as it must be, in words.
    pub fn broken(&self) -> Vec<String> {
        let astray = (self.astray > 0).then(|| format!("{} of those who only sit there went astray", self.astray));
        astray.into_iter().chain(self.rounds.iter().flat_map(Round::broken)).collect()
    }
}

impl Round {
    fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.peak_percent() > PEAK_PERCENT {
            broken.push(format!("those left needed {} % of the memory of all", self.peak_percent()));
        }
        if let Some(shared) = self.shared().filter(|shared| *shared > self.reads_meant) {
            broken.push(format!("{shared} reads of rooms, {} are meant", self.reads_meant));
        }
        broken
    }

    /// Returns by how many percent rounded up the peak stands to what was before.
    fn peak_percent(&self) -> u64 {
        (self.peak_kib * 100).div_ceil(self.steady_kib.max(1))
    }

    /// Returns the reads of rooms, which all who are in one can share.
    fn shared(&self) -> Option<u64> {
        self.reads.map(|reads| reads.saturating_sub(self.reads_own))
    }
}

/// Returns that, and how long each was away; nothing if nobody sat there.
pub(super) fn storm(history: &[Record]) -> (Option<Storm>, Times) {
    let (mut storm, mut back) = (Storm::default(), Times::default());
    for Record { event, .. } in history {
        let Event::Sample(it) = event else { continue };
        match &*it.what {
            "back_us" => back.0.push(it.value),
            "idle_heard" => storm.heard = it.value,
            "idle_missing" | "idle_wrong" => storm.astray += it.value,
            "steady_kib" => storm.rounds.push(Round { steady_kib: it.value, ..Round::default() }),
            what => storm.rounds.last_mut().into_iter().for_each(|round| round.measured(what, it.value)),
        }
    }
    ((storm != Storm::default()).then_some(storm), back)
}

impl Round {
    fn measured(&mut self, what: &str, value: u64) {
        match what {
            "peak_kib" => self.peak_kib = value,
            "reads" => self.reads = Some(value),
            "reads_own" => self.reads_own = value,
            "reads_meant" => self.reads_meant = value,
            _ => {}
        }
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of those who only sit there {} heard what was said in the end", self.heard)?;
        write!(f, "; astray: {}", self.astray)?;
        self.rounds.iter().try_for_each(|round| write!(f, "\n{round}"))?;
        self.broken().iter().try_for_each(|says| write!(f, "\nBROKEN: {says}"))
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steady_kib, peak_kib, reads_own, reads_meant, .. } = self;
        write!(f, "memory of all nodes before {steady_kib} KiB, of those left at the peak {peak_kib} KiB: ")?;
        write!(f, "{} %, {PEAK_PERCENT} % is meant", self.peak_percent())?;
        if let Some(shared) = self.shared() {
            write!(f, "\n{shared} reads of rooms until all were back, beside {reads_own} of an inbox by who came; ")?;
            write!(f, "one per room, node and 250 ms are {reads_meant}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn judged(samples: &[(&str, u64)]) -> (Storm, Times) {
        let sample = |(what, value): &(&str, u64)| {
            serde_json::from_str(&format!(r#"{{"t":1,"event":"sample","what":"{what}","value":{value}}}"#)).unwrap()
        };
        let (found, back) = storm(&samples.iter().map(sample).collect::<Vec<_>>());
        (found.unwrap_or_default(), back)
    }

    /// Two rounds in which all is as it must be, just so.
    fn kept() -> Vec<(&'static str, u64)> {
        let first = [("steady_kib", 300), ("peak_kib", 450), ("reads_meant", 8), ("reads_own", 20), ("reads", 28)];
        let second = [("steady_kib", 500), ("peak_kib", 400), ("reads_meant", 8), ("reads_own", 20), ("reads", 4)];
        let ends = [("idle_heard", 2), ("idle_missing", 0), ("idle_wrong", 0)];
        first.into_iter().chain(ends).chain(second).chain(ends).collect()
    }

    /// The same with another value in the first round is rejected, in these words.
    fn rejects(what: &str, value: u64, words: &str) {
        let mut samples = kept();
        samples.iter_mut().find(|(name, _)| *name == what).unwrap().1 = value;
        let (storm, _) = judged(&samples);
        assert_eq!(storm.broken(), [words]);
        assert!(storm.to_string().contains(&format!("BROKEN: {words}")), "{storm}");
    }

    #[test]
    fn a_storm_in_which_all_is_as_it_must_be_is_accepted() {
        let (storm, _) = judged(&kept());
        assert_eq!((storm.broken(), storm.rounds.len(), storm.heard), (vec![], 2, 2));
        let shown = storm.to_string();
        assert!(shown.contains("150 %, 150 % is meant") && shown.contains("250 ms are 8"), "{shown}");
    }

    #[test]
    fn of_a_database_that_does_not_count_no_reads_are_judged() {
        let samples: Vec<_> = kept().into_iter().filter(|(what, _)| *what != "reads").collect();
        assert_eq!(judged(&samples).0.broken(), Vec::<String>::new());
    }

    #[test]
    fn too_much_memory_in_one_round_is_rejected() {
        rejects("peak_kib", 451, "those left needed 151 % of the memory of all");
    }

    #[test]
    fn a_read_more_than_is_meant_in_one_round_is_rejected() {
        rejects("reads", 29, "9 reads of rooms, 8 are meant");
    }

    #[test]
    fn those_who_go_astray_are_rejected() {
        rejects("idle_missing", 1, "1 of those who only sit there went astray");
        rejects("idle_wrong", 3, "3 of those who only sit there went astray");
    }

    #[test]
    fn who_is_back_when_is_told_by_the_samples() {
        let (storm, back) = judged(&[("back_us", 700), ("growth_kib", 9), ("back_us", 900)]);
        assert_eq!((storm, back.0), (Storm::default(), vec![700, 900]));
    }
}
