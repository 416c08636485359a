//! Brokers with one defect each.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    Broker,
    broker::{Attached, BrokerError, Heard, Link, Topic},
    conformance::broker::BrokerUnderTest,
    memory::MemoryBroker,
    model::NodeId,
};
use futures::{StreamExt, future, stream};

use super::mutants;

mutants! {
    broker, under_test;
    a_listener_hears_what_others_publish: HearsAllTopics,
    listening_twice_hears_once: HearsTwice,
    an_ignored_topic_is_silent: IgnoresNothing,
    every_listener_hears: HasOneListener,
    one_publishers_payloads_stay_in_order: Reorders,
    a_listener_that_falls_behind_is_told: HidesLosses,
    a_closed_link_ends_its_stream: NeverCloses,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    HearsAllTopics,
    HearsTwice,
    IgnoresNothing,
    HasOneListener,
    Reorders,
    HidesLosses,
    NeverCloses,
}

fn under_test(defect: Defect) -> BrokerUnderTest {
    BrokerUnderTest::new(Arc::new(Broken { memory: MemoryBroker::new(), defect, listeners: AtomicU32::new(0) }))
}

struct Broken {
    memory: MemoryBroker,
    defect: Defect,
    listeners: AtomicU32,
}

#[async_trait]
impl Broker for Broken {
    async fn attach(&self, node: NodeId) -> Result<Attached, BrokerError> {
        let Attached { link, heard } = self.memory.attach(node).await?;
        // The first node speaks, the second is the first to listen.
        let nodes = self.listeners.fetch_add(1, Ordering::Relaxed);
        let heard = match self.defect {
            Defect::HearsTwice => heard.flat_map(|heard| stream::iter([heard.clone(), heard])).boxed(),
            Defect::HidesLosses => heard.filter(|heard| future::ready(*heard != Heard::Interrupted)).boxed(),
            Defect::HasOneListener if nodes > 1 => heard.filter(|_| future::ready(false)).boxed(),
            _ => heard,
        };
        Ok(Attached { link: Arc::new(BrokenLink(link, self.defect)), heard })
    }
}

struct BrokenLink(Arc<dyn Link>, Defect);

#[async_trait]
impl Link for BrokenLink {
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        if self.1 == Defect::HearsAllTopics {
            let all: Vec<_> = (0..Topic::COUNT).filter_map(Topic::new).collect();
            return self.0.listen(&all).await;
        }
        self.0.listen(topics).await
    }

    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        if self.1 == Defect::IgnoresNothing { Ok(()) } else { self.0.ignore(topics).await }
    }

    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        if self.1 == Defect::Reorders {
            let turned: Vec<_> = batch.iter().rev().cloned().collect();
            return self.0.publish(&turned).await;
        }
        self.0.publish(batch).await
    }

    async fn close(&self) {
        if self.1 != Defect::NeverCloses {
            self.0.close().await;
        }
    }
}
