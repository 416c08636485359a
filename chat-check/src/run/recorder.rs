//! Writes the history while it happens.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::Mutex;

use crate::history::{self, Event, Fault, Record};

/// Writes a history. Clones write the same one.
#[derive(Clone, Debug)]
pub(super) struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    /// Held while a line gets its time, so that times rise from line to line.
    out: Mutex<Out>,
    counts: [AtomicU64; 3],
}

#[derive(Debug)]
struct Out {
    file: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Recorder {
    pub(super) fn to(path: &Path) -> io::Result<Self> {
        let out = Out { file: BufWriter::new(File::create(path)?), failed: None };
        Ok(Self(Arc::new(Inner { began: Instant::now(), out: Mutex::new(out), counts: Default::default() })))
    }

    /// Returns the time, as in the history.
    pub(super) fn now(&self) -> u64 {
        self.0.began.elapsed().as_micros().try_into().unwrap_or(u64::MAX)
    }

    /// Writes what has happened just now.
    pub(super) fn add(&self, event: Event) {
        let count = match event {
            Event::Send(_) => Some(0),
            Event::Ack(_) => Some(1),
            Event::Recv(_) => Some(2),
            _ => None,
        };
        if let Some(count) = count {
            self.0.counts[count].fetch_add(1, Relaxed);
        }
        let mut out = self.0.out.lock();
        let record = Record { t: self.now(), event };
        if let Err(error) = history::write(&mut out.file, &record) {
            out.failed.get_or_insert(error);
        }
    }

    /// Writes that something was broken from `start` until now.
    pub(super) fn fault(&self, kind: &str, target: &str, start: u64) {
        self.add(Event::Fault(Fault { kind: kind.into(), target: target.into(), start, stop: self.now() }));
    }

    /// Returns how many drafts were sent, acknowledged and received so far.
    pub(super) fn counts(&self) -> [u64; 3] {
        self.0.counts.each_ref().map(|count| count.load(Relaxed))
    }

    /// Says whether all was written.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut out = self.0.out.lock();
        out.failed.take().map_or(Ok(()), Err)?;
        out.file.flush()
    }
}
