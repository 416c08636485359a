//! What a node hears from its broker that no node of its cluster has said.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use chat_core::{
    Broker, Draft, Engine, Entry, Hub, LogStore, Page, Room, RoomId, RoomSpec, RoomStore, Seq, Start, UserId,
    broker::{Attached, Topic},
    memory::{MemoryBroker, MemoryStore},
    model::{Member, NodeId, RoomSummary},
    store::{Access, Append, Head, Listing, Outcome, StoreError},
};
use common::{Stream, human};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &[u8] = b"the secret of this cluster";

/// Somebody else at the broker of a node.
struct Intruder {
    attached: Attached,
    room: RoomId,
}

impl Intruder {
    async fn says(&self, seal: Option<&[u8]>, hint: Value) {
        let node = NodeId::random([9; 16]);
        let body = json!({ "node": node.to_string(), "hints": [hint] }).to_string();
        let seal = seal.map_or([0; 32], |secret| {
            Hmac::<Sha256>::new_from_slice(secret)
                .unwrap()
                .chain_update([1])
                .chain_update(&body)
                .finalize()
                .into_bytes()
                .into()
        });
        self.sends([&[1], &seal[..], body.as_bytes()].concat()).await;
    }

    async fn sends(&self, payload: Vec<u8>) {
        self.attached.link.publish(&[(Topic::of(self.room), payload.into())]).await.unwrap();
    }

    /// An entry as it would stand in a hint.
    fn entry(&self, seq: i64, text: &str) -> Value {
        json!({
            "room": self.room.to_string(), "seq": seq, "id": "01932f5c-8a70-7c3e-9d1a-5b7e2f4c6a01",
            "key": "01932f5c-8a6b-7f20-8c5d-3e9b1a7d4f02", "author": "ann", "name": "Ann",
            "body": { "kind": "text", "text": text }, "at": 1, "sent_at": 1
        })
    }

    fn stored(&self, first: i64, last: i64, entries: &[Value]) -> Value {
        json!({ "room": self.room.to_string(), "first": first, "last": last, "entries": entries })
    }
}

async fn node(store: Arc<CountingStore>) -> (Engine, Arc<dyn Room>, Intruder) {
    let broker = MemoryBroker::new();
    let builder = Engine::builder().limits(common::limits()).store(store).broker(Arc::new(broker.clone()));
    let engine = builder.secret(SECRET).build().await.unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("lobby")).await.unwrap();
    let attached = broker.attach(NodeId::random([9; 16])).await.unwrap();
    let intruder = Intruder { attached, room: room.id() };
    (engine, room, intruder)
}

#[tokio::test]
async fn the_log_wins_over_whatever_is_said_at_the_broker() {
    let (_engine, room, intruder) = node(Arc::default()).await;
    let mut ann = Stream::new(room.events(Start::Head));
    assert_eq!(ann.followed().await, Seq::FIRST);
    room.post(Draft::text("one")).await.unwrap();
    assert_eq!(ann.texts(1).await, ["one"]);

    for payload in [vec![], vec![1], vec![2; 100], vec![0xff; 4_000], b"\x01{}".to_vec()] {
        intruder.sends(payload).await;
    }
    let lie = |seq| vec![intruder.entry(seq, "a lie")];
    for seal in [None, Some(&b"another secret"[..]), Some(SECRET)] {
        // The next position with another content: unsealed, or not after the entry that we have.
        intruder.says(seal, intruder.stored(3, 3, &lie(3))).await;
        // What has passed, what is far ahead, what cannot be, what is upside down, what is in another room.
        intruder.says(seal, intruder.stored(1, 2, &lie(2))).await;
        intruder.says(seal, intruder.stored(1_000_000, 1_000_000, &lie(1_000_000))).await;
        intruder.says(seal, intruder.stored(-1, -1, &lie(-1))).await;
        intruder.says(seal, intruder.stored(9, 3, &lie(3))).await;
        let mut elsewhere = intruder.stored(3, 3, &lie(3));
        elsewhere["room"] = RoomId::named("another").to_string().into();
        intruder.says(seal, elsewhere).await;
    }
    for signal in [json!({ "kind": "typing" }), json!({ "kind": "presence" }), json!({}), json!(7)] {
        intruder.says(None, json!({ "room": intruder.room.to_string(), "signal": signal })).await;
    }
    room.post(Draft::text("two")).await.unwrap();
    room.post(Draft::text("three")).await.unwrap();
    assert_eq!(ann.texts(2).await, ["two", "three"], "the log and nothing else, without a hole");
}

#[tokio::test]
async fn a_flood_of_hints_for_one_room_costs_a_few_reads() {
    const FLOOD: i64 = 20_000;
    let store = Arc::new(CountingStore::default());
    let (_engine, room, intruder) = node(store.clone()).await;
    let mut ann = Stream::new(room.events(Start::Head));
    ann.followed().await;
    let before = store.reads.load(Ordering::Relaxed);
    for number in 0..FLOOD {
        intruder.says(None, intruder.stored(1_000 + number, 1_000 + number, &[])).await;
        if number % 64 == 0 {
            tokio::task::yield_now().await; // let the node hear
        }
    }
    room.post(Draft::text("still here")).await.unwrap();
    assert_eq!(ann.texts(1).await, ["still here"]);
    let reads = store.reads.load(Ordering::Relaxed) - before;
    assert!(reads < 2_000, "{reads} reads for {FLOOD} hints"); // a read each would be too many, one every 50 ms is not
}

/// A store that counts how often a log is read.
#[derive(Default)]
struct CountingStore {
    inner: MemoryStore,
    reads: AtomicUsize,
}

#[async_trait]
impl LogStore for CountingStore {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.inner.append(batch).await
    }
    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read(room, after, limit).await
    }
    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.inner.history(room, page).await
    }
    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.inner.heads(rooms).await
    }
    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.inner.trim(room, through).await
    }
}

#[async_trait]
impl RoomStore for CountingStore {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        self.inner.access(room, user).await
    }
    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.inner.members(room, page).await
    }
    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        self.inner.rooms(which, page).await
    }
    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.inner.mark(user, room, read).await
    }
    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.inner.project(entries).await
    }
}
