//! Two chats on one Redis know nothing of each other.

use std::time::Duration;

use bytes::Bytes;
use chat_core::{
    UserId,
    broker::{Broker, Topic},
    conformance::run,
    model::NodeId,
    presence::{Lease, Presence},
    queue::{Consume, Job, QueueName, WorkQueue},
};
use chat_redis::{RedisBroker, RedisPresence, RedisQueue};
use futures::StreamExt;
use tokio::time::timeout;

use crate::common::On;

/// How long to listen for what must not come; what may come takes milliseconds.
const QUIET: Duration = Duration::from_millis(500);

/// Does everything in one namespace while another one listens.
async fn two_chats_know_nothing_of_each_other(on: On) {
    let (ours, theirs) = (on.config(), on.config());
    let (node, topic) = (NodeId::random([1; 16]), Topic::new(7).unwrap());
    let (ann, jobs) = ([UserId::new("ann").unwrap()], QueueName::new("jobs").unwrap());

    let speaker = RedisBroker::connect(ours.clone()).await.unwrap().attach(node).await.unwrap();
    let mut heard = Vec::new();
    for config in [ours.clone(), theirs.clone()] {
        let attached = RedisBroker::connect(config).await.unwrap().attach(node).await.unwrap();
        attached.link.listen(&[topic]).await.unwrap();
        heard.push(attached);
    }
    speaker.link.publish(&[(topic, Bytes::from_static(b"hint"))]).await.unwrap();
    assert!(timeout(QUIET * 10, heard[0].heard.next()).await.is_ok(), "who shares the namespace hears");
    assert!(timeout(QUIET, heard[1].heard.next()).await.is_err(), "who does not, does not");

    let here = RedisPresence::connect(ours.clone()).await.unwrap();
    let there = RedisPresence::connect(theirs.clone()).await.unwrap();
    here.enter(node, &ann).await.unwrap();
    assert_eq!((here.online(&ann).await.unwrap(), there.online(&ann).await.unwrap()), (vec![true], vec![false]));
    assert_eq!(there.refresh(node).await.unwrap(), Lease::Lapsed);

    let here = RedisQueue::connect(ours).await.unwrap();
    let there = RedisQueue::connect(theirs).await.unwrap();
    let mut at_theirs = there.consume(&jobs, Consume::default()).await.unwrap();
    here.push(&jobs, Job::new("job")).await.unwrap();
    assert!(timeout(QUIET, at_theirs.next()).await.is_err(), "the job is another chat's");
    let mut at_ours = here.consume(&jobs, Consume::default()).await.unwrap();
    assert_eq!(at_ours.next().await.unwrap().unwrap().job, Job::new("job"));
}

#[test]
#[ignore = "needs Redis: scripts/test"]
fn two_chats_on_one_redis_know_nothing_of_each_other() {
    run(two_chats_know_nothing_of_each_other(On::Single));
}

#[test]
#[ignore = "needs a Redis Cluster: scripts/test"]
fn two_chats_on_one_redis_cluster_know_nothing_of_each_other() {
    run(two_chats_know_nothing_of_each_other(On::Cluster));
}
