//! Presence over a broker passes the suite of the port, with every node in a process of its own, as it were.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    broker::{Broker, Topic},
    conformance::{
        faulty::{BrokerOdds, Chance, FaultyBroker},
        presence::PresenceUnderTest,
        run,
    },
    memory::MemoryBroker,
    model::{NodeId, UserId},
    presence::{BrokerPresence, Lease, Presence, PresenceError},
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// Long enough for a busy machine to ask twice while it lasts.
const LEASE: Duration = Duration::from_secs(1);
/// How long nodes may take to agree on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Is a cluster where every node has its own presence, and where another node asks.
///
/// The suite asks right after it has told: so a change returns when the node that asks knows what is so, or the
/// lease might be over. Otherwise a suite for leases could not tell late from wrong.
struct Cluster {
    broker: Arc<dyn Broker>,
    nodes: tokio::sync::Mutex<BTreeMap<NodeId, Arc<BrokerPresence>>>,
    asks: BrokerPresence,
    so: Mutex<BTreeMap<NodeId, BTreeSet<UserId>>>,
}

async fn presence(broker: &dyn Broker) -> BrokerPresence {
    BrokerPresence::attach_with_lease(broker, Some(b"the same secret"), LEASE).await.unwrap()
}

impl Cluster {
    async fn new(broker: Arc<dyn Broker>) -> Self {
        let asks = presence(&*broker).await;
        Self { broker, nodes: tokio::sync::Mutex::default(), asks, so: Mutex::default() }
    }

    async fn node(&self, node: NodeId) -> Arc<BrokerPresence> {
        let mut nodes = self.nodes.lock().await;
        if let Entry::Vacant(place) = nodes.entry(node) {
            place.insert(Arc::new(presence(&*self.broker).await));
        }
        nodes[&node].clone()
    }

    async fn agree(&self, users: &[UserId]) -> Result<(), PresenceError> {
        let begun = Instant::now();
        let so: Vec<_> = users.iter().map(|user| self.so.lock().values().any(|users| users.contains(user))).collect();
        while self.asks.online(users).await? != so && begun.elapsed() < LEASE / 2 {
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Presence for Cluster {
    async fn enter(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.so.lock().entry(node).or_default().extend(users.iter().cloned());
        self.node(node).await.enter(node, users).await?;
        self.agree(users).await
    }

    async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.so.lock().entry(node).or_default().retain(|user| !users.contains(user));
        self.node(node).await.leave(node, users).await?;
        self.agree(users).await
    }

    async fn refresh(&self, node: NodeId) -> Result<Lease, PresenceError> {
        self.node(node).await.refresh(node).await
    }

    async fn online(&self, users: &[UserId]) -> Result<Vec<bool>, PresenceError> {
        self.asks.online(users).await
    }
}

chat_core::presence_conformance!(presence_over_a_broker, || async {
    PresenceUnderTest::new(Arc::new(Cluster::new(Arc::new(MemoryBroker::new())).await), LEASE)
});

chat_core::presence_conformance!(presence_on_one_node, || async {
    PresenceUnderTest::new(Arc::new(presence(&MemoryBroker::new()).await), LEASE)
});

fn ann() -> [UserId; 1] {
    [UserId::new("ann").unwrap()]
}

fn node(number: u8) -> NodeId {
    NodeId::random([number; 16])
}

async fn sees(presence: &BrokerPresence, online: bool) {
    let deadline = Instant::now() + PATIENCE;
    while presence.online(&ann()).await.unwrap() != [online] {
        assert!(Instant::now() < deadline, "ann is not seen as online: {online}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn who_was_online_before_a_node_came_is_known_to_it() {
    run(async {
        let broker = MemoryBroker::new();
        let first = presence(&broker).await;
        first.enter(node(1), &ann()).await.unwrap();
        sees(&presence(&broker).await, true).await;
    });
}

#[test]
fn over_a_broker_that_loses_half_nodes_agree_in_the_end() {
    run(async {
        futures::future::join_all((1..=8).map(agree_in_the_end)).await;
    });
}

async fn agree_in_the_end(seed: u64) {
    let mut odds = BrokerOdds::bad();
    odds.dropped = 50;
    let broker = FaultyBroker::new(Arc::new(MemoryBroker::new()), Chance::new(seed), odds);
    let (teller, watcher) = (presence(&broker).await, presence(&broker).await);
    for round in 0..4 {
        let (here, deadline) = (round % 2 == 0, Instant::now() + PATIENCE);
        if here {
            teller.enter(node(1), &ann()).await.unwrap();
        } else {
            teller.leave(node(1), &ann()).await.unwrap();
        }
        while watcher.online(&ann()).await.unwrap() != [here] {
            assert!(Instant::now() < deadline, "seed {seed}, round {round}");
            if teller.refresh(node(1)).await.unwrap() == Lease::Lapsed && here {
                teller.enter(node(1), &ann()).await.unwrap();
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[test]
fn who_does_not_know_the_secret_puts_nobody_online() {
    run(async {
        let broker = MemoryBroker::new();
        let believer = presence(&broker).await;
        let forger = BrokerPresence::attach(&broker, Some(b"another secret")).await.unwrap();
        forger.enter(node(1), &ann()).await.unwrap();
        let noise = broker.attach(node(9)).await.unwrap();
        noise.link.publish(&[(Topic::PRESENCE, Bytes::from_static(b"noise"))]).await.unwrap();
        // What comes after it was taken in after it.
        let honest = presence(&broker).await;
        let bob = [UserId::new("bob").unwrap()];
        honest.enter(node(2), &bob).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while believer.online(&bob).await.unwrap() != [true] {
            assert!(Instant::now() < deadline, "bob is not seen");
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(believer.online(&ann()).await.unwrap(), [false]);
    });
}
