//! The worker side of remote commands.

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Command, CommandError, CommandResult, Invocation, Reply, replies, requests};
use crate::{
    clock::{Clock, SystemClock},
    model::Timestamp,
    queue::{Consume, Delivery, Job, QueueError, Settlement, WorkQueue},
};

/// The first wait before another try, doubled each time: a second try within a person's patience.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// The longest wait before another try.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// The longest answer, in bytes: far above what a room takes, far below what a queue takes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Carries out commands that servers put into a queue as [`RemoteCommand`](super::RemoteCommand)s, in any process.
///
/// The same [`Command`] could run inside a server. A job is settled after its result is in the queue of results, so
/// a worker that dies in between leaves a job for the next, and the command may run twice: the server stores one
/// reply. A job that cannot be read, panics, or fails on every attempt goes to the dead letters.
///
/// ```
/// # async fn example(queue: std::sync::Arc<dyn chat_core::WorkQueue>) -> Result<(), chat_core::queue::QueueError> {
/// use chat_core::{Invocation, Reply, command::BotRunner};
///
/// let echo = |call: Invocation| async move { Ok(Reply::Say(call.args.join(" "))) };
/// BotRunner::new(queue).command("echo", echo).run(async { _ = tokio::signal::ctrl_c().await }).await
/// # }
/// ```
pub struct BotRunner {
    worker: Worker,
    commands: Vec<(String, Arc<dyn Command>)>,
}

/// Is what the handling of each job needs.
#[derive(Clone)]
struct Worker {
    queue: Arc<dyn WorkQueue>,
    how: Consume,
    clock: Arc<dyn Clock>,
}

impl BotRunner {
    /// Makes a worker without commands.
    pub fn new(queue: Arc<dyn WorkQueue>) -> Self {
        let worker = Worker { queue, how: Consume::default(), clock: Arc::new(SystemClock) };
        Self { worker, commands: Vec::new() }
    }

    /// Adds a command, under the name it has at the servers.
    #[must_use]
    pub fn command(mut self, name: &str, command: impl Command + 'static) -> Self {
        self.commands.push((name.to_owned(), Arc::new(command)));
        self
    }

    /// Sets how many jobs of each command are done at once, and how often one is tried. Default: [`Consume::default`].
    #[must_use]
    pub fn consume(mut self, how: Consume) -> Self {
        self.worker.how = how;
        self
    }

    /// Takes the time of day from this.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.worker.clock = clock;
        self
    }

    /// Works until `shutdown` is ready, then ends what is in hand, which takes as long as its deadlines at most.
    ///
    /// An error means that the queue could not be consumed at the start, or that a command's name is not allowed;
    /// later interruptions are waited out.
    ///
    /// # Cancel safety
    /// Dropping the future aborts what is in hand and gives its jobs back.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), QueueError> {
        let mut deliveries = stream::SelectAll::new();
        for (name, command) in self.commands {
            let jobs = self.worker.clone().jobs(&name).await?;
            let name: Arc<str> = name.into();
            deliveries.push(jobs.map(move |delivery| (name.clone(), command.clone(), delivery)).boxed());
        }
        let (mut shutdown, mut hands) = (pin!(shutdown), JoinSet::new());
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = hands.join_next() => {} // takes note of who is done; what went wrong is logged there
                Some((name, command, delivery)) = deliveries.next() => {
                    let worker = self.worker.clone();
                    hands.spawn(async move { worker.handle(&name, command, delivery).await });
                }
            }
        }
        // The streams live until here: dropping one gives back what is still in hand.
        while hands.join_next().await.is_some() {}
        Ok(())
    }
}

impl Worker {
    /// Consumes the jobs of a command, for ever: when the queue is interrupted, it is consumed again.
    async fn jobs(self, command: &str) -> Result<impl Stream<Item = Delivery> + use<>, QueueError> {
        let queue = requests(command)?;
        let first = self.queue.consume(&queue, self.how).await?;
        Ok(stream::unfold(first, move |mut jobs: BoxStream<'static, _>| {
            let (worker, queue) = (self.clone(), queue.clone());
            async move {
                loop {
                    match jobs.next().await {
                        Some(Ok(delivery)) => return Some((delivery, jobs)),
                        Some(Err(error)) => tracing::warn!(%queue, %error, "a queue of commands is interrupted"),
                        None => match worker.queue.consume(&queue, worker.how).await {
                            Ok(again) => jobs = again,
                            Err(error) => tracing::warn!(%queue, %error, "a queue of commands cannot be consumed"),
                        },
                    }
                    sleep(WAIT_MIN).await;
                }
            }
        }))
    }

    async fn handle(&self, name: &str, command: Arc<dyn Command>, delivery: Delivery) {
        let settlement = match Invocation::decode(&delivery.job.body) {
            Ok(call) if call.name != name => Settlement::Dead(format!("not for the command {name}")),
            Ok(call) => self.answer(command, call, delivery.attempt).await,
            Err(error) => Settlement::Dead(error.to_string()),
        };
        if let Err(error) = delivery.settle(settlement).await {
            tracing::warn!(command = name, %error, "a job was not settled and may come again");
        }
    }

    /// Carries out an invocation, passes the result on, and says what becomes of the job.
    async fn answer(&self, command: Arc<dyn Command>, call: Invocation, attempt: u32) -> Settlement {
        let result = call.result();
        let (outcome, settlement) = match carry_out(command, call, self.clock.now()).await {
            // The command itself sees to it that an answer comes.
            Ok(Reply::Later) => return Settlement::Done,
            Err(CommandError::Retry(why)) => {
                if let Some(wait) = self.may_wait(attempt, result.deadline) {
                    return Settlement::Retry(wait);
                }
                let reason = format!("given up on attempt {attempt}: {why}");
                (Err(CommandError::Failed(why)), Settlement::Dead(reason))
            }
            Ok(Reply::Say(text) | Reply::Whisper(text)) if text.len() > ANSWER_BYTES_MAX => {
                (Err(CommandError::Failed("the answer is too long".into())), Settlement::Done)
            }
            outcome => (outcome, Settlement::Done),
        };
        match self.push(&CommandResult { outcome, ..result }).await {
            Ok(()) => settlement,
            Err(error) => {
                tracing::warn!(%error, "a result was not taken; the job is tried again");
                Settlement::Retry(wait(attempt))
            }
        }
    }

    /// Passes a result on. It never expires: when it is late, the servers still owe the room a notice.
    async fn push(&self, result: &CommandResult) -> Result<(), QueueError> {
        self.queue.push(&replies()?, Job::new(result.encode()).high()).await
    }

    /// Returns how long to wait before another try, unless this was the last one or the next would be too late.
    fn may_wait(&self, attempt: u32, deadline: Timestamp) -> Option<Duration> {
        let wait = wait(attempt);
        (attempt < self.how.attempts_max && wait < time_left(deadline, self.clock.now())).then_some(wait)
    }
}

/// Runs a command in a task of its own until its deadline: a panic may work on another try, a time-out has failed.
pub async fn carry_out(command: Arc<dyn Command>, call: Invocation, now: Timestamp) -> Result<Reply, CommandError> {
    let (name, left) = (call.name.clone(), time_left(call.deadline, now));
    // Dropped with this future, which aborts the task.
    let mut task = JoinSet::new();
    if !left.is_zero() {
        task.spawn(async move { command.run(call).await });
    }
    match timeout(left, task.join_next()).await {
        Ok(Some(Ok(outcome))) => outcome,
        Ok(Some(Err(panic))) => {
            tracing::error!(command = name, %panic, "a command panicked");
            Err(CommandError::Retry("the command failed".into()))
        }
        Ok(None) | Err(_) => Err(CommandError::Failed("the command took too long".into())),
    }
}

fn time_left(deadline: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(deadline.ms_since(now)).unwrap_or_default())
}

/// Returns how long to wait after this attempt.
fn wait(attempt: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
    WAIT_MIN.saturating_mul(doubled).min(WAIT_MAX)
}

impl fmt::Debug for BotRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.commands.iter().map(|(name, _)| name).collect();
        f.debug_struct("BotRunner").field("commands", &names).finish_non_exhaustive()
    }
}
