//! What it takes when all who sat on a node that has died come to the others, out of a history of the scenario `storm`, and
//! what became of those who only sit there, in all scenarios.

use std::fmt;

use super::Times;
use crate::history::{Event, Record};

/// Holds what was measured of those who only sit there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Storm {
    /// Those who did not hear what was said in the end, and what others saw that nobody should.
    pub astray: u64,
    /// Those who heard what was said in the end.
    pub heard: u64,
    /// The memory of all nodes before, and of those that were left at its peak, in KiB.
    pub steady_kib: u64,
    #[allow(missing_docs)] // see above
    pub peak_kib: u64,
    /// Reads of logs, and how many they are if each node reads each room once in a quarter of a second.
    pub reads: u64,
    #[allow(missing_docs)] // see above
    pub reads_meant: u64,
}

/// Returns that, and how long each was away; nothing if nobody sat there. Of several rounds the largest figures count.
pub(super) fn storm(history: &[Record]) -> (Option<Storm>, Times) {
    let (mut storm, mut back) = (Storm::default(), Times::default());
    for Record { event, .. } in history {
        let Event::Sample(it) = event else { continue };
        match &*it.what {
            "back_us" => back.0.push(it.value),
            "idle_heard" => storm.heard = it.value,
            "idle_missing" | "idle_wrong" => storm.astray += it.value,
            "steady_kib" => storm.steady_kib = storm.steady_kib.max(it.value),
            "peak_kib" => storm.peak_kib = storm.peak_kib.max(it.value),
            "reads" => storm.reads += it.value,
            "reads_meant" => storm.reads_meant += it.value,
            _ => {}
        }
    }
    ((storm != Storm::default()).then_some(storm), back)
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { astray, heard, steady_kib, peak_kib, reads, reads_meant } = self;
        write!(f, "of those who only sit there {heard} heard what was said in the end; astray: {astray}")?;
        if *peak_kib > 0 {
            let percent = peak_kib * 100 / steady_kib.max(&1);
            write!(f, "\nmemory of all nodes before {steady_kib} KiB, of those left at the peak {peak_kib} KiB: ")?;
            write!(f, "{percent} %, 150 % is meant")?;
        }
        if *reads > 0 {
            let percent = reads * 100 / reads_meant.max(&1);
            write!(
                f,
                "\n{reads} reads of logs until all were back; one per hall, node and 250 ms are {reads_meant}: "
            )?;
            write!(f, "{percent} %, 100 % is meant")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_storm_is_told_by_its_samples() {
        let sample = |what: &str, value: u64| {
            serde_json::from_str(&format!(r#"{{"t":1,"event":"sample","what":"{what}","value":{value}}}"#)).unwrap()
        };
        assert_eq!(storm(&[sample("growth_kib", 9)]), (None, Times::default()));
        let all = [("back_us", 700), ("back_us", 900), ("idle_heard", 2), ("idle_missing", 1), ("idle_wrong", 2)];
        let all = all.into_iter().chain([("steady_kib", 300), ("peak_kib", 390), ("reads", 8), ("reads_meant", 4)]);
        let (found, back) = storm(&all.map(|(what, value)| sample(what, value)).collect::<Vec<_>>());
        let found = found.unwrap();
        assert_eq!((back.0, found.astray, found.heard), (vec![700, 900], 3, 2));
        let shown = found.to_string();
        assert!(shown.contains("130 %, 150 % is meant") && shown.contains("200 %, 100 % is meant"), "{shown}");
    }
}
