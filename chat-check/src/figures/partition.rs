//! How nodes bear broken links, out of a history of the scenario `partition`.

use std::collections::HashMap;

use super::Times;
use crate::history::{Event, Name, Record};

/// Returns how long whoever asked while a node was cut off from its store waited for the answer. Requests to all nodes
/// count, since none may suffer; not those whose connection ended, which says as much. A request that is never answered
/// waits to the end.
pub(super) fn storeless(history: &[Record]) -> Times {
    let cuts: Vec<_> = history.iter().filter_map(store_cut).collect();
    let mut waiting = HashMap::<&Name, HashMap<(u64, u64), u64>>::new();
    let mut waits = Vec::new();
    for Record { t, event } in history {
        match event {
            Event::Asked(it) if cuts.iter().any(|(start, stop)| (start..stop).contains(&t)) => {
                waiting.entry(&it.c).or_default().insert((it.link, it.r), *t);
            }
            Event::Answered(it) => {
                let asked = waiting.get_mut(&it.c).and_then(|waiting| waiting.remove(&(it.link, it.r)));
                waits.extend(asked.map(|asked| t - asked));
            }
            Event::Hangup(it) => drop(waiting.remove(&it.c)),
            Event::Open(it) => drop(waiting.remove(&it.c)),
            _ => {}
        }
    }
    let end = history.last().map_or(0, |record| record.t);
    waits.extend(waiting.into_values().flat_map(HashMap::into_values).map(|asked| end - asked));
    Times(waits)
}

/// Returns from when to when a node was cut off from its store.
fn store_cut(record: &Record) -> Option<(u64, u64)> {
    match &record.event {
        Event::Fault(it) if it.kind.starts_with("cut-") && it.target.ends_with("-store") => Some((it.start, it.stop)),
        _ => None,
    }
}

/// Returns after how long a node that was cut off from its clients had ended all their connections.
pub(super) fn half_open(history: &[Record]) -> Times {
    let samples = history.iter().filter_map(|record| match &record.event {
        Event::Sample(sample) if &*sample.what == "half_open_us" => Some(sample.value),
        _ => None,
    });
    Times(samples.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn who_is_not_answered_while_the_store_is_cut_off_waits_to_the_end() {
        let lines = [
            r#"{"t":0,"event":"open","c":"a","link":1}"#,
            r#"{"t":0,"event":"open","c":"b","link":2}"#,
            r#"{"t":5,"event":"asked","c":"a","link":1,"r":1,"room":"tea","key":"k1"}"#,
            r#"{"t":11,"event":"asked","c":"a","link":1,"r":2,"room":"tea","key":"k2"}"#,
            r#"{"t":12,"event":"asked","c":"a","link":1,"r":3,"room":"tea","key":"k3"}"#,
            r#"{"t":13,"event":"asked","c":"b","link":2,"r":1,"room":"tea","key":"k4"}"#,
            r#"{"t":15,"event":"answered","c":"a","link":1,"r":2,"code":"retry"}"#,
            r#"{"t":16,"event":"hangup","c":"b","link":2}"#,
            r#"{"t":20,"event":"fault","kind":"cut-both","target":"node1-store","start":10,"stop":20}"#,
            r#"{"t":90,"event":"answered","c":"a","link":1,"r":1,"code":"ack","stored":[1,"e1"]}"#,
            r#"{"t":99,"event":"sample","what":"half_open_us","value":7}"#,
        ];
        let history: Vec<Record> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(storeless(&history).0, [4, 87], "one before the cut, one that was hung up on, do not count");
        assert_eq!(half_open(&history).0, [7]);
    }
}
