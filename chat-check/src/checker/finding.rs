//! What is wrong with a history, and the few lines that show it.

use std::{collections::BTreeMap, fmt};

use crate::history::Record;

/// Is one of the promises that a history can break. Their words are in `docs/reliability.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // `title` says what each is
pub enum Promise {
    P1,
    P2,
    P3,
    P4,
    P5,
    P6,
    P7,
    P8,
    P11,
    P12,
    P13,
    P14,
    P15,
}

impl Promise {
    /// Returns the promise in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Self::P1 => "what was acknowledged is stored",
            Self::P2 => "a key is stored once",
            Self::P3 => "an entry is delivered once",
            Self::P4 => "one order for all",
            Self::P5 => "nothing is missing without a word",
            Self::P6 => "nothing is shown that is not stored",
            Self::P7 => "a log has no holes",
            Self::P8 => "everybody arrives at the end",
            Self::P11 => "a server that stops answers first",
            Self::P12 => "only members receive and send",
            Self::P13 => "a revoked login hears no more",
            Self::P14 => "presence is right, a little late",
            Self::P15 => "a command has one answer",
        }
    }
}

/// Is the number of a line of a history, from 0.
pub(super) type At = usize;

/// Is one broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// What is wrong, in a sentence.
    pub what: String,
    /// The lines that show it, numbered from 0, the fewest that do.
    pub witness: Vec<usize>,
}

/// Violations kept of each promise; more are only counted. One fault shows in many lines, and ten are read.
const KEPT_MAX: usize = 10;

/// Collects violations.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    pub(super) kept: Vec<Violation>,
    pub(super) counts: BTreeMap<Promise, u64>,
}

impl Findings {
    pub(super) fn add(&mut self, promise: Promise, witness: &[At], what: String) {
        let count = self.counts.entry(promise).or_default();
        *count += 1;
        if *count > KEPT_MAX as u64 {
            return;
        }
        let mut witness = witness.to_vec();
        witness.sort_unstable();
        witness.dedup();
        self.kept.push(Violation { promise, what, witness });
    }
}

impl Violation {
    /// Shows the violation with its lines of `history`, shortened where a line is a whole log.
    pub fn show<'a>(&'a self, history: &'a [Record]) -> impl fmt::Display + 'a {
        Shown { violation: self, history }
    }
}

struct Shown<'a> {
    violation: &'a Violation,
    history: &'a [Record],
}

/// A line that shows more than this shows too much.
const LINE_CHARS_MAX: usize = 240;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { promise, what, witness } = self.violation;
        write!(f, "{promise:?} ({}): {what}", promise.title())?;
        for at in witness {
            let line = self.history.get(*at).map(|record| serde_json::to_string(record).unwrap_or_default());
            let line = line.unwrap_or_default();
            let end = if line.chars().count() > LINE_CHARS_MAX { "…" } else { "" };
            write!(f, "\n  line {}: {}{end}", at + 1, line.chars().take(LINE_CHARS_MAX).collect::<String>())?;
        }
        Ok(())
    }
}
