//! The ports in memory pass the suites that every adapter passes.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use chat_core::{
    WorkQueue,
    conformance::{
        broker::BrokerUnderTest,
        dead_letters::DeadLettersUnderTest,
        faulty::{BrokerOdds, Chance, FaultyBroker, FaultyStore, LaggingAccess, RandomFaults, StoreOdds},
        presence::PresenceUnderTest,
        queue::QueueUnderTest,
    },
    memory::{MemoryBroker, MemoryPresence, MemoryQueue, MemoryStore},
    queue::{Consume, Job, QueueName, Settlement},
    store::Hybrid,
};
use futures::StreamExt;

/// Long enough for a busy machine to ask twice while it lasts.
const LEASE: Duration = Duration::from_millis(300);

chat_core::store_conformance!(memory_store, || async { MemoryStore::new() });

chat_core::feed_conformance!(memory_feed, || async { MemoryStore::new() });
chat_core::repair_conformance!(memory_repair, || async { MemoryStore::new() });
chat_core::people_conformance!(memory_people, || async { MemoryStore::new() });

chat_core::people_conformance!(hybrid_people, || async { Hybrid::new(MemoryStore::new(), MemoryStore::new()) });
chat_core::restore_conformance!(memory_restore, || async { MemoryStore::new() });

chat_core::broker_conformance!(memory_broker, || async { BrokerUnderTest::new(Arc::new(MemoryBroker::new())) });

chat_core::presence_conformance!(memory_presence, || async {
    PresenceUnderTest::new(Arc::new(MemoryPresence::with_lease(LEASE)), LEASE)
});

chat_core::work_queue_conformance!(memory_queue, || async { QueueUnderTest::new(Arc::new(MemoryQueue::new())) });

chat_core::dead_letters_conformance!(memory_dead_letters, || async {
    let queue = Arc::new(MemoryQueue::new());
    DeadLettersUnderTest::new(QueueUnderTest::new(queue.clone()), queue)
});

// Behind faults that never happen, they are the same ports: the faulty ones add nothing of their own.

chat_core::store_conformance!(memory_store_behind_faults, || async {
    FaultyStore::new(MemoryStore::new(), RandomFaults::new(Chance::new(1), StoreOdds::default()))
});

chat_core::store_conformance!(memory_store_that_lags, || async {
    let store = Arc::new(MemoryStore::new());
    let lag = LaggingAccess::new(store.clone(), Chance::new(1), Duration::from_millis(2));
    FaultyStore::new(store, lag)
});

chat_core::broker_conformance!(memory_broker_behind_faults, || async {
    let broker = FaultyBroker::new(Arc::new(MemoryBroker::new()), Chance::new(1), BrokerOdds::default());
    BrokerUnderTest::new(Arc::new(broker))
});

#[tokio::test]
async fn a_job_that_is_put_off_for_ever_ends_nothing() {
    let (queue, name) = (MemoryQueue::new(), QueueName::new("q").unwrap());
    queue.push(&name, Job::new("later")).await.unwrap();
    let mut jobs = queue.consume(&name, Consume::default()).await.unwrap();
    jobs.next().await.unwrap().unwrap().settle(Settlement::Retry(Duration::MAX)).await.unwrap();
    queue.push(&name, Job::new("now")).await.unwrap();
    assert_eq!(jobs.next().await.unwrap().unwrap().job.body, "now");
}
