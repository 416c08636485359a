//! Commands that run in another process, from the invocation to the result, over a queue in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::unnecessary_wraps)]

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Clock, Command, CommandError, Identity, Invocation, Key, Reply, RoomId, Timestamp, UserId, WorkQueue,
    clock::SystemClock,
    command::{BotRunner, CommandResult, Parsed, RemoteCommand, Ticket, WireError, parse, replies, requests},
    memory::MemoryQueue,
    queue::{Consume, DeadLetters, Delivery, Job, QueueError, QueueErrorKind, QueueName, Settlement},
};
use futures::{StreamExt, stream::BoxStream};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

const SECRET: &[u8] = b"a secret of the cluster";

type Outcome = Result<Reply, CommandError>;

/// A server's end of the queue, and a worker at the other.
struct Bench {
    memory: MemoryQueue,
    queue: Arc<dyn WorkQueue>,
    results: BoxStream<'static, Result<Delivery, QueueError>>,
}

impl Bench {
    async fn new() -> Self {
        let memory = MemoryQueue::new();
        Self::over(memory.clone(), Arc::new(memory)).await
    }

    async fn over(memory: MemoryQueue, queue: Arc<dyn WorkQueue>) -> Self {
        let results = queue.consume(&replies().unwrap(), Consume::default()).await.unwrap();
        Self { memory, queue, results }
    }

    fn works(&self, name: &str, command: impl Command + 'static) -> JoinHandle<Result<(), QueueError>> {
        tokio::spawn(BotRunner::new(self.queue.clone()).command(name, command).run(pending()))
    }

    async fn calls(&self, text: &str) -> Outcome {
        RemoteCommand::new(self.queue.clone()).run(call(text)).await
    }

    async fn pushes(&self, command: &str, job: Job) {
        self.queue.push(&requests(command).unwrap(), job).await.unwrap();
    }

    async fn result(&mut self) -> CommandResult {
        let delivery = timeout(Duration::from_mins(1), self.results.next()).await.expect("a result").unwrap().unwrap();
        let result = CommandResult::decode(&delivery.job.body, SECRET).unwrap();
        delivery.settle(Settlement::Done).await.unwrap();
        result
    }

    async fn outcome(&mut self) -> Outcome {
        self.result().await.outcome
    }

    /// Waits until so many jobs of a command are dead, and returns why.
    async fn dead(&self, command: &str, count: usize) -> Vec<String> {
        let queue = requests(command).unwrap();
        let dead = async {
            loop {
                let letters = self.memory.list(&queue, None, 100).await.unwrap();
                if letters.len() >= count {
                    return letters.into_iter().map(|letter| letter.reason).collect();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), dead).await.expect("dead letters")
    }
}

fn call(text: &str) -> Invocation {
    call_until(text, SystemClock.now().plus_ms(30_000))
}

fn call_until(text: &str, deadline: Timestamp) -> Invocation {
    let Parsed::Command(line) = parse(text) else { panic!("{text} is a command") };
    let ann = Identity::human(UserId::new("ann").unwrap(), "Ann");
    let mut call = line.invocation(&ann, RoomId::named("lobby"), Key::generate(), deadline);
    call.ticket = Ticket::issue(SECRET, &call);
    call
}

/// Returns the job that a server makes of a call, without its expiry: as if a worker got it at the last moment.
async fn job(call: Invocation) -> Job {
    let memory = MemoryQueue::new().with_clock(Arc::new(Stopped(Timestamp(0))));
    let queue = requests(&call.name).unwrap();
    RemoteCommand::new(Arc::new(memory.clone())).run(call).await.unwrap();
    let mut jobs = memory.consume(&queue, Consume::default()).await.unwrap();
    Job::new(jobs.next().await.unwrap().unwrap().job.body.clone())
}

struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn echo() -> impl Command + 'static {
    |call: Invocation| async move { Ok(Reply::Say(call.args.join(" "))) }
}

fn say(text: &str) -> Outcome {
    Ok(Reply::Say(text.into()))
}

#[tokio::test]
async fn an_answer_comes_back_with_all_that_the_server_needs_to_post_it() {
    let mut bench = Bench::new().await;
    bench.works("echo", echo());
    let asked = call("/echo=one two");
    assert_eq!(RemoteCommand::new(bench.queue.clone()).run(asked.clone()).await, Ok(Reply::Later));
    let result = bench.result().await;
    assert_eq!(result.outcome, say("one two"));
    let told = (result.name, result.key, result.room, result.user, result.deadline, result.ticket);
    assert_eq!(told, (asked.name, asked.key, asked.room, asked.user, asked.deadline, asked.ticket));
}

#[tokio::test]
async fn a_worker_may_come_later_than_the_job() {
    let mut bench = Bench::new().await;
    bench.calls("/echo=early").await.unwrap();
    bench.works("echo", echo());
    assert_eq!(bench.outcome().await, say("early"));
}

#[tokio::test]
async fn whispers_usage_and_failures_come_back_as_what_they_are() {
    let mut bench = Bench::new().await;
    bench.works("x", |call: Invocation| async move {
        match &*call.args[0] {
            "whisper" => Ok(Reply::Whisper("psst".into())),
            "nothing" => Ok(Reply::Nothing),
            "usage" => Err(CommandError::Usage("/x word".into())),
            _ => Err(CommandError::Failed("no such word".into())),
        }
    });
    let expected = [
        ("/x=whisper", Ok(Reply::Whisper("psst".into()))),
        ("/x=nothing", Ok(Reply::Nothing)),
        ("/x=usage", Err(CommandError::Usage("/x word".into()))),
        ("/x=fail", Err(CommandError::Failed("no such word".into()))),
    ];
    for (text, outcome) in expected {
        bench.calls(text).await.unwrap();
        assert_eq!(bench.outcome().await, outcome);
    }
}

#[tokio::test]
async fn wrong_arguments_make_no_job() {
    let bench = Bench::new().await;
    let checked = RemoteCommand::new(bench.queue.clone()).check(|call| match call.args.len() {
        1 => Ok(()),
        _ => Err("/stock=code".into()),
    });
    assert_eq!(checked.run(call("/stock = aapl")).await, Err(CommandError::Usage("/stock=code".into())));
    assert_eq!(checked.run(call("/stock aapl")).await, Ok(Reply::Later));
    let mut jobs = bench.queue.consume(&requests("stock").unwrap(), Consume::default()).await.unwrap();
    let job = jobs.next().await.unwrap().unwrap().job.clone();
    assert!(String::from_utf8_lossy(&job.body).contains(r#""args":["aapl"]"#));
}

#[tokio::test]
async fn unreadable_jobs_go_dead_and_those_around_them_are_done() {
    let mut bench = Bench::new().await;
    bench.works("echo", echo());
    bench.calls("/echo=before").await.unwrap();
    for bad in ["", "{", "null", r#"{"v":2,"body":{}}"#, r#"{"v":1,"body":{"name":"echo"}}"#] {
        bench.pushes("echo", Job::new(bad)).await;
    }
    bench.pushes("echo", job(call("/other=x")).await).await;
    bench.calls("/echo=after").await.unwrap();
    assert_eq!(bench.outcome().await, say("before"));
    assert_eq!(bench.outcome().await, say("after"));
    let mut reasons = bench.dead("echo", 6).await;
    reasons.sort();
    let unreadable = WireError::Unreadable.to_string();
    let expected = ["not for the command echo", "of version 2, not 1"].map(String::from).into_iter();
    assert_eq!(
        reasons,
        expected.chain([unreadable.clone(), unreadable.clone(), unreadable.clone(), unreadable]).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_panics_each_time_is_answered_and_goes_dead_while_others_are_done() {
    let mut bench = Bench::new().await;
    bench.works("x", |call: Invocation| async move {
        assert_ne!(call.args[0], "poison");
        Ok(Reply::Nothing)
    });
    bench.calls("/x=poison").await.unwrap();
    bench.calls("/x=good").await.unwrap();
    assert_eq!(bench.outcome().await, Ok(Reply::Nothing));
    assert_eq!(bench.outcome().await, Err(CommandError::Failed("the command failed".into())));
    assert_eq!(bench.dead("x", 1).await, ["given up on attempt 5: the command failed"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_work_later_is_tried_again() {
    let mut bench = Bench::new().await;
    let tries = Arc::new(AtomicU32::new(0));
    let counted = tries.clone();
    bench.works("x", move |_: Invocation| {
        let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
        async move { if number < 3 { Err(CommandError::Retry("busy".into())) } else { Ok(Reply::Nothing) } }
    });
    bench.calls("/x").await.unwrap();
    assert_eq!(bench.outcome().await, Ok(Reply::Nothing));
    assert_eq!(tries.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn what_would_be_tried_again_too_late_fails_at_once() {
    let mut bench = Bench::new().await;
    bench.works("x", |_: Invocation| async { Err(CommandError::Retry("busy".into())) });
    let soon = call_until("/x", SystemClock.now().plus_ms(400));
    bench.pushes("x", job(soon).await).await;
    assert_eq!(bench.outcome().await, Err(CommandError::Failed("busy".into())));
    assert_eq!(bench.dead("x", 1).await, ["given up on attempt 1: busy"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_ends_at_its_deadline() {
    let mut bench = Bench::new().await;
    bench.works("x", |_: Invocation| pending::<Outcome>());
    bench.calls("/x").await.unwrap();
    assert_eq!(bench.outcome().await, Err(CommandError::Failed("the command took too long".into())));
}

#[tokio::test]
async fn a_job_after_its_deadline_is_answered_without_being_done() {
    let mut bench = Bench::new().await;
    bench.works("x", |_: Invocation| async { panic!("too late to run") });
    bench.pushes("x", job(call_until("/x", SystemClock.now())).await).await;
    assert_eq!(bench.outcome().await, Err(CommandError::Failed("the command took too long".into())));
}

#[tokio::test]
async fn an_answer_no_room_takes_fails() {
    let mut bench = Bench::new().await;
    bench.works("x", |_: Invocation| async { Ok(Reply::Say("x".repeat(64 * 1024 + 1))) });
    bench.calls("/x").await.unwrap();
    assert_eq!(bench.outcome().await, Err(CommandError::Failed("the answer is too long".into())));
}

#[tokio::test]
async fn a_name_nobody_can_type_is_an_error_at_the_start() {
    let runner = BotRunner::new(Arc::new(MemoryQueue::new())).command("Not a name", echo());
    assert_eq!(runner.run(pending()).await.unwrap_err().kind(), QueueErrorKind::Invalid);
}

#[tokio::test]
async fn a_shutdown_ends_what_is_in_hand_and_leaves_the_rest() {
    let mut bench = Bench::new().await;
    let (started, release) = (oneshot::channel(), oneshot::channel::<()>());
    let (shutdown, stopped) = oneshot::channel::<()>();
    let gate = Arc::new(parking_lot::Mutex::new(Some((started.0, release.1))));
    let slow = move |call: Invocation| {
        let gate = gate.lock().take();
        async move {
            if let Some((started, release)) = gate {
                started.send(()).unwrap();
                release.await.unwrap();
            }
            Ok(Reply::Say(call.args.join(" ")))
        }
    };
    let runner = BotRunner::new(bench.queue.clone()).command("x", slow);
    let runner = tokio::spawn(runner.run(async move { _ = stopped.await }));
    bench.calls("/x=first").await.unwrap();
    started.1.await.unwrap();
    shutdown.send(()).unwrap();
    tokio::task::yield_now().await;
    bench.calls("/x=second").await.unwrap();
    release.0.send(()).unwrap();
    assert_eq!(bench.outcome().await, say("first"));
    runner.await.unwrap().unwrap();
    bench.works("x", echo());
    assert_eq!(bench.outcome().await, say("second"));
}

/// A queue that is interrupted: it ends streams, fails to be consumed, and refuses results now and then.
struct Shaky {
    memory: MemoryQueue,
    results_refused: AtomicU32,
    interrupted: AtomicBool,
}

#[async_trait]
impl WorkQueue for Shaky {
    async fn push(&self, queue: &QueueName, job: Job) -> Result<(), QueueError> {
        let left = |left: u32| left.checked_sub(1);
        if *queue == replies().unwrap()
            && self.results_refused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
        {
            return Err(QueueError::new(QueueErrorKind::Unavailable, "push"));
        }
        self.memory.push(queue, job).await
    }

    async fn consume(
        &self,
        queue: &QueueName,
        how: Consume,
    ) -> Result<BoxStream<'static, Result<Delivery, QueueError>>, QueueError> {
        let jobs = self.memory.consume(queue, how).await?;
        if *queue != replies().unwrap() && !self.interrupted.swap(true, Ordering::Relaxed) {
            let error = Err(QueueError::new(QueueErrorKind::Unavailable, "consume"));
            return Ok(futures::stream::iter([error]).boxed());
        }
        Ok(jobs)
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn is_networked(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_queue_is_consumed_again_and_a_refused_result_costs_no_answer() {
    let memory = MemoryQueue::new();
    let shaky = Shaky { memory: memory.clone(), results_refused: 2.into(), interrupted: false.into() };
    let mut bench = Bench::over(memory, Arc::new(shaky)).await;
    bench.works("echo", echo());
    bench.calls("/echo=still").await.unwrap();
    assert_eq!(bench.outcome().await, say("still"));
}
