//! The suite of [`WorkQueue`].

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, sleep};

use super::{next, silence, suite};
use crate::{
    clock::{Clock, SystemClock},
    queue::{Consume, Delivery, Job, QueueError, QueueName, Settlement, WorkQueue},
};

suite! {
    ($)
    /// Runs the suite of [`WorkQueue`](crate::WorkQueue): `work_queue_conformance!(name, factory)`, where the
    /// factory gives a [`QueueUnderTest`](crate::conformance::queue::QueueUnderTest).
    work_queue_conformance in queue:
    a_pushed_job_is_delivered_once_it_is_consumed,
    high_priority_goes_first,
    an_expired_job_is_never_delivered,
    a_job_goes_to_one_worker,
    prefetch_bounds_what_one_worker_holds,
    a_dropped_delivery_comes_again,
    a_consumer_that_leaves_gives_back_what_it_held,
    a_retry_comes_after_its_delay,
    a_job_that_keeps_failing_goes_dead,
    a_dead_job_never_comes_again,
}

/// Is a work queue to be tested, with what the cases must know of it.
#[derive(Clone)]
pub struct QueueUnderTest {
    queue: Arc<dyn WorkQueue>,
    quiet: Duration,
}

impl fmt::Debug for QueueUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueUnderTest").field("quiet", &self.quiet).finish_non_exhaustive()
    }
}

impl QueueUnderTest {
    /// Names a work queue that no other case uses.
    pub fn new(queue: Arc<dyn WorkQueue>) -> Self {
        Self { queue, quiet: Duration::from_millis(100) }
    }

    /// Sets after how long without a delivery none will come any more. Default: 100 ms.
    #[must_use]
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    pub(super) async fn push(&self, body: &'static str) {
        self.push_job(Job::new(body)).await;
    }

    async fn push_job(&self, job: Job) {
        self.queue.push(&name(), job).await.expect("push");
    }

    pub(super) async fn consume(&self, prefetch: u16, attempts_max: u32) -> Worker {
        let how = Consume { prefetch, attempts_max };
        Worker { jobs: self.queue.consume(&name(), how).await.expect("consume") }
    }

    pub(super) async fn nothing_comes(&self, worker: &mut Worker, why: &str) {
        silence(&mut worker.jobs, self.quiet, why).await;
    }
}

pub(super) struct Worker {
    jobs: BoxStream<'static, Result<Delivery, QueueError>>,
}

impl Worker {
    async fn next(&mut self) -> Delivery {
        next(&mut self.jobs, "a delivery").await.expect("a delivery")
    }

    pub(super) async fn next_is(&mut self, body: &'static str, attempt: u32) -> Delivery {
        let delivery = self.next().await;
        assert_eq!((&delivery.job.body[..], delivery.attempt), (body.as_bytes(), attempt));
        delivery
    }
}

pub(super) async fn settle(delivery: Delivery, how: Settlement) {
    delivery.settle(how).await.expect("settle");
}

pub(super) fn name() -> QueueName {
    QueueName::new("conformance.jobs").expect("a valid name")
}

/// Also when the consumer comes later; once it is done it never comes again.
pub async fn a_pushed_job_is_delivered_once_it_is_consumed(on: QueueUnderTest) {
    on.push("before").await;
    let mut worker = on.consume(8, 5).await;
    settle(worker.next_is("before", 1).await, Settlement::Done).await;
    on.push("after").await;
    settle(worker.next_is("after", 1).await, Settlement::Done).await;
    drop(worker);
    let mut another = on.consume(8, 5).await;
    on.nothing_comes(&mut another, "both jobs are done").await;
}

/// And jobs of one priority keep their order.
pub async fn high_priority_goes_first(on: QueueUnderTest) {
    for (body, high) in [("n1", false), ("n2", false), ("h1", true), ("h2", true)] {
        on.push_job(if high { Job::new(body).high() } else { Job::new(body) }).await;
    }
    let mut worker = on.consume(1, 5).await;
    for body in ["h1", "h2", "n1", "n2"] {
        settle(worker.next_is(body, 1).await, Settlement::Done).await;
    }
}

/// Whether it expired before or after somebody began to consume.
pub async fn an_expired_job_is_never_delivered(on: QueueUnderTest) {
    let expires = SystemClock.now().plus_ms(100);
    on.push_job(Job::new("late").expires(expires)).await;
    while SystemClock.now() <= expires {
        sleep(Duration::from_millis(20)).await;
    }
    let mut worker = on.consume(8, 5).await;
    on.push_job(Job::new("past").expires(expires)).await;
    on.push_job(Job::new("fresh").expires(SystemClock.now().plus_ms(3_600_000))).await;
    settle(worker.next_is("fresh", 1).await, Settlement::Done).await;
    on.nothing_comes(&mut worker, "the other jobs are expired").await;
}

/// Of several consumers.
pub async fn a_job_goes_to_one_worker(on: QueueUnderTest) {
    let (first, second) = (on.consume(2, 5).await, on.consume(2, 5).await);
    let mut jobs = futures::stream::select(first.jobs, second.jobs);
    let mut open = BTreeSet::new();
    for number in 0..20_u8 {
        on.push_job(Job::new(vec![number])).await;
        open.insert(vec![number]);
    }
    while !open.is_empty() {
        let delivery = next(&mut jobs, "a delivery").await.expect("a delivery");
        assert!(open.remove(&delivery.job.body[..]), "{delivery:?} came twice");
        settle(delivery, Settlement::Done).await;
    }
    silence(&mut jobs, on.quiet, "all jobs are done").await;
}

/// A settlement makes room for the next; a second worker is served meanwhile.
pub async fn prefetch_bounds_what_one_worker_holds(on: QueueUnderTest) {
    for body in ["1", "2", "3", "4"] {
        on.push(body).await;
    }
    let mut worker = on.consume(2, 5).await;
    let (one, _two) = (worker.next_is("1", 1).await, worker.next_is("2", 1).await);
    on.nothing_comes(&mut worker, "two jobs are in hand").await;
    settle(one, Settlement::Done).await;
    let _three = worker.next_is("3", 1).await;
    let mut idle = on.consume(1, 5).await;
    let _four = idle.next_is("4", 1).await;
}

/// With a higher attempt.
pub async fn a_dropped_delivery_comes_again(on: QueueUnderTest) {
    let mut worker = on.consume(1, 5).await;
    on.push("job").await;
    drop(worker.next_is("job", 1).await);
    drop(worker.next_is("job", 2).await);
    settle(worker.next_is("job", 3).await, Settlement::Done).await;
    on.nothing_comes(&mut worker, "the job is done").await;
}

/// To the others.
pub async fn a_consumer_that_leaves_gives_back_what_it_held(on: QueueUnderTest) {
    let (mut leaver, mut stayer) = (on.consume(1, 5).await, None);
    on.push("job").await;
    let held = leaver.next_is("job", 1).await;
    let stayer = stayer.insert(on.consume(1, 5).await);
    on.nothing_comes(stayer, "another holds the job").await;
    drop(leaver);
    settle(stayer.next_is("job", 2).await, Settlement::Done).await;
    // Whoever held it may be told that this comes too late, but does no harm by it.
    let _ = held.settle(Settlement::Retry(Duration::ZERO)).await;
    on.nothing_comes(stayer, "the job is done").await;
}

/// And not before.
pub async fn a_retry_comes_after_its_delay(on: QueueUnderTest) {
    let delay = Duration::from_millis(300);
    let mut worker = on.consume(1, 5).await;
    on.push("job").await;
    let delivery = worker.next_is("job", 1).await;
    let begun = Instant::now();
    settle(delivery, Settlement::Retry(delay)).await;
    on.push("other").await;
    settle(worker.next_is("other", 1).await, Settlement::Done).await;
    settle(worker.next_is("job", 2).await, Settlement::Done).await;
    assert!(begun.elapsed() >= delay, "it came after {:?}", begun.elapsed());
}

/// After `attempts_max` deliveries, whether they were sent back or dropped.
pub async fn a_job_that_keeps_failing_goes_dead(on: QueueUnderTest) {
    let mut worker = on.consume(1, 3).await;
    on.push("poison").await;
    settle(worker.next_is("poison", 1).await, Settlement::Retry(Duration::ZERO)).await;
    drop(worker.next_is("poison", 2).await);
    settle(worker.next_is("poison", 3).await, Settlement::Retry(Duration::ZERO)).await;
    on.nothing_comes(&mut worker, "three attempts are all").await;
    on.push("next").await;
    settle(worker.next_is("next", 1).await, Settlement::Done).await;
}

/// Not even to another consumer.
pub async fn a_dead_job_never_comes_again(on: QueueUnderTest) {
    let mut worker = on.consume(1, 5).await;
    on.push("job").await;
    settle(worker.next_is("job", 1).await, Settlement::Dead("no use".into())).await;
    on.nothing_comes(&mut worker, "the job is dead").await;
    drop(worker);
    let mut another = on.consume(1, 5).await;
    assert!(tokio::time::timeout(on.quiet, another.jobs.next()).await.is_err(), "the job is dead");
}
