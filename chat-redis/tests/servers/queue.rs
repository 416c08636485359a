//! The work queue and presence when workers and servers die, and what they refuse.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chat_core::{
    UserId,
    conformance::run,
    model::NodeId,
    presence::{Lease, Presence},
    queue::{Consume, Delivery, Job, QueueErrorKind, QueueName, Settlement, WorkQueue},
};
use chat_redis::{RedisPresence, RedisQueue};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

use crate::{redis::Redis, worker::Worker};

const PATIENCE: Duration = Duration::from_secs(30);
/// What is written is on the disk before it is answered.
const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];
const JOBS: u32 = 100;

fn name(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn number(job: &Delivery) -> u32 {
    std::str::from_utf8(&job.job.body).unwrap().parse().unwrap()
}

async fn push_all(queue: &RedisQueue) {
    for number in 0..JOBS {
        queue.push(&name("jobs"), Job::new(number.to_string())).await.unwrap();
    }
}

/// Takes jobs until each number has come; some may come twice.
async fn all_come(queue: &RedisQueue, from: &str) {
    let mut jobs = queue.consume(&name(from), Consume::default()).await.unwrap();
    let mut missing: BTreeSet<u32> = (0..JOBS).collect();
    while !missing.is_empty() {
        let next = timeout(PATIENCE, jobs.next()).await.unwrap_or_else(|_| panic!("lost: {missing:?}"));
        if let Some(Ok(job)) = next {
            missing.remove(&number(&job));
            job.settle(Settlement::Done).await.unwrap();
        }
    }
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn no_job_is_lost_when_workers_are_killed() {
    run(async {
        let redis = Redis::start(DURABLE);
        let queue = RedisQueue::open(&redis.url()).await.unwrap();
        let mut workers = vec![Worker::start(&redis.url()), Worker::start(&redis.url())];
        push_all(&queue).await;
        let done = all_come(&queue, "done");
        let killing = async {
            for _ in 0..5 {
                sleep(Duration::from_millis(300)).await; // in the middle of whatever it does
                workers.remove(0);
                workers.push(Worker::start(&redis.url()));
            }
        };
        futures::join!(done, killing);
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn jobs_outlive_a_redis_that_writes_them_down() {
    run(async {
        let mut redis = Redis::start(DURABLE);
        let queue = RedisQueue::open(&redis.url()).await.unwrap();
        assert!(queue.is_durable());
        push_all(&queue).await;
        let mut jobs = queue.consume(&name("jobs"), Consume::default()).await.unwrap();
        let held = jobs.next().await.unwrap().unwrap();
        redis.kill();
        assert!(queue.push(&name("jobs"), Job::new("x")).await.unwrap_err().is_transient());
        redis.restart();
        held.settle(Settlement::Retry(Duration::ZERO)).await.unwrap(); // still ours
        drop(jobs);
        all_come(&queue, "jobs").await;
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_redis_that_forgets_or_evicts_says_so() {
    run(async {
        let forgets = Redis::start(&[]);
        assert!(!RedisQueue::open(&forgets.url()).await.unwrap().is_durable());
        let evicts = Redis::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
        let refused = RedisQueue::open(&evicts.url()).await.unwrap_err();
        assert!(refused.to_string().contains("noeviction"), "{refused}");
        let full = Redis::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
        let refused = RedisQueue::open(&full.url()).await.unwrap().push(&name("jobs"), Job::new("x")).await;
        assert_eq!(refused.unwrap_err().kind(), QueueErrorKind::Full);
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_full_queue_and_a_large_job_are_refused() {
    run(async {
        let redis = Redis::start(&[]);
        let queue = RedisQueue::open(&redis.url()).await.unwrap().with_capacity(1);
        queue.push(&name("jobs"), Job::new("1")).await.unwrap();
        let kind = async |job: Job| queue.push(&name("jobs"), job).await.unwrap_err().kind();
        assert_eq!(kind(Job::new("2")).await, QueueErrorKind::Full);
        assert_eq!(kind(Job::new(vec![0; 1024 * 1024 + 1])).await, QueueErrorKind::Invalid);
        let mut jobs = queue.consume(&name("jobs"), Consume::default()).await.unwrap();
        jobs.next().await.unwrap().unwrap().settle(Settlement::Done).await.unwrap();
        queue.push(&name("jobs"), Job::new("2")).await.unwrap();
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn nothing_is_left_of_jobs_that_are_done() {
    run(async {
        let redis = Redis::start(&[]);
        let queue = RedisQueue::open(&redis.url()).await.unwrap();
        push_all(&queue).await;
        all_come(&queue, "jobs").await;
        assert_eq!(redis.cli(&["--scan", "--pattern", "*:job:*"]), "");
        let counts = redis.cli(&["hmget", "chat:queue:{chat:jobs}:meta", "jobs", "bytes"]);
        assert_eq!(counts.lines().collect::<Vec<_>>(), ["0", "0"]);
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_worker_waits_without_harm_while_redis_is_away() {
    run(async {
        let mut redis = Redis::start(DURABLE);
        let queue = RedisQueue::open(&redis.url()).await.unwrap();
        let mut jobs = queue.consume(&name("jobs"), Consume::default()).await.unwrap();
        redis.kill();
        let told = timeout(PATIENCE, jobs.next()).await.unwrap().unwrap().unwrap_err();
        assert_eq!(told.kind(), QueueErrorKind::Unavailable);
        redis.restart();
        queue.push(&name("jobs"), Job::new("1")).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while jobs.next().await.unwrap().is_err() {
            assert!(Instant::now() < deadline, "the job does not come");
        }
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_redis_that_lost_everything_lets_nodes_enter_their_users_again() {
    run(async {
        let mut redis = Redis::start(&[]);
        let presence = RedisPresence::open(&redis.url()).await.unwrap();
        let (node, ann) = (NodeId::random([1; 16]), [UserId::new("ann").unwrap()]);
        presence.enter(node, &ann).await.unwrap();
        assert_eq!(presence.refresh(node).await.unwrap(), Lease::Held);
        redis.kill();
        assert!(presence.online(&ann).await.unwrap_err().is_transient());
        redis.restart();
        assert_eq!(presence.refresh(node).await.unwrap(), Lease::Lapsed);
        presence.enter(node, &ann).await.unwrap();
        assert_eq!(presence.online(&ann).await.unwrap(), [true]);
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn nothing_is_left_of_nodes_that_are_gone() {
    run(async {
        let redis = Redis::start(&[]);
        let presence = RedisPresence::open(&redis.url()).await.unwrap().with_lease(Duration::from_millis(100));
        let users: Vec<_> = (0..100).map(|number| UserId::new(format!("u{number}")).unwrap()).collect();
        presence.enter(NodeId::random([1; 16]), &users).await.unwrap();
        assert_ne!(redis.cli(&["dbsize"]).trim(), "0");
        let deadline = Instant::now() + PATIENCE;
        while redis.cli(&["dbsize"]).trim() != "0" {
            assert!(Instant::now() < deadline, "{}", redis.cli(&["keys", "*"]));
            sleep(Duration::from_millis(50)).await;
        }
    });
}
