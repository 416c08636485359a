//! Several engines over one store and one broker in memory: a cluster in one process.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use chat_core::{
    Broker, Code, Draft, Engine, Event, Hub, RoomSpec, Seq, Start,
    conformance::faulty::{BrokerOdds, Call, Chance, FaultyBroker, FaultyStore, StoreFault},
    memory::{MemoryBroker, MemoryPresence, MemoryStore},
    protocol::{Outgoing, Signal, Target},
    store::StoreError,
};
use common::{Stream, human, limits, user};

/// Starts engines that share everything.
async fn cluster(nodes: usize, broker: Arc<dyn Broker>) -> Vec<Engine> {
    let (store, presence) = (Arc::new(MemoryStore::new()), Arc::new(MemoryPresence::default()));
    let mut engines = Vec::new();
    for _ in 0..nodes {
        let builder = Engine::builder().store(store.clone()).presence(presence.clone()).broker(broker.clone());
        engines.push(builder.limits(limits()).secret("the secret of this cluster").build().await.unwrap());
    }
    engines
}

/// Three users on three nodes talk at once; everybody receives the same log, densely.
async fn everybody_receives_the_same(broker: Arc<dyn Broker>) {
    let nodes = cluster(3, broker).await;
    let names = ["ann", "bob", "cho"];
    let spec = RoomSpec::public("general").members(names.map(user));
    let room = nodes[0].hub(human("ann")).create(spec).await.unwrap().id();
    let mut streams = Vec::new();
    for (node, name) in nodes.iter().zip(names) {
        let mut stream = Stream::new(node.hub(human(name)).room(room).await.unwrap().events(Start::Head));
        stream.followed().await;
        streams.push(stream);
    }
    let posts = nodes.iter().zip(names).map(async |(node, name)| {
        let hub = node.hub(human(name));
        for number in 0..50 {
            hub.post_to(Target::Room(room), Draft::text(format!("{name} {number}"))).await.unwrap();
        }
    });
    futures::future::join_all(posts).await;
    let mut received = Vec::new();
    for stream in &mut streams {
        received.push(stream.texts(150).await);
    }
    assert!(received.iter().all(|texts| *texts == received[0]));
    for name in names {
        let own: Vec<_> = received[0].iter().filter(|text| text.starts_with(name)).cloned().collect();
        let sent: Vec<_> = (0..50).map(|number| format!("{name} {number}")).collect();
        assert_eq!(own, sent, "one sender's order holds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_different_nodes_talk_as_if_on_one() {
    everybody_receives_the_same(Arc::new(MemoryBroker::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_hint_everything_arrives_all_the_same() {
    let deaf = FaultyBroker::new(Arc::new(MemoryBroker::default()), Chance::new(1), BrokerOdds::deaf());
    everybody_receives_the_same(Arc::new(deaf)).await;
}

/// Counts how often the log is read.
#[derive(Default)]
struct Reads(AtomicUsize);

#[async_trait]
impl StoreFault for Reads {
    async fn before(&self, call: &mut Call) -> Result<(), StoreError> {
        if matches!(call, Call::Read { .. }) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[tokio::test]
async fn nodes_that_take_turns_in_a_room_need_no_look_at_the_log() {
    let reads = Arc::new(Reads::default());
    let store = Arc::new(FaultyStore::new(MemoryStore::new(), reads.clone()));
    let broker = Arc::new(MemoryBroker::new());
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let builder = Engine::builder().store(store.clone()).broker(broker.clone()).limits(limits());
        nodes.push(builder.secret("the secret of this cluster").build().await.unwrap());
    }
    let names = ["ann", "bob"];
    let room = nodes[0].hub(human("ann")).create(RoomSpec::public("tea").members(names.map(user))).await.unwrap().id();
    let mut streams = Vec::new();
    for (node, name) in nodes.iter().zip(names) {
        let mut stream = Stream::new(node.hub(human(name)).room(room).await.unwrap().events(Start::Head));
        stream.followed().await;
        streams.push(stream);
    }
    let before = reads.0.load(Ordering::Relaxed);
    for turn in 0..40 {
        let (node, name) = (&nodes[turn % 2], names[turn % 2]);
        let text = turn.to_string();
        node.hub(human(name)).post_to(Target::Room(room), Draft::text(&*text)).await.unwrap();
        for stream in &mut streams {
            assert_eq!(stream.texts(1).await, [&*text]);
        }
    }
    assert_eq!(reads.0.load(Ordering::Relaxed) - before, 0);
}

#[tokio::test]
async fn a_client_resumes_on_another_node() {
    let nodes = cluster(2, Arc::new(MemoryBroker::default())).await;
    let room = nodes[0].hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let mut first = Stream::new(room.events(Start::Head));
    first.followed().await;
    let mut cursor = None;
    for number in 0..20 {
        room.post(Draft::text(number.to_string())).await.unwrap();
        if number == 9 {
            first.texts(9).await;
            let Event::Entry(entry) = first.next().await else { panic!("the tenth") };
            cursor = Some(chat_core::Cursor::new(entry.room, entry.seq, Some(entry.id)));
        }
    }
    drop(first);
    let elsewhere = nodes[1].hub(human("ann")).room(room.id()).await.unwrap();
    let mut second = Stream::new(elsewhere.events(Start::After(cursor.unwrap())));
    second.followed().await;
    let expected: Vec<_> = (10..20).map(|number| number.to_string()).collect();
    assert_eq!(second.texts(10).await, expected);
}

#[tokio::test]
async fn who_is_removed_on_one_node_receives_nothing_more_on_another() {
    let nodes = cluster(2, Arc::new(MemoryBroker::default())).await;
    let room = nodes[0].hub(human("ann")).create(RoomSpec::private("group").members([user("bob")])).await.unwrap();
    let mut bobs = Stream::new(nodes[1].hub(human("bob")).events(Vec::new()));
    bobs.followed().await;
    bobs.followed().await;
    room.post(Draft::text("before")).await.unwrap();
    room.post(common::leave("bob")).await.unwrap();
    room.post(Draft::text("after")).await.unwrap();
    assert_eq!(bobs.texts(1).await, ["before"]);
    loop {
        match bobs.next().await {
            Event::Unfollowed { why, .. } => break assert_eq!(why, Code::Removed),
            Event::Entry(entry) => assert_ne!(entry.room, room.id(), "received after the removal"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn two_first_private_messages_on_two_nodes_make_one_room() {
    let nodes = cluster(2, Arc::new(MemoryBroker::default())).await;
    for round in 0..20 {
        let (ann, bob) = (format!("ann{round}"), format!("bob{round}"));
        let here = nodes[0].hub(human(&ann)).direct(&user(&bob));
        let there = nodes[1].hub(human(&bob)).direct(&user(&ann));
        let (one, two) = tokio::join!(here.post(Draft::text("hi")), there.post(Draft::text("ho")));
        one.unwrap();
        two.unwrap();
        let history = here.history(chat_core::Page::default()).await.unwrap();
        assert_eq!(
            history.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
            [Seq::new(2).unwrap(), Seq::new(3).unwrap()]
        );
    }
}

#[tokio::test]
async fn one_draft_sent_to_two_nodes_at_once_is_stored_once() {
    let nodes = cluster(2, Arc::new(MemoryBroker::default())).await;
    let room = nodes[0].hub(human("ann")).create(RoomSpec::public("general")).await.unwrap().id();
    for number in 0..100 {
        let draft = Draft::text(number.to_string());
        let target = Target::Room(room);
        let (here, there) = (nodes[0].hub(human("ann")), nodes[1].hub(human("ann")));
        let (one, two) = tokio::join!(here.post_to(target.clone(), draft.clone()), there.post_to(target, draft));
        assert_eq!(one.unwrap(), two.unwrap());
    }
}

#[tokio::test]
async fn typing_reaches_the_followers_on_another_node_only() {
    let nodes = cluster(2, Arc::new(MemoryBroker::default())).await;
    let spec = RoomSpec::public("general").members([user("bob")]);
    let room = nodes[0].hub(human("ann")).create(spec).await.unwrap();
    let bobs_room = nodes[1].hub(human("bob")).room(room.id()).await.unwrap();
    let mut bobs = Stream::new(bobs_room.events(Start::Head));
    bobs.followed().await;
    room.post(Draft::text("first")).await.unwrap();
    bobs.texts(1).await; // by now the other node hears this room
    room.signal(Outgoing::Typing(true)).await.unwrap();
    let Event::Signal(Signal::Typing { user: who, on, .. }) = bobs.next().await else { panic!("typing") };
    assert_eq!((who, on), (user("ann"), true));
}
