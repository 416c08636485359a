//! The ports keep their promises, on a single Redis and on a Redis Cluster.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-redis --test conformance -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use chat_core::conformance::{
    broker::BrokerUnderTest, dead_letters::DeadLettersUnderTest, presence::PresenceUnderTest, queue::QueueUnderTest,
};
use chat_redis::{RedisBroker, RedisPresence, RedisQueue};
use common::On;

/// Long enough for a busy machine to ask twice while it lasts.
const LEASE: Duration = Duration::from_secs(1);

async fn broker(on: On) -> BrokerUnderTest {
    BrokerUnderTest::new(Arc::new(RedisBroker::connect(on.config()).await.expect("a broker")))
}

async fn presence(on: On) -> PresenceUnderTest {
    let presence = RedisPresence::connect(on.config()).await.expect("presence");
    PresenceUnderTest::new(Arc::new(presence.with_lease(LEASE)), LEASE)
}

async fn queue(on: On) -> Arc<RedisQueue> {
    Arc::new(RedisQueue::connect(on.config()).await.expect("a queue"))
}

async fn dead_letters(on: On) -> DeadLettersUnderTest {
    let queue = queue(on).await;
    DeadLettersUnderTest::new(QueueUnderTest::new(queue.clone()), queue)
}

chat_core::broker_conformance!(
    #[ignore = "needs Redis: scripts/test"]
    redis_broker,
    async || broker(On::Single).await
);

chat_core::broker_conformance!(
    #[ignore = "needs a Redis Cluster: scripts/test"]
    redis_cluster_broker,
    async || broker(On::Cluster).await
);

chat_core::presence_conformance!(
    #[ignore = "needs Redis: scripts/test"]
    redis_presence,
    async || presence(On::Single).await
);

chat_core::presence_conformance!(
    #[ignore = "needs a Redis Cluster: scripts/test"]
    redis_cluster_presence,
    async || presence(On::Cluster).await
);

chat_core::work_queue_conformance!(
    #[ignore = "needs Redis: scripts/test"]
    redis_queue,
    async || QueueUnderTest::new(queue(On::Single).await)
);

chat_core::work_queue_conformance!(
    #[ignore = "needs a Redis Cluster: scripts/test"]
    redis_cluster_queue,
    async || QueueUnderTest::new(queue(On::Cluster).await)
);

chat_core::dead_letters_conformance!(
    #[ignore = "needs Redis: scripts/test"]
    redis_dead_letters,
    async || dead_letters(On::Single).await
);

chat_core::dead_letters_conformance!(
    #[ignore = "needs a Redis Cluster: scripts/test"]
    redis_cluster_dead_letters,
    async || dead_letters(On::Cluster).await
);
