//! A broker that takes what it is told and never answers: nothing waits for it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    Broker, Draft, Engine, Hub, Limits, Presence, RoomId, RoomSpec, Start,
    broker::{Attached, Bridge, BrokerError, Link, Topic},
    memory::{MemoryBroker, MemoryStore},
    model::NodeId,
    presence::BrokerPresence,
    protocol::Target,
};
use common::{Stream, human, user};
use tokio::time::{Instant, timeout};

/// Longer than whatever is tried again needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker of which some calls hang, until it is healed, and do nothing. Others are not kept from it by that.
#[derive(Clone, Default)]
struct Hangs {
    inner: MemoryBroker,
    listen: Arc<AtomicBool>,
    ignore: Arc<AtomicBool>,
    publish: Arc<AtomicBool>,
}

impl Hangs {
    /// A node's own way to a broker that others share.
    fn beside(inner: &MemoryBroker) -> Self {
        Self { inner: inner.clone(), ..Self::default() }
    }

    fn in_all_calls() -> Self {
        let broker = Self::default();
        for call in [&broker.listen, &broker.ignore, &broker.publish] {
            call.store(true, Ordering::Relaxed);
        }
        broker
    }
}

#[async_trait]
impl Broker for Hangs {
    async fn attach(&self, node: NodeId) -> Result<Attached, BrokerError> {
        let Attached { link, heard } = self.inner.attach(node).await?;
        Ok(Attached { link: Arc::new(HangingLink { link, hangs: self.clone() }), heard })
    }
}

struct HangingLink {
    link: Arc<dyn Link>,
    hangs: Hangs,
}

async fn unless(hangs: &AtomicBool) {
    if hangs.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl Link for HangingLink {
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        unless(&self.hangs.listen).await;
        self.link.listen(topics).await
    }
    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        unless(&self.hangs.ignore).await;
        self.link.ignore(topics).await
    }
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        unless(&self.hangs.publish).await;
        self.link.publish(batch).await
    }
    async fn close(&self) {
        self.link.close().await;
    }
}

/// Heads are not polled while a test runs, unless the broker is known to be in trouble.
fn only_hints() -> Limits {
    let mut limits = common::limits();
    limits.poll = Duration::from_hours(1);
    limits
}

/// Heads are not polled at all, except when something asks for it.
fn no_polls() -> Limits {
    let mut limits = only_hints();
    limits.poll_interrupted = Duration::from_hours(1);
    limits
}

async fn node(store: &Arc<MemoryStore>, broker: impl Broker + 'static, limits: Limits) -> Engine {
    let builder = Engine::builder().store(store.clone()).broker(Arc::new(broker)).limits(limits);
    builder.secret("the secret of this cluster").build().await.unwrap()
}

async fn room(node: &Engine) -> RoomId {
    node.hub(human("ann")).create(RoomSpec::public("tea").members(["ann", "bob"].map(user))).await.unwrap().id()
}

async fn follow(node: &Engine, name: &str, room: RoomId) -> Stream {
    let mut stream = Stream::new(node.hub(human(name)).room(room).await.unwrap().events(Start::Head));
    stream.followed().await;
    stream
}

async fn say(node: &Engine, name: &str, room: RoomId, text: &str) {
    node.hub(human(name)).post_to(Target::Room(room), Draft::text(text)).await.unwrap();
}

/// Says something, and hears it within a moment of paused time.
async fn is_heard_at_once(speaker: &Engine, room: RoomId, heard: &mut Stream) {
    let begun = Instant::now();
    for text in ["one", "two", "three"] {
        say(speaker, "ann", room, text).await;
        assert_eq!(heard.texts(1).await, [text]);
    }
    assert!(begun.elapsed() <= Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_listening_hangs_is_heard_at_once() {
    let store = Arc::new(MemoryStore::new());
    let shared = MemoryBroker::new();
    let hangs = Hangs::beside(&shared);
    let (speaker, listener) = (node(&store, hangs.clone(), no_polls()).await, node(&store, shared, no_polls()).await);
    let room = room(&speaker).await;
    let mut heard = follow(&listener, "bob", room).await;
    hangs.listen.store(true, Ordering::Relaxed);
    let _live = follow(&speaker, "ann", room).await; // from here on it listens, in vain
    is_heard_at_once(&speaker, room, &mut heard).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_cease_to_listen_is_heard_at_once() {
    let store = Arc::new(MemoryStore::new());
    let shared = MemoryBroker::new();
    let hangs = Hangs::beside(&shared);
    let (speaker, listener) = (node(&store, hangs.clone(), no_polls()).await, node(&store, shared, no_polls()).await);
    let room = room(&speaker).await;
    let mut heard = follow(&listener, "bob", room).await;
    let live = follow(&speaker, "ann", room).await;
    hangs.ignore.store(true, Ordering::Relaxed);
    drop(live);
    is_heard_at_once(&speaker, room, &mut heard).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_listened_to_is_heard_while_another_topic_hangs() {
    let store = Arc::new(MemoryStore::new());
    let shared = MemoryBroker::new();
    let hangs = Hangs::beside(&shared);
    let (listener, speaker) = (node(&store, hangs.clone(), no_polls()).await, node(&store, shared, no_polls()).await);
    let (one, other) = (room(&speaker).await, room(&speaker).await);
    let mut heard = follow(&listener, "bob", one).await;
    hangs.listen.store(true, Ordering::Relaxed);
    let _unheard = follow(&listener, "bob", other).await;
    is_heard_at_once(&speaker, one, &mut heard).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_listen_finds_in_the_log_what_it_does_not_hear() {
    let store = Arc::new(MemoryStore::new());
    let shared = MemoryBroker::new();
    let hangs = Hangs::beside(&shared);
    hangs.listen.store(true, Ordering::Relaxed);
    let (deaf, speaker) = (node(&store, hangs, only_hints()).await, node(&store, shared, only_hints()).await);
    let room = room(&speaker).await;
    let mut stream = follow(&deaf, "bob", room).await;
    for text in ["one", "two", "three"] {
        say(&speaker, "ann", room, text).await;
        assert_eq!(stream.texts(1).await, [text]);
        tokio::time::sleep(Duration::from_mins(1)).await; // however long it lasts
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_comes_to_itself_is_listened_to() {
    let store = Arc::new(MemoryStore::new());
    let shared = MemoryBroker::new();
    let hangs = Hangs::beside(&shared);
    hangs.listen.store(true, Ordering::Relaxed);
    let (deaf, speaker) = (node(&store, hangs.clone(), no_polls()).await, node(&store, shared, no_polls()).await);
    let room = room(&speaker).await;
    let mut stream = follow(&deaf, "bob", room).await;
    tokio::time::sleep(PATIENCE).await;
    say(&speaker, "ann", room, "while it hangs").await;
    hangs.listen.store(false, Ordering::Relaxed);
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(stream.texts(1).await, ["while it hangs"]); // read when it was listened to at last
    let begun = Instant::now();
    say(&speaker, "ann", room, "after that").await;
    assert_eq!(stream.texts(1).await, ["after that"]);
    assert!(begun.elapsed() <= Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_does_not_hold_up_the_other_of_a_bridge() {
    let store = Arc::new(MemoryStore::new());
    let bridge = Bridge::new(Arc::new(Hangs::in_all_calls()), Arc::new(MemoryBroker::new()));
    let nodes = [node(&store, bridge.clone(), no_polls()).await, node(&store, bridge, no_polls()).await];
    for _ in 0..3 {
        let room = room(&nodes[0]).await;
        let mut stream = follow(&nodes[1], "bob", room).await;
        let begun = Instant::now();
        for text in ["one", "two", "three", "four"] {
            say(&nodes[0], "ann", room, text).await;
            assert_eq!(stream.texts(1).await, [text]);
        }
        assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
        drop(stream); // which ceases to listen
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_of_a_bridge_that_comes_to_itself_is_listened_to() {
    let store = Arc::new(MemoryStore::new());
    let shared = MemoryBroker::new();
    let hangs = Hangs::beside(&shared);
    hangs.listen.store(true, Ordering::Relaxed);
    let bridge = Bridge::new(Arc::new(hangs.clone()), Arc::new(MemoryBroker::new()));
    let (between, before) = (node(&store, bridge, no_polls()).await, node(&store, shared, no_polls()).await);
    let room = room(&before).await;
    let mut stream = follow(&between, "bob", room).await;
    hangs.listen.store(false, Ordering::Relaxed);
    tokio::time::sleep(PATIENCE).await;
    say(&before, "ann", room, "over the side that hung").await;
    assert_eq!(stream.texts(1).await, ["over the side that hung"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_online_is_told_when_the_broker_comes_to_itself() {
    let shared = MemoryBroker::new();
    let hangs = Hangs::beside(&shared);
    hangs.listen.store(true, Ordering::Relaxed);
    let there = BrokerPresence::attach(&shared, None).await.unwrap();
    let late = timeout(PATIENCE, BrokerPresence::attach(&hangs, None)).await.expect("a node starts").unwrap();
    let node = NodeId::random([1; 16]);
    there.enter(node, &[user("ann")]).await.unwrap();
    assert_eq!(late.online(&[user("ann")]).await.unwrap(), [false]);
    hangs.listen.store(false, Ordering::Relaxed);
    there.refresh(node).await.unwrap();
    tokio::time::sleep(PATIENCE / 3).await;
    there.refresh(node).await.unwrap();
    tokio::time::sleep(PATIENCE / 3).await;
    assert_eq!(late.online(&[user("ann")]).await.unwrap(), [true]);
}
