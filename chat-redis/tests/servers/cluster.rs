//! A cluster whose servers die and are replaced, and whose slots move, while it is used.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chat_core::{
    UserId,
    conformance::run,
    model::NodeId,
    presence::Presence,
    queue::{Consume, Job, QueueName, Settlement, WorkQueue},
};
use chat_redis::{RedisPresence, RedisQueue};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

use crate::{
    broker::{all_is_heard, pair, topics},
    redis::{Redis, cluster, cluster_url, cluster_with_replicas, owner},
};

const PATIENCE: Duration = Duration::from_mins(1);
/// The slot of the queue `jobs` under the usual namespace: all of its keys have these braces.
const TAG: &str = "{chat:jobs}";
const JOBS: u32 = 200;

fn name() -> QueueName {
    QueueName::new("jobs").unwrap()
}

/// Pushes until the queue takes it, as whoever pushes does: a job may be there twice.
async fn push(queue: &RedisQueue, job: u32) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = queue.push(&name(), Job::new(job.to_string())).await {
        assert!(error.is_transient() && Instant::now() < deadline, "{job}: {error}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Takes jobs until each number has come.
async fn all_come(queue: &RedisQueue) {
    let mut jobs = queue.consume(&name(), Consume::default()).await.unwrap();
    let mut missing: BTreeSet<u32> = (0..JOBS).collect();
    while !missing.is_empty() {
        let next = timeout(PATIENCE, jobs.next()).await.unwrap_or_else(|_| panic!("lost: {missing:?}"));
        if let Some(Ok(job)) = next {
            missing.remove(&std::str::from_utf8(&job.job.body).unwrap().parse().unwrap());
            let _ = job.settle(Settlement::Done).await; // if its server is gone it comes again
        }
    }
}

async fn queue(nodes: &[Redis]) -> RedisQueue {
    RedisQueue::open(&cluster_url(nodes)).await.unwrap().with_lease(Duration::from_secs(2))
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn topics_of_a_server_that_is_killed_are_heard_at_its_replica() {
    run(async {
        let mut nodes = cluster_with_replicas();
        let (speaker, mut listener) = pair(&cluster_url(&nodes)).await;
        all_is_heard(&speaker, &mut listener).await;
        let dead = owner(&nodes, &format!("chat:hint:{}", topics()[0].number()));
        nodes[dead].kill();
        listener.interrupted().await;
        all_is_heard(&speaker, &mut listener).await; // the dead one never comes back
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn jobs_outlive_the_server_that_has_them() {
    run(async {
        let mut nodes = cluster_with_replicas();
        let queue = queue(&nodes).await;
        for job in 0..JOBS / 2 {
            push(&queue, job).await;
        }
        let first = owner(&nodes, TAG);
        // What its replica has not got yet would die with it: Redis does not wait for replicas by itself.
        assert_eq!(nodes[first].cli(&["wait", "1", "5000"]).trim(), "1");
        nodes[first].kill();
        for job in JOBS / 2..JOBS {
            push(&queue, job).await;
        }
        all_come(&queue).await;
    });
}

/// Operators do this to update a server: its replica takes over when it has got everything.
#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_failover_by_command_loses_no_job_under_load() {
    run(async {
        let nodes = cluster_with_replicas();
        let queue = queue(&nodes).await;
        let pushing = async {
            for job in 0..JOBS {
                push(&queue, job).await;
            }
        };
        let failing_over = async {
            sleep(Duration::from_millis(50)).await;
            let first = owner(&nodes, TAG);
            let id = nodes[first].cli(&["cluster", "myid"]).trim().to_owned();
            let follows = |node: &&Redis| {
                let table = node.cli(&["cluster", "nodes"]);
                table.lines().any(|line| line.contains("myself,slave") && line.contains(&id))
            };
            let replica = nodes.iter().find(follows).expect("a replica");
            assert_eq!(replica.cli(&["cluster", "failover"]).trim(), "OK");
            let deadline = Instant::now() + PATIENCE;
            while owner(&nodes, TAG) == first {
                assert!(Instant::now() < deadline, "it never takes over");
                sleep(Duration::from_millis(50)).await;
            }
        };
        futures::join!(pushing, failing_over, all_come(&queue));
    });
}

/// While a slot moves, what has moved is answered with ASK and what is in two places with TRYAGAIN; then with MOVED.
#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_queue_whose_slot_moves_is_refused_for_a_moment_and_loses_nothing() {
    run(async {
        let nodes = cluster();
        let queue = queue(&nodes).await;
        for job in 0..JOBS / 2 {
            push(&queue, job).await;
        }
        let source = owner(&nodes, TAG);
        let (from, to) = (&nodes[source], &nodes[(source + 1) % nodes.len()]);
        let [from_id, to_id] = [from, to].map(|node| node.cli(&["cluster", "myid"]).trim().to_owned());
        let slot = from.cli(&["cluster", "keyslot", TAG]).trim().to_owned();
        to.cli(&["cluster", "setslot", &slot, "importing", &from_id]);
        from.cli(&["cluster", "setslot", &slot, "migrating", &to_id]);
        let keys = from.cli(&["cluster", "getkeysinslot", &slot, "1000"]);
        assert!(keys.lines().count() > 100, "{keys}");
        let (host, port) = to.address().split_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
        for key in keys.lines() {
            assert_eq!(from.cli(&["migrate", &host, &port, key, "0", "5000"]).trim(), "OK");
        }
        let refused = queue.push(&name(), Job::new("0")).await.unwrap_err();
        assert!(refused.is_transient(), "{refused}");
        for node in [to, from].into_iter().chain(&nodes) {
            node.cli(&["cluster", "setslot", &slot, "node", &to_id]);
        }
        for job in JOBS / 2..JOBS {
            push(&queue, job).await;
        }
        all_come(&queue).await;
    });
}

/// Nothing is called by the hash of a script that the server would have to know.
#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_server_that_has_forgotten_all_scripts_is_no_trouble() {
    run(async {
        let redis = Redis::start(&[]);
        let queue = RedisQueue::open(&redis.url()).await.unwrap();
        let presence = RedisPresence::open(&redis.url()).await.unwrap();
        let (users, node) = ([UserId::new("ann").unwrap()], NodeId::random([1; 16]));
        for _ in 0..2 {
            presence.enter(node, &users).await.unwrap();
            presence.refresh(node).await.unwrap();
            assert_eq!(presence.online(&users).await.unwrap(), [true]);
            presence.leave(node, &users).await.unwrap();
            for job in 0..JOBS {
                queue.push(&name(), Job::new(job.to_string())).await.unwrap();
            }
            all_come(&queue).await;
            assert_eq!(redis.cli(&["script", "flush"]).trim(), "OK");
        }
    });
}
