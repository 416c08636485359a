//! Background work within one process.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::yield_now, time::Instant};

use super::backlog::{Backlog, Now, Tag, Taken};
use crate::{
    clock::{Clock, SystemClock},
    queue::{
        Consume, DeadId, DeadLetter, DeadLetters, Delivery, Job, QueueError, QueueErrorKind, QueueName, Settle,
        Settlement, WorkQueue,
    },
};

/// Jobs in one queue that are not done: at a thousand a second, ten seconds of workers that do nothing.
const JOBS_MAX: usize = 10_000;

/// Hands jobs to workers in this process that share a clone of it. What is not done is gone with the process.
///
/// Among jobs that can be delivered, those of high priority go first, then the oldest; idle workers take turns.
#[derive(Clone)]
pub struct MemoryQueue {
    trays: Arc<Mutex<BTreeMap<QueueName, Arc<Tray>>>>,
    jobs_max: usize,
    clock: Arc<dyn Clock>,
}

/// Is one named queue: its jobs, and the bell that rings when there is something new to look at.
struct Tray {
    backlog: Mutex<Backlog>,
    changed: Notify,
    clock: Arc<dyn Clock>,
}

impl MemoryQueue {
    /// Makes queues that each take up to 10,000 jobs.
    pub fn new() -> Self {
        Self { trays: Arc::default(), jobs_max: JOBS_MAX, clock: Arc::new(SystemClock) }
    }

    /// Sets how many jobs each queue takes; then it is [full](QueueErrorKind::Full).
    #[must_use]
    pub fn with_capacity(mut self, jobs: usize) -> Self {
        self.jobs_max = jobs;
        self
    }

    /// Sets the clock by which jobs expire.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn tray(&self, queue: &QueueName) -> Arc<Tray> {
        let mut trays = self.trays.lock();
        let new = || Tray { backlog: Mutex::default(), changed: Notify::new(), clock: self.clock.clone() };
        trays.entry(queue.clone()).or_insert_with(|| Arc::new(new())).clone()
    }
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue").field("jobs_max", &self.jobs_max).finish_non_exhaustive()
    }
}

#[async_trait]
impl WorkQueue for MemoryQueue {
    async fn push(&self, queue: &QueueName, job: Job) -> Result<(), QueueError> {
        let pushed = self.tray(queue).change(|backlog, _| backlog.push(job, self.jobs_max));
        pushed.map_err(|kind| QueueError::new(kind, format!("push to memory queue {queue}")))
    }

    async fn consume(
        &self,
        queue: &QueueName,
        how: Consume,
    ) -> Result<BoxStream<'static, Result<Delivery, QueueError>>, QueueError> {
        let tray = self.tray(queue);
        let id = tray.backlog.lock().number();
        let consumer = Consumer { tray, id, how };
        let jobs = stream::unfold(consumer, |consumer| async move { Some((Ok(consumer.next().await), consumer)) });
        Ok(jobs.boxed())
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn is_networked(&self) -> bool {
        false
    }
}

#[async_trait]
impl DeadLetters for MemoryQueue {
    async fn list(&self, queue: &QueueName, after: Option<&DeadId>, limit: u16) -> Result<Vec<DeadLetter>, QueueError> {
        let tray = self.tray(queue);
        let backlog = tray.backlog.lock();
        // Ids are numbers that rise, so paging goes on even when the letter `after` was replayed meanwhile.
        let number = |id: &DeadId| id.as_str().parse::<u64>().unwrap_or_default();
        let after = after.map_or(0, number);
        let letters = backlog.letters().map(|(letter, _)| letter).filter(|letter| number(&letter.id) > after);
        Ok(letters.take(limit.into()).cloned().collect())
    }

    async fn inspect(&self, queue: &QueueName, id: &DeadId) -> Result<Option<Job>, QueueError> {
        let tray = self.tray(queue);
        let backlog = tray.backlog.lock();
        Ok(backlog.letters().find(|(letter, _)| letter.id == *id).map(|(_, job)| job.clone()))
    }

    async fn replay(&self, queue: &QueueName, id: &DeadId) -> Result<bool, QueueError> {
        let replayed = self.tray(queue).change(|backlog, _| backlog.replay(id, self.jobs_max));
        replayed.map_err(|kind| QueueError::new(kind, format!("replay a dead letter of memory queue {queue}")))
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, QueueError> {
        Ok(self.tray(queue).backlog.lock().purge() as u64)
    }
}

impl Tray {
    fn now(&self) -> Now {
        Now { instant: Instant::now(), time: self.clock.now() }
    }

    /// Changes the jobs and lets all waiting consumers look again: one of them alone might be gone or have its hands full.
    fn change<T>(&self, change: impl FnOnce(&mut Backlog, Now) -> T) -> T {
        let changed = change(&mut self.backlog.lock(), self.now());
        self.changed.notify_waiters();
        changed
    }
}

struct Consumer {
    tray: Arc<Tray>,
    id: u64,
    how: Consume,
}

impl Consumer {
    async fn next(&self) -> Delivery {
        // A worker that is always busy lets idle ones go first, so that work spreads even on a single thread.
        yield_now().await;
        loop {
            let changed = self.tray.changed.notified();
            let taken = self.tray.backlog.lock().take(self.id, self.how, self.tray.now());
            match taken {
                Taken::Job(tag, job, attempt) => {
                    let receipt = Receipt { tray: self.tray.clone(), tag };
                    return Delivery::new(job, attempt, Box::new(receipt));
                }
                Taken::Nothing(None) => changed.await,
                Taken::Nothing(Some(due)) => _ = tokio::time::timeout_at(due, changed).await,
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.tray.change(|backlog, now| backlog.release(self.id, now.time));
    }
}

struct Receipt {
    tray: Arc<Tray>,
    tag: Tag,
}

#[async_trait]
impl Settle for Receipt {
    async fn settle(self: Box<Self>, how: Settlement) -> Result<(), QueueError> {
        let settled = self.tray.change(|backlog, now| backlog.settle(self.tag, how, now));
        let gone = || QueueError::new(QueueErrorKind::Other, "settle a delivery that was given back");
        settled.then_some(()).ok_or_else(gone)
    }
}

impl Drop for Receipt {
    /// Gives the job back; one that was settled is not held under this tag any more.
    fn drop(&mut self) {
        self.tray.change(|backlog, now| backlog.give_back(self.tag, now.time));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn name() -> QueueName {
        QueueName::new("jobs").unwrap()
    }

    async fn push(queue: &MemoryQueue, body: &'static str) -> Result<(), QueueErrorKind> {
        queue.push(&name(), Job::new(body)).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn a_full_queue_refuses_until_a_job_is_done() {
        let queue = MemoryQueue::new().with_capacity(2);
        push(&queue, "1").await.unwrap();
        push(&queue, "2").await.unwrap();
        let mut jobs = queue.consume(&name(), Consume::default()).await.unwrap();
        let one = jobs.next().await.unwrap().unwrap();
        assert_eq!(push(&queue, "3").await, Err(QueueErrorKind::Full));
        one.settle(Settlement::Done).await.unwrap();
        assert_eq!(push(&queue, "3").await, Ok(()));
    }

    #[tokio::test]
    async fn a_job_over_one_mebibyte_is_refused() {
        let job = Job::new(vec![0; 1024 * 1024 + 1]);
        assert_eq!(MemoryQueue::new().push(&name(), job).await.unwrap_err().kind(), QueueErrorKind::Invalid);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_retry_sets_off_an_idle_worker_by_itself() {
        let queue = MemoryQueue::new();
        push(&queue, "job").await.unwrap();
        let mut jobs = queue.consume(&name(), Consume::default()).await.unwrap();
        let job = jobs.next().await.unwrap().unwrap();
        job.settle(Settlement::Retry(Duration::from_hours(1))).await.unwrap();
        let begun = Instant::now();
        assert_eq!(jobs.next().await.unwrap().unwrap().attempt, 2);
        assert!(begun.elapsed() >= Duration::from_hours(1));
    }

    #[tokio::test]
    async fn busy_workers_take_turns() {
        let queue = MemoryQueue::new();
        let mut workers = Vec::new();
        for _ in 0..2 {
            let mut jobs = queue.consume(&name(), Consume::default()).await.unwrap();
            workers.push(tokio::spawn(async move {
                let mut done = 0;
                while let Some(Ok(job)) = jobs.next().await {
                    if &job.job.body[..] == b"stop" {
                        job.settle(Settlement::Done).await.unwrap();
                        break;
                    }
                    job.settle(Settlement::Done).await.unwrap();
                    done += 1;
                }
                done
            }));
        }
        for _ in 0..100 {
            push(&queue, "job").await.unwrap();
        }
        for _ in 0..2 {
            push(&queue, "stop").await.unwrap();
        }
        for worker in workers {
            let done: u32 = worker.await.unwrap();
            assert!((40..=60).contains(&done), "one worker did {done} of 100 jobs");
        }
    }

    #[tokio::test]
    async fn only_the_latest_dead_letters_are_kept() {
        let queue = MemoryQueue::new();
        let mut jobs = queue.consume(&name(), Consume::default()).await.unwrap();
        for _ in 0..1_001 {
            push(&queue, "job").await.unwrap();
            jobs.next().await.unwrap().unwrap().settle(Settlement::Dead("no use".into())).await.unwrap();
        }
        assert_eq!(queue.purge(&name()).now_or_never().unwrap().unwrap(), 1_000);
    }
}
