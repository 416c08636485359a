//! Background work, kept in streams.
//!
//! Every queue is on one server, by its braces, so that each of its scripts is one step for everybody:
//!
//! | key | holds |
//! |---|---|
//! | `chat:queue:{chat:NAME}:high`, `…:normal` | streams with a consumer group: the numbers of jobs to be delivered |
//! | `…:job:NUMBER` | a hash: body, priority, when it expires, attempts; `held` while a worker has it |
//! | `…:later` | a sorted set: jobs to be tried again, by when |
//! | `…:dead` | a stream: jobs that were given up, with the reason |
//! | `…:meta` | a hash: the last number, how many jobs and bytes there are |
//! | `…:bell` | a channel: wakes workers |
//!
//! A worker that holds a job says so every 10 s. Of one that was silent for 30 s, another takes the job over.

mod consumer;
mod dead;
mod tray;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::queue::{Consume, Delivery, Job, Priority, QueueError, QueueErrorKind, QueueName, WorkQueue};
use futures::stream::BoxStream;
use parking_lot::Mutex;
use redis::cmd;

use crate::{
    RedisConfig,
    error::Failure,
    servers::{Servers, read},
    subscriber::{Sound, Subscriber},
};
use tray::Tray;

/// How long a job is a worker's without word from it: three words of 10 s.
const LEASE: Duration = Duration::from_secs(30);
/// The largest job.
const JOB_BYTES_MAX: usize = 1024 * 1024;
/// Jobs in one queue that are not done: at a hundred a second, a quarter of an hour without workers.
const JOBS_MAX: usize = 100_000;
/// What they may hold together.
const BYTES_MAX: usize = 256 * JOB_BYTES_MAX;

type Trays = Arc<Mutex<BTreeMap<String, Arc<Tray>>>>;

/// Hands jobs to the workers that use the same Redis under the same namespace. Cheap to clone.
///
/// Nothing is lost when a worker dies, or a server of the chat. What is left when Redis dies is up to its
/// configuration: see [`WorkQueue::is_durable`].
#[derive(Clone)]
pub struct RedisQueue {
    servers: Arc<Servers>,
    /// Those in use, by the channel of their bell.
    trays: Trays,
    subscriber: Arc<Subscriber>,
    durable: bool,
    lease: Duration,
    jobs_max: usize,
}

impl RedisQueue {
    /// Uses the Redis at this URL; see [`RedisConfig`]. One that evicts keys when its memory is full is refused.
    ///
    /// Must be called inside a tokio runtime, to which the queue then belongs.
    pub async fn open(url: &str) -> Result<Self, QueueError> {
        Self::connect(RedisConfig::new(url)).await
    }

    /// Connects to a Redis.
    pub async fn connect(config: RedisConfig) -> Result<Self, QueueError> {
        let servers = Servers::open(&config).await?;
        let durable = is_durable(&servers).await?;
        let trays = Trays::default();
        let bells = trays.clone();
        let subscriber = Subscriber::start(servers.clone(), move |sound| match sound {
            Sound::Message(bell, _) => bells.lock().get(bell).into_iter().for_each(|tray| tray.ring()),
            Sound::Interrupted => bells.lock().values().for_each(|tray| tray.ring()),
        });
        let subscriber = Arc::new(subscriber);
        Ok(Self { servers, trays, subscriber, durable, lease: LEASE, jobs_max: JOBS_MAX })
    }

    /// Sets other leases than 30 s, for tests.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets how many jobs each queue takes instead of 100,000; then it is [full](QueueErrorKind::Full).
    #[must_use]
    pub fn with_capacity(mut self, jobs: usize) -> Self {
        self.jobs_max = jobs;
        self
    }

    fn tray(&self, queue: &QueueName) -> Arc<Tray> {
        let new = Tray::new(self.servers.clone(), queue);
        self.trays.lock().entry(new.bell()).or_insert_with(|| Arc::new(new)).clone()
    }
}

/// Asks all servers how they keep things: a cluster is as good as the worst of them.
async fn is_durable(servers: &Servers) -> Result<bool, Failure> {
    let what = "ask a Redis how it keeps jobs";
    let mut durable = true;
    for answer in servers.ask_everybody(what, cmd("INFO")).await? {
        let info: String = read(what, answer)?;
        let says = |line: &str| info.lines().any(|other| other.trim_end().starts_with(line));
        if says("maxmemory_policy:allkeys") && !says("maxmemory:0") {
            return Err(Failure::refused(
                "a Redis that evicts jobs when its memory is full: maxmemory-policy noeviction",
            ));
        }
        durable &= says("aof_enabled:1");
    }
    if !durable {
        tracing::warn!("jobs do not outlive Redis: appendonly is off");
    }
    Ok(durable)
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueue").field("namespace", &self.servers.namespace()).finish_non_exhaustive()
    }
}

#[async_trait]
impl WorkQueue for RedisQueue {
    async fn push(&self, queue: &QueueName, job: Job) -> Result<(), QueueError> {
        if job.body.len() > JOB_BYTES_MAX {
            return Err(QueueError::new(QueueErrorKind::Invalid, format!("push to {queue}")));
        }
        let tray = self.tray(queue);
        let mut call = tray.call(include_str!("queue/push.lua"));
        call.arg(&job.body[..]).arg(word(job.priority)).arg(job.expires.map_or(String::new(), |at| at.0.to_string()));
        call.arg(self.jobs_max).arg(BYTES_MAX);
        let taken: bool = tray.ask("push a job", call).await?;
        taken.then_some(()).ok_or_else(|| QueueError::new(QueueErrorKind::Full, format!("push to {queue}")))
    }

    async fn consume(
        &self,
        queue: &QueueName,
        how: Consume,
    ) -> Result<BoxStream<'static, Result<Delivery, QueueError>>, QueueError> {
        let tray = self.tray(queue);
        if let Err(error) = self.subscriber.listen(vec![tray.bell()]).await {
            tracing::debug!(%queue, ?error, "no bell rings yet; the queue is looked at every second");
        }
        Ok(consumer::deliveries(tray, how, self.lease, self.subscriber.clone()))
    }

    /// Tells whether Redis writes what it takes to a file (`appendonly yes`) and so has it after its own death, but for
    /// the last second: `appendfsync always` also keeps that.
    fn is_durable(&self) -> bool {
        self.durable
    }

    fn is_networked(&self) -> bool {
        true
    }
}

fn word(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "high",
        Priority::Normal => "normal",
    }
}

/// Makes a job of what a script answers about it.
fn job(priority: &str, expires: &str, body: Vec<u8>) -> Job {
    let job = Job::new(body);
    let job = if priority == word(Priority::High) { job.high() } else { job };
    match expires.parse().ok() {
        Some(at) => job.expires(chat_core::Timestamp(at)),
        None => job,
    }
}
