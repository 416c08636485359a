//! The jobs of one queue: a plain state machine that reads no clock and waits for nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    model::Timestamp,
    queue::{Consume, DeadId, DeadLetter, Job, Priority, QueueErrorKind, Settlement},
};

/// The largest job.
const JOB_BYTES_MAX: usize = 1024 * 1024;
/// What all jobs of a queue may hold together, and all its dead letters: 64 MiB, as little as a small machine has.
const BYTES_MAX: usize = 64 * JOB_BYTES_MAX;
/// Dead letters kept per queue: enough to see what goes wrong; older ones are forgotten.
const DEAD_MAX: usize = 1_000;

/// The longest delay: nobody waits longer for a job than a process lives, and clocks do not count without end.
const DELAY_MAX: Duration = Duration::from_hours(24 * 365);

/// Is the present: for delays and, by the wall, for expiry.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) time: Timestamp,
}

/// Names one delivery of one job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(u64);

/// Is what there is for a consumer that asks.
pub(super) enum Taken {
    /// A delivery under this tag.
    Job(Tag, Job, u32),
    /// Nothing before this time, unless something changes.
    Nothing(Option<Instant>),
}

#[derive(Default)]
pub(super) struct Backlog {
    /// What can be delivered, in the order it goes. A job keeps its number, so that what is given back returns to its place.
    ready: BTreeMap<(Priority, u64), Waiting>,
    delayed: BTreeMap<(Instant, u64), Waiting>,
    held: BTreeMap<Tag, Held>,
    dead: VecDeque<(DeadLetter, Job)>,
    /// The bytes of all jobs that are not dead.
    bytes: usize,
    numbers: u64,
}

struct Waiting {
    number: u64,
    job: Job,
    attempts: u32,
}

struct Held {
    consumer: u64,
    attempts_max: u32,
    waiting: Waiting,
}

impl Backlog {
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn push(&mut self, job: Job, jobs_max: usize) -> Result<(), QueueErrorKind> {
        let size = job.body.len();
        if size > JOB_BYTES_MAX {
            return Err(QueueErrorKind::Invalid);
        }
        let jobs = self.ready.len() + self.delayed.len() + self.held.len();
        if jobs >= jobs_max || self.bytes + size > BYTES_MAX {
            return Err(QueueErrorKind::Full);
        }
        self.bytes += size;
        let number = self.number();
        self.wait(Waiting { number, job, attempts: 0 });
        Ok(())
    }

    pub(super) fn take(&mut self, consumer: u64, how: Consume, now: Now) -> Taken {
        let holds = self.held.values().filter(|held| held.consumer == consumer).count();
        if holds >= usize::from(how.prefetch.max(1)) {
            return Taken::Nothing(None);
        }
        self.end_delays(now.instant);
        while let Some((_, mut waiting)) = self.ready.pop_first() {
            if waiting.job.expires.is_some_and(|expires| expires <= now.time) {
                self.bury(waiting, "expired", now.time);
                continue;
            }
            waiting.attempts += 1;
            let (tag, job, attempts) = (Tag(self.number()), waiting.job.clone(), waiting.attempts);
            self.held.insert(tag, Held { consumer, attempts_max: how.attempts_max, waiting });
            return Taken::Job(tag, job, attempts);
        }
        Taken::Nothing(self.delayed.keys().next().map(|(due, _)| *due))
    }

    /// Settles a delivery; `false` when it was given back before.
    pub(super) fn settle(&mut self, tag: Tag, how: Settlement, now: Now) -> bool {
        let Some(Held { waiting, attempts_max, .. }) = self.held.remove(&tag) else { return false };
        match how {
            Settlement::Done => self.bytes -= waiting.job.body.len(),
            Settlement::Dead(reason) => self.bury(waiting, &reason, now.time),
            Settlement::Retry(_) if waiting.attempts >= attempts_max => self.exhaust(waiting, now.time),
            Settlement::Retry(after) => {
                let due = now.instant + after.min(DELAY_MAX);
                self.delayed.insert((due, waiting.number), waiting);
            }
        }
        true
    }

    /// Takes a delivery back that nobody settled.
    pub(super) fn give_back(&mut self, tag: Tag, now: Timestamp) {
        let Some(Held { waiting, attempts_max, .. }) = self.held.remove(&tag) else { return };
        if waiting.attempts >= attempts_max {
            self.exhaust(waiting, now);
        } else {
            self.wait(waiting);
        }
    }

    /// Takes everything back that a consumer holds.
    pub(super) fn release(&mut self, consumer: u64, now: Timestamp) {
        let theirs = self.held.iter().filter(|(_, held)| held.consumer == consumer).map(|(tag, _)| *tag);
        theirs.collect::<Vec<_>>().into_iter().for_each(|tag| self.give_back(tag, now));
    }

    pub(super) fn letters(&self) -> impl Iterator<Item = &(DeadLetter, Job)> {
        self.dead.iter()
    }

    /// Pushes the job of a dead letter again; `false` when there is no such letter.
    pub(super) fn replay(&mut self, id: &DeadId, jobs_max: usize) -> Result<bool, QueueErrorKind> {
        let Some(index) = self.dead.iter().position(|(letter, _)| letter.id == *id) else { return Ok(false) };
        let job = Job { expires: None, ..self.dead[index].1.clone() };
        self.push(job, jobs_max)?;
        self.dead.remove(index);
        Ok(true)
    }

    /// Forgets all dead letters.
    pub(super) fn purge(&mut self) -> usize {
        self.dead.drain(..).count()
    }

    fn wait(&mut self, waiting: Waiting) {
        self.ready.insert((waiting.job.priority, waiting.number), waiting);
    }

    fn end_delays(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let waiting = first.remove();
            self.wait(waiting);
        }
    }

    fn exhaust(&mut self, waiting: Waiting, now: Timestamp) {
        let reason = format!("not done after {} attempts", waiting.attempts);
        self.bury(waiting, &reason, now);
    }

    fn bury(&mut self, waiting: Waiting, reason: &str, now: Timestamp) {
        let Waiting { job, attempts, .. } = waiting;
        self.bytes -= job.body.len();
        tracing::warn!(reason, attempts, "a job goes to the dead letters");
        let id = DeadId::new(self.number().to_string());
        self.dead.push_back((DeadLetter::new(id, reason, attempts, now), job));
        while self.dead.len() > DEAD_MAX || self.dead.iter().map(|(_, job)| job.body.len()).sum::<usize>() > BYTES_MAX {
            self.dead.pop_front();
        }
    }
}
