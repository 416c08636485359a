//! The checker is itself checked: of a history that keeps all promises, each mutant that breaks one is rejected, by
//! the name of that promise.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accepted;
mod clean;
mod commands;
mod presence;
mod rejected;
mod restored;
mod revoked;

use chat_check::{
    checker::{Promise, Verdict, check},
    history::{Event, Record},
};

/// Gives the events times and judges them.
fn judge(events: Vec<Event>) -> (Vec<Record>, Verdict) {
    let record = |(at, event)| Record { t: 1_000 * at as u64, event };
    let history: Vec<_> = events.into_iter().enumerate().map(record).collect();
    let verdict = check(&history);
    (history, verdict)
}

/// A witness is short enough to be read.
const WITNESS_MAX: usize = 3;

/// The mutant of the clean history must be rejected by this promise, and with the lines that show it.
fn rejects(promise: Promise, mutate: impl FnOnce(&mut Vec<Event>)) {
    let mut events = clean::history();
    mutate(&mut events);
    let (history, verdict) = judge(events);
    let found: Vec<_> = verdict.violations.iter().map(|violation| violation.promise).collect();
    assert!(found.contains(&promise), "{promise:?} is not among {found:?}");
    for violation in &verdict.violations {
        assert!((1..=WITNESS_MAX).contains(&violation.witness.len()), "{violation:?}");
        assert!(violation.show(&history).to_string().contains("\n  line "));
    }
}

/// The history must be accepted.
fn accepts(events: Vec<Event>) -> Verdict {
    let (history, verdict) = judge(events);
    let shown: Vec<_> = verdict.violations.iter().map(|violation| violation.show(&history).to_string()).collect();
    assert!(verdict.is_clean(), "{}", shown.join("\n"));
    verdict
}
