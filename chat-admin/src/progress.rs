//! Telling how far a long command has come: on stderr, every few seconds.

use std::time::{Duration, Instant};

/// Often enough to see that it goes on, seldom enough for a log file.
const EVERY: Duration = Duration::from_secs(2);

/// Counts what is done, and tells it now and then.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    done: u64,
    told: Instant,
}

impl Progress {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, done: 0, told: Instant::now() }
    }

    pub(crate) fn add(&mut self, more: u64) {
        self.done += more;
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            eprintln!("{} {}", self.done, self.what);
        }
    }
}
