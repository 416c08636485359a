//! How fast a store appends and reads, beside a loop of the driver's calls that does the least that could be called the same.
//!
//! ```sh
//! eval "$(scripts/services env)"
//! cargo run -p chat-store-mongo --example mongo_throughput -- "$CHAT_TEST_MONGODB/bench"
//! ```
//!
//! Both write to 100 rooms in turn, entries of 200 bytes, so many at once to one room. The raw loop reads the last position,
//! inserts documents of the same shape under the same indexes, and moves the head in the room's document; it looks up no keys and
//! no people, compares no guard, and projects nothing. The database stays; give one that may be thrown away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)]
#![allow(dead_code)] // of the clock: what is on the other side of a server's socket is not looked at

#[path = "../../chat-store-sql/examples/sql_throughput/clock.rs"]
mod clock;

use std::time::Duration;

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, Page, RoomId, RoomSpec, Seq, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::Append,
};
use chat_store_mongo::{MongoConfig, MongoStore};
use clock::{Took, race};
use futures::TryStreamExt;
use mongodb::{
    Client, Collection,
    bson::{Binary, Document, doc, oid::ObjectId, spec::BinarySubtype},
    options::{Acknowledgment, ClientOptions, ReadConcern, WriteConcern},
};

const ROOMS: usize = 100;

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("the URL of a database that may be thrown away");
    let each = std::env::var("SECONDS_EACH").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    let (each, ours, raw) = (Duration::from_secs(each), open(&url, "bench_").await, open(&url, "raw_").await);
    drop(raw);
    let raw = Raw::connect(&url).await;
    println!("| database | what | ours /s | raw /s | raw ÷ ours | our CPU µs | raw CPU µs | p50, p99 ms ours | raw |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let (mut turn, mut raw_turn) = (0, 0);
    for batch in [1, 10, 100] {
        let one = async || append(&ours, &mut turn, batch).await;
        let took = race(each, batch, None, one, async || raw.append(&mut raw_turn, batch).await).await;
        row(&format!("append, {batch} to one room"), took);
    }
    for _ in 0..2 * ROOMS {
        append(&ours, &mut turn, 50).await;
        raw.append(&mut raw_turn, 50).await;
    }
    let one = async || {
        turn += 1;
        let page = ours.history(room(turn), &Page::newest(50)).await.unwrap();
        assert_eq!(page.len(), 50);
    };
    let other = async || {
        raw_turn += 1;
        assert_eq!(raw.last_50(room(raw_turn)).await, 50);
    };
    row("newest 50 messages", race(each, 1, None, one, other).await);
}

fn row(what: &str, [ours, raw]: [Took; 2]) {
    let call = |took: &Took| format!("{:.2}, {:.2}", took.percentile_ms(50), took.percentile_ms(99));
    println!(
        "| mongodb | {what} | {:.0} | {:.0} | {:.2} | {:.1} | {:.1} | {} | {} |",
        ours.per_second(),
        raw.per_second(),
        raw.per_second() / ours.per_second(),
        ours.cpu_us().0,
        raw.cpu_us().0,
        call(&ours),
        call(&raw)
    );
}

fn room(turn: usize) -> RoomId {
    RoomId::named(&format!("bench {}", turn % ROOMS))
}

fn entry(body: Body) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    NewEntry::new(id, Draft::new(body), UserId::from(1), "Ann".into(), Timestamp(1_750_000_000_000))
}

async fn open(url: &str, namespace: &str) -> MongoStore {
    let store = MongoStore::connect(MongoConfig::new(url).namespace(namespace)).await.expect("the database opens");
    for turn in 0..ROOMS {
        let creation = entry(Body::Room(RoomChange::Created(RoomSpec::public("r"))));
        store.append(&[Append { room: room(turn), guard: Some(Seq::ZERO), entries: vec![creation] }]).await.unwrap();
    }
    store
}

async fn append(store: &MongoStore, turn: &mut usize, count: usize) {
    *turn += 1;
    let entries = (0..count).map(|_| entry(Draft::text("x".repeat(170)).body)).collect();
    store.append(&[Append { room: room(*turn), guard: Some(Seq::ZERO), entries }]).await.expect("a batch is stored");
}

/// Is the driver, called by hand with the promises that the store asks for.
struct Raw {
    entries: Collection<Document>,
    rooms: Collection<Document>,
}

impl Raw {
    async fn connect(url: &str) -> Self {
        let mut options = ClientOptions::parse(url).await.unwrap();
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        let database = Client::with_options(options).unwrap().default_database().expect("the URL names a database");
        Self { entries: database.collection("raw_entries"), rooms: database.collection("raw_rooms") }
    }

    async fn append(&self, turn: &mut usize, count: usize) {
        *turn += 1;
        let room = binary(room(*turn).as_bytes());
        let last = self.entries.find_one(doc! { "room": room.clone() }).sort(doc! { "seq": -1 });
        let last = last.projection(doc! { "seq": 1 }).await.unwrap().expect("the room has a creation");
        let last = last.get_i64("seq").unwrap();
        let rows = (1..).take(count).map(|at| {
            let key = binary(Key::generate().as_bytes());
            doc! {
                "room": room.clone(), "seq": last + at, "id": key.clone(), "key": key.clone(),
                "author": ObjectId::from_bytes([1; 12]), "hash": key, "message": true, "guard": 0_i64,
                "body": Draft::text("x".repeat(170)).body.encode(), "folded": 0_i64, "at": 0_i64, "sent_at": 0_i64,
            }
        });
        let inserted = self.entries.insert_many(rows).await.unwrap().inserted_ids.len();
        let head = doc! { "$max": { "head": last + i64::try_from(inserted).unwrap() } };
        self.rooms.update_one(doc! { "_id": room }, head).await.unwrap();
    }

    async fn last_50(&self, room: RoomId) -> usize {
        let filter = doc! { "room": binary(room.as_bytes()), "message": true };
        let find = self.entries.find(filter).sort(doc! { "seq": -1 }).limit(50);
        find.await.unwrap().try_collect::<Vec<_>>().await.unwrap().len()
    }
}

fn binary(bytes: &[u8; 16]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}
