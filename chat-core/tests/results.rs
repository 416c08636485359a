//! What comes back from workers, or from whoever else can write to the queue of results.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use chat_core::{
    BotRunner, Draft, Engine, Hub, Invocation, RemoteCommand, Reply, Room, RoomSpec, WorkQueue,
    command::{replies, requests},
    memory::MemoryQueue,
    model::Page,
    queue::{Consume, DeadLetters, Job, Settlement},
};
use common::{human, join, leave};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const WITHIN: Duration = Duration::from_secs(30);

/// An engine whose `/stock` is carried out elsewhere: by hand, so that results can be changed on their way back.
struct Bench {
    engine: Engine,
    queue: MemoryQueue,
    room: Arc<dyn Room>,
}

impl Bench {
    async fn new(within: Duration) -> Self {
        let queue = MemoryQueue::new();
        let mut limits = common::limits();
        limits.command_within = within;
        let stock = RemoteCommand::new(Arc::new(queue.clone()));
        let builder = Engine::builder().limits(limits).secret(b"a secret of the whole cluster");
        let engine = builder.command("stock", "/stock=code", stock).build().await.unwrap();
        let room = engine.hub(human("ann")).create(RoomSpec::public("lobby")).await.unwrap();
        Self { engine, queue, room }
    }

    /// Lets Ann ask for a code, and returns the genuine result without handing it in.
    async fn ask(&self, code: &str) -> String {
        let (room, text) = (self.room.clone(), format!("/stock={code}"));
        tokio::spawn(async move { room.post(Draft::text(text)).await });
        let mut jobs = self.queue.consume(&requests("stock").unwrap(), Consume::default()).await.unwrap();
        let job = timeout(PATIENCE, jobs.next()).await.expect("a job").unwrap().unwrap();
        let elsewhere = MemoryQueue::new();
        elsewhere.push(&requests("stock").unwrap(), job.job.clone()).await.unwrap();
        job.settle(Settlement::Done).await.unwrap();
        let echo = |call: Invocation| async move { Ok(Reply::Say(format!("{} is $1.00", call.args[0]))) };
        let worker = BotRunner::new(Arc::new(elsewhere.clone())).command("stock", echo);
        let worker = tokio::spawn(worker.run(std::future::pending()));
        let mut results = elsewhere.consume(&replies().unwrap(), Consume::default()).await.unwrap();
        let result = timeout(PATIENCE, results.next()).await.expect("a result").unwrap().unwrap();
        worker.abort();
        String::from_utf8(result.job.body.to_vec()).unwrap()
    }

    async fn hand_in(&self, result: impl Into<bytes::Bytes>) {
        self.queue.push(&replies().unwrap(), Job::new(result)).await.unwrap();
    }

    /// Waits until so many results are dead.
    async fn dead(&self, count: usize) {
        let dead = async {
            while self.queue.list(&replies().unwrap(), None, 100).await.unwrap().len() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, dead).await.expect("dead letters");
    }

    /// Waits until the room shows these texts, in any order.
    async fn shows(&self, expected: &[&str]) {
        let mut shown = Vec::new();
        for _ in 0..PATIENCE.as_millis() / 5 {
            let entries = self.room.history(Page::default()).await.unwrap();
            shown = entries.iter().filter_map(|entry| entry.body.text().map(str::to_owned)).collect();
            shown.sort();
            if shown == expected {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(shown, expected);
    }
}

#[tokio::test]
async fn unreadable_results_go_dead_and_those_around_them_are_posted() {
    let bench = Bench::new(WITHIN).await;
    let (before, after) = (bench.ask("a").await, bench.ask("b").await);
    let newer = before.replacen(r#""v":1"#, r#""v":2"#, 1);
    assert_ne!(newer, before);
    bench.hand_in(before).await;
    let unreadable = [
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"{}".to_vec(),
        b"\x80\x04\x95\x00\xff\xfe".to_vec(), // what another program would write
        newer.into_bytes(),
        vec![b'['; 1024 * 1024], // the queue itself refuses what is larger
    ];
    let count = unreadable.len();
    for result in unreadable {
        bench.hand_in(result).await;
    }
    bench.hand_in(after).await;
    bench.shows(&["a is $1.00", "b is $1.00"]).await;
    bench.dead(count).await;
}

#[tokio::test]
async fn forged_results_go_dead_and_post_nothing() {
    let bench = Bench::new(WITHIN).await;
    let other = bench.engine.hub(human("eve")).create(RoomSpec::public("other")).await.unwrap();
    let (genuine, asked_too) = (bench.ask("a").await, bench.ask("b").await);
    let value: serde_json::Value = serde_json::from_str(&genuine).unwrap();
    let another: serde_json::Value = serde_json::from_str(&asked_too).unwrap();
    let forged = |field: &str, to: serde_json::Value| {
        let mut forged = value.clone();
        assert_ne!(std::mem::replace(&mut forged["body"][field], to.clone()), to, "{field}");
        forged.to_string()
    };
    let forgeries = [
        forged("room", other.id().to_string().into()),
        forged("key", another["body"]["key"].clone()),
        forged("user", "eve".into()),
        forged("deadline", 9_000_000_000_000_i64.into()),
        forged("ticket", "0".repeat(64).into()),
        forged("ticket", another["body"]["ticket"].clone()),
        forged("ticket", "".into()),
    ];
    for forgery in &forgeries {
        bench.hand_in(forgery.clone()).await;
    }
    bench.dead(forgeries.len()).await;
    bench.hand_in(genuine).await;
    bench.shows(&["a is $1.00"]).await;
    assert_eq!(other.history(Page::default()).await.unwrap(), []);
}

#[tokio::test]
async fn results_that_come_twice_and_in_disorder_are_posted_once_each() {
    let bench = Bench::new(WITHIN).await;
    let results = [bench.ask("a").await, bench.ask("b").await, bench.ask("c").await];
    for _ in 0..3 {
        for result in results.iter().rev() {
            bench.hand_in(result.clone()).await;
        }
    }
    let last = bench.ask("z").await;
    bench.hand_in(last).await;
    bench.shows(&["a is $1.00", "b is $1.00", "c is $1.00", "z is $1.00"]).await;
}

#[tokio::test]
async fn a_result_after_the_deadline_changes_nothing() {
    let bench = Bench::new(Duration::from_millis(300)).await;
    let late = bench.ask("a").await;
    bench.shows(&["/stock gave no answer in time"]).await;
    bench.hand_in(late).await;
    bench.hand_in("the last one").await;
    bench.dead(1).await; // so the one before it was handled
    bench.shows(&["/stock gave no answer in time"]).await;
}

#[tokio::test]
async fn an_answer_comes_into_the_room_though_who_asked_has_left() {
    let bench = Bench::new(WITHIN).await;
    let result = bench.ask("a").await;
    bench.room.post(join("bob")).await.unwrap();
    let as_bob = bench.engine.hub(human("bob")).room(bench.room.id()).await.unwrap();
    bench.room.post(leave("ann")).await.unwrap();
    bench.hand_in(result).await;
    Bench { room: as_bob, ..bench }.shows(&["a is $1.00"]).await;
}
