//! The port for background work: jobs that one of several workers does.
//!
//! # Contract
//!
//! At least once: a job that was pushed is delivered until it is settled. Who handles jobs makes the second time
//! harmless, as the engine does by posting a reply under a key that follows from the job.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{
    error::{Error, ErrorKind},
    model::Timestamp,
};

/// Is what went wrong in a queue.
pub type QueueError = Error<QueueErrorKind>;

/// Says what went wrong in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueErrorKind {
    /// The queue cannot be reached.
    Unavailable,
    /// The queue is full; the job was not taken.
    Full,
    /// The job is too large or its queue name is not allowed.
    Invalid,
    /// Anything else.
    Other,
}

impl ErrorKind for QueueErrorKind {
    fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Full)
    }
}

impl fmt::Display for QueueErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the queue cannot be reached",
            Self::Full => "the queue is full",
            Self::Invalid => "the queue does not take this",
            Self::Other => "the queue refused",
        })
    }
}

/// Names a queue: 1 to 64 of `a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// Checks and wraps a name.
    pub fn new(name: &str) -> Result<Self, QueueError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            return Err(QueueError::new(QueueErrorKind::Invalid, format!("queue name {name:?}")));
        }
        Ok(Self(name.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says which of two jobs goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// People wait for it.
    High,
    /// Everything else.
    #[default]
    Normal,
}

/// Is one unit of background work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Job {
    /// What to do, in the words of who pushes and who consumes; at most 1 MiB.
    pub body: Bytes,
    /// Which goes first.
    pub priority: Priority,
    /// After this it is not worth doing: it goes to the dead letters instead.
    pub expires: Option<Timestamp>,
}

impl Job {
    /// Makes a job of normal priority that never expires.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), priority: Priority::Normal, expires: None }
    }

    /// Lets the job go before those of normal priority.
    #[must_use]
    pub fn high(mut self) -> Self {
        self.priority = Priority::High;
        self
    }

    /// Sets after when the job is not worth doing.
    #[must_use]
    pub fn expires(mut self, at: Timestamp) -> Self {
        self.expires = Some(at);
        self
    }
}

/// Says how to consume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consume {
    /// How many unsettled deliveries one consumer holds at most.
    pub prefetch: u16,
    /// After how many deliveries a job that is not done goes to the dead letters.
    pub attempts_max: u32,
}

impl Default for Consume {
    fn default() -> Self {
        // Few at a time, so that a slow job does not hold others back while another worker is idle.
        Self { prefetch: 8, attempts_max: 5 }
    }
}

/// Says what became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// Done; never deliver it again.
    Done,
    /// Try again after this time, here or elsewhere.
    Retry(Duration),
    /// Never again; keep it with the dead letters for this reason.
    Dead(String),
}

/// Settles one delivery in its queue.
#[async_trait]
pub trait Settle: Send {
    /// Passes the settlement on. Dropping the box without a call gives the job back.
    async fn settle(self: Box<Self>, how: Settlement) -> Result<(), QueueError>;
}

/// Is a job in the hands of a worker. Dropping it gives the job back at once.
pub struct Delivery {
    /// The job.
    pub job: Job,
    /// How often it was delivered, this time included.
    pub attempt: u32,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// Makes a delivery; for adapters.
    pub fn new(job: Job, attempt: u32, settle: Box<dyn Settle>) -> Self {
        Self { job, attempt, settle }
    }

    /// Says what became of the job.
    pub async fn settle(self, how: Settlement) -> Result<(), QueueError> {
        self.settle.settle(how).await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("job", &self.job).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// Hands each job to one of several workers.
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Adds a job. `Ok` means that it is as durable as this queue gets; see [`WorkQueue::is_durable`].
    ///
    /// # Behavior
    /// * `a_pushed_job_is_delivered_once_it_is_consumed`: also when the consumer comes later.
    /// * `high_priority_goes_first`.
    /// * `an_expired_job_is_never_delivered`: it goes to the dead letters.
    async fn push(&self, queue: &QueueName, job: Job) -> Result<(), QueueError>;

    /// Receives jobs until the stream is dropped; what was delivered and not settled is then given back.
    ///
    /// # Behavior
    /// * `a_job_goes_to_one_worker`: of several consumers.
    /// * `prefetch_bounds_what_one_worker_holds`.
    /// * `a_dropped_delivery_comes_again`: with a higher attempt.
    /// * `a_consumer_that_leaves_gives_back_what_it_held`: to the others.
    /// * `a_retry_comes_after_its_delay`: and not before.
    /// * `a_job_that_keeps_failing_goes_dead`: after `attempts_max` deliveries.
    /// * `a_dead_job_never_comes_again`.
    async fn consume(
        &self,
        queue: &QueueName,
        how: Consume,
    ) -> Result<BoxStream<'static, Result<Delivery, QueueError>>, QueueError>;

    /// Tells whether jobs outlive this process. If not, the engine acknowledges a command only when its reply is stored.
    fn is_durable(&self) -> bool;

    /// Tells whether other processes can push to this queue, so that what comes back must be authenticated.
    fn is_networked(&self) -> bool;
}

/// Names one dead letter in its queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadId(Arc<str>);

impl DeadId {
    /// Wraps an adapter's own name for a letter.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Is what is known of a job that nobody will do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its name in its queue.
    pub id: DeadId,
    /// Why nobody will do it, in the words of who gave it up.
    pub reason: String,
    /// How often it was delivered.
    pub attempts: u32,
    /// When it was given up.
    pub died: Timestamp,
}

impl DeadLetter {
    /// Describes a dead letter; for adapters.
    pub fn new(id: DeadId, reason: impl Into<String>, attempts: u32, died: Timestamp) -> Self {
        Self { id, reason: reason.into(), attempts, died }
    }
}

/// Shows operators the jobs that were given up; for queues that keep them within reach.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Lists what a queue gave up, oldest first, at most `limit` after `after`.
    ///
    /// # Behavior
    /// * `dead_letters_are_listed_oldest_first`: with the reason, in pages.
    async fn list(&self, queue: &QueueName, after: Option<&DeadId>, limit: u16) -> Result<Vec<DeadLetter>, QueueError>;

    /// Returns the job of a letter; `None` when the letter is not kept any more.
    ///
    /// # Behavior
    /// * `a_dead_letter_can_be_inspected`: the job is as it was pushed.
    async fn inspect(&self, queue: &QueueName, id: &DeadId) -> Result<Option<Job>, QueueError>;

    /// Pushes the job of a letter again, as a new one that never expires, and forgets the letter. `false` when the
    /// letter is not kept any more.
    ///
    /// # Behavior
    /// * `a_replayed_job_is_delivered_again`: once, as if it were new.
    async fn replay(&self, queue: &QueueName, id: &DeadId) -> Result<bool, QueueError>;

    /// Forgets all letters of a queue and returns how many they were.
    ///
    /// # Behavior
    /// * `a_purge_forgets_all_letters`: and no other job.
    async fn purge(&self, queue: &QueueName) -> Result<u64, QueueError>;
}
