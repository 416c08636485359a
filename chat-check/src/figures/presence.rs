//! How soon watchers see who comes and goes, out of a history of the scenario `presence`.

use std::collections::HashMap;

use super::Times;
use crate::history::{Event, Record};

/// Returns how long after somebody went each watcher was told so, and the same of those who came.
pub(super) fn seen(history: &[Record]) -> [Times; 2] {
    let (mut turns, mut known) = (HashMap::new(), HashMap::new());
    let mut seen = [Times::default(), Times::default()];
    for Record { t, event } in history {
        match event {
            Event::Went(it) => drop(turns.insert(&it.user, (*t, false))),
            Event::Came(it) => drop(turns.insert(&it.user, (*t, true))),
            Event::Seen(it) => {
                let Some((since, _)) = turns.get(&it.user).filter(|(_, here)| *here == it.online) else { continue };
                let is_news = known.insert((&it.c, &it.user), *since) != Some(*since);
                if is_news && !it.listed {
                    seen[usize::from(it.online)].0.push(t - since);
                }
            }
            _ => {}
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_watcher_is_told_in_its_time() {
        let lines = [
            r#"{"t":1,"event":"came","user":"bob"}"#,
            r#"{"t":2,"event":"seen","c":"w1","user":"bob","online":true,"listed":true}"#,
            r#"{"t":3,"event":"seen","c":"w2","user":"bob","online":true}"#,
            r#"{"t":10,"event":"went","user":"bob"}"#,
            r#"{"t":14,"event":"seen","c":"w1","user":"bob","online":false}"#,
            r#"{"t":15,"event":"seen","c":"w2","user":"bob","online":false}"#,
            r#"{"t":16,"event":"seen","c":"w2","user":"bob","online":true}"#,
            r#"{"t":17,"event":"seen","c":"w2","user":"bob","online":false}"#,
        ];
        let history: Vec<Record> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [gone, here] = seen(&history);
        assert_eq!(
            (gone.0, here.0),
            (vec![4, 5], vec![2]),
            "neither what is listed nor a ghost counts, nor what is told again"
        );
    }
}
