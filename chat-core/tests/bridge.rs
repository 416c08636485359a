//! A cluster that moves from one broker to another, a node at a time, while people talk.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{
    Broker, Draft, Engine, Hub, Limits, RoomId, RoomSpec, Start,
    broker::{Attached, Bridge, BrokerError, BrokerErrorKind},
    memory::{MemoryBroker, MemoryStore},
    model::NodeId,
    protocol::Target,
};
use common::{Stream, human, user};
use futures::FutureExt;

const NAMES: [&str; 3] = ["ann", "bob", "cho"];

/// Heads are not polled while a test runs: only hints bring what is stored elsewhere.
fn only_hints() -> Limits {
    let mut limits = common::limits();
    limits.poll = Duration::from_hours(1);
    limits
}

async fn node(store: &Arc<MemoryStore>, broker: Arc<dyn Broker>, limits: Limits) -> Engine {
    let builder = Engine::builder().store(store.clone()).broker(broker).limits(limits);
    builder.secret("the secret of this cluster").build().await.unwrap()
}

async fn room(node: &Engine) -> RoomId {
    node.hub(human("ann")).create(RoomSpec::public("tea").members(NAMES.map(user))).await.unwrap().id()
}

async fn follow(node: &Engine, name: &str, room: RoomId) -> Stream {
    let mut stream = Stream::new(node.hub(human(name)).room(room).await.unwrap().events(Start::Head));
    stream.followed().await;
    stream
}

async fn say(node: &Engine, name: &str, room: RoomId, text: &str) {
    node.hub(human(name)).post_to(Target::Room(room), Draft::text(text)).await.unwrap();
}

#[tokio::test]
async fn a_node_on_the_bridge_hears_the_nodes_on_either_side_and_is_heard_there() {
    let store = Arc::new(MemoryStore::new());
    let (old, new) = (Arc::new(MemoryBroker::new()), Arc::new(MemoryBroker::new()));
    let before = node(&store, old.clone(), only_hints()).await;
    let between = node(&store, Arc::new(Bridge::new(old, new.clone())), only_hints()).await;
    let after = node(&store, new, only_hints()).await;
    let room = room(&before).await;
    for (one, other) in [(&before, &between), (&between, &before), (&between, &after), (&after, &between)] {
        let mut stream = follow(other, "bob", room).await;
        say(one, "ann", room, "over the bridge").await;
        assert_eq!(stream.texts(1).await, ["over the bridge"]);
    }
}

#[tokio::test]
async fn what_both_brokers_carry_is_delivered_once() {
    let store = Arc::new(MemoryStore::new());
    let bridge = Bridge::new(Arc::new(MemoryBroker::new()), Arc::new(MemoryBroker::new()));
    let nodes = [
        node(&store, Arc::new(bridge.clone()), only_hints()).await,
        node(&store, Arc::new(bridge), only_hints()).await,
    ];
    let room = room(&nodes[0]).await;
    let mut stream = follow(&nodes[1], "bob", room).await;
    let sent: Vec<_> = (0..200).map(|number| number.to_string()).collect();
    for text in &sent {
        say(&nodes[0], "ann", room, text).await;
    }
    assert_eq!(stream.texts(sent.len()).await, sent); // which checks that no position comes twice
}

/// A broker that cannot be reached.
struct Nowhere;

#[async_trait]
impl Broker for Nowhere {
    async fn attach(&self, _: NodeId) -> Result<Attached, BrokerError> {
        Err(BrokerError::new(BrokerErrorKind::Unavailable, "nowhere"))
    }
}

#[tokio::test]
async fn a_node_that_starts_must_reach_both() {
    for [one, other] in [[true, false], [false, true]] {
        let side =
            |works: bool| -> Arc<dyn Broker> { if works { Arc::new(MemoryBroker::new()) } else { Arc::new(Nowhere) } };
        let bridge = Bridge::new(side(one), side(other));
        assert_eq!(bridge.attach(NodeId::random([1; 16])).await.unwrap_err().kind(), BrokerErrorKind::Unavailable);
    }
}

/// Three nodes go from the old broker over the bridge to the new one, each restarted on its own, while each of three
/// people talks through whichever node runs. Nobody misses anything, and all see one order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_moves_without_a_pause() {
    let store = Arc::new(MemoryStore::new());
    let (old, new) = (Arc::new(MemoryBroker::new()), Arc::new(MemoryBroker::new()));
    let bridge = Arc::new(Bridge::new(old.clone(), new.clone()));
    let mut nodes = Vec::new();
    for _ in NAMES {
        nodes.push(node(&store, old.clone(), only_hints()).await);
    }
    let room = room(&nodes[0]).await;
    let mut sent = 0;
    for broker in [bridge as Arc<dyn Broker>, new] {
        for moving in 0..nodes.len() {
            nodes[moving].drain(Duration::from_secs(5)).await;
            nodes[moving] = node(&store, broker.clone(), only_hints()).await;
            let mut streams = Vec::new();
            for (node, name) in nodes.iter().zip(NAMES) {
                streams.push(follow(node, name, room).await);
            }
            for (node, name) in nodes.iter().zip(NAMES) {
                say(node, name, room, &format!("{sent}")).await;
                sent += 1;
            }
            let expected: Vec<_> = (sent - NAMES.len()..sent).map(|number| number.to_string()).collect();
            for stream in &mut streams {
                assert_eq!(stream.texts(NAMES.len()).await, expected);
                assert!(stream.next().now_or_never().is_none(), "something came twice");
            }
        }
    }
}
