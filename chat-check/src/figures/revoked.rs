//! How soon connections end whose login has ended, out of a history of the scenario `revoke`.

use std::collections::HashMap;

use super::Times;
use crate::history::{Event, Record};

/// Returns how long after the end of its login each client was cut off: with a broker, and without one. A client that
/// is not cut off waits to the end.
pub(super) fn cut_off(history: &[Record]) -> [Times; 2] {
    let mut open = HashMap::new();
    let mut times = [Times::default(), Times::default()];
    let mut hung_up = HashMap::new();
    for Record { t, event } in history {
        match event {
            Event::Revoked(it) if hung_up.contains_key(&it.c) => times[which(it.within_ms)].0.push(0),
            Event::Revoked(it) => drop(open.insert(&it.c, (*t, it.within_ms))),
            Event::Open(it) => drop(hung_up.remove(&it.c)),
            Event::Hangup(it) => {
                hung_up.insert(&it.c, *t);
                if let Some((since, within_ms)) = open.remove(&it.c) {
                    times[which(within_ms)].0.push(t - since);
                }
            }
            _ => {}
        }
    }
    let end = history.last().map_or(0, |record| record.t);
    for (since, within_ms) in open.into_values() {
        times[which(within_ms)].0.push(end - since);
    }
    times
}

fn which(within_ms: u64) -> usize {
    usize::from(within_ms > 2_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn who_is_not_cut_off_waits_to_the_end() {
        let lines = [
            r#"{"t":1,"event":"open","c":"a","link":1}"#,
            r#"{"t":2,"event":"hangup","c":"a","link":1}"#,
            r#"{"t":3,"event":"open","c":"a","link":2}"#,
            r#"{"t":4,"event":"hangup","c":"d","link":4}"#,
            r#"{"t":5,"event":"revoked","c":"a","why":"ban","within_ms":2000}"#,
            r#"{"t":5,"event":"revoked","c":"b","why":"ban","within_ms":30000}"#,
            r#"{"t":5,"event":"revoked","c":"d","why":"ban","within_ms":2000}"#,
            r#"{"t":9,"event":"hangup","c":"a","link":2}"#,
            r#"{"t":50,"event":"hangup","c":"c","link":3}"#,
        ];
        let history: Vec<Record> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [with, without] = cut_off(&history);
        assert_eq!((with.0, without.0), (vec![0, 4], vec![45]));
    }
}
