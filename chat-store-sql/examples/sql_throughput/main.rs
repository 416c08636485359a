//! How fast a store appends and reads, beside a loop of raw SQL that has the same to show for it.
//!
//! ```sh
//! eval "$(scripts/services env)"
//! cargo run --release -p chat-store-sql --all-features --example sql_throughput -- \
//!     'sqlite:/tmp/bench.db?mode=rwc' "$CHAT_TEST_POSTGRES" "$CHAT_TEST_MYSQL"
//! ```
//!
//! Both write to tables of the same schema, to the same 1,000 rooms in turn, entries of 200 bytes. The raw loop finds the
//! rooms by their ids and locks them, inserts, moves the heads and commits: what it leaves is what the store leaves. It looks
//! up no keys (the unique index refuses what is there twice), compares no guard and learns no names. The tables
//! (`bench_…`, `raw_…`) stay, and what is in them slows both down; give new databases, which may be thrown away.
//! `SECONDS_EACH=1` is quicker and tells less.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)]

mod clock;
mod raw;

use std::time::{Duration, Instant};

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, Page, RoomId, RoomSpec, Seq, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::Append,
};
use chat_store_sql::{SqlConfig, SqlStore};
use clock::{Processes, Took, race};
use futures::future::join_all;
use raw::Raw;
use tokio::sync::Mutex;

const ROOMS: usize = 1_000;
const LANES: usize = 4;
const COMMITS: usize = 2_000;

#[tokio::main]
async fn main() {
    let each = std::env::var("SECONDS_EACH").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    println!("CPU is per item, in this process and in the server.\n");
    println!("| database | what | ours /s | raw /s | raw ÷ ours | our CPU µs | raw CPU µs | p50, p99 ms ours | raw |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for url in std::env::args().skip(1) {
        measure(&url, Duration::from_secs(each)).await;
    }
}

async fn measure(url: &str, each: Duration) {
    let name = url.split(':').next().unwrap_or_default();
    let ours = Ours::open(url).await;
    let mut raw = Raw::connect(url).await;
    let server = Processes::server(raw.pid_file().await);
    let (mut turns, mut raw_turns) = (Rooms::all(), Rooms::all());
    for batch in [1, 10, 100, 500] {
        let one = async || ours.append(&mut turns, batch).await;
        let took = race(each, batch, server.as_ref(), one, async || raw.append(&mut raw_turns, batch).await).await;
        row(name, &format!("append, {batch} a batch"), took);
    }
    commits(name, &ours, &mut turns, &mut raw, &mut raw_turns).await;
    if name != "sqlite" {
        row(name, "append, 100 a batch, 4 at once", at_once(url, &ours, each, server.as_ref()).await);
    }
    for _ in 0..120 {
        // Whatever was reached above, each room has a page to read.
        ours.append(&mut turns, 500).await;
        raw.append(&mut raw_turns, 500).await;
    }
    let one = async || ours.last_50(&mut turns).await;
    let took = race(each, 1, server.as_ref(), one, async || raw.last_50(&mut raw_turns).await).await;
    row(name, "newest 50 messages", took);
}

/// Measures batches in several connections, as the engine's lanes send them.
async fn at_once(url: &str, ours: &Ours, each: Duration, server: Option<&Processes>) -> [Took; 2] {
    let lanes: Vec<_> = (0..LANES).map(|lane| Mutex::new(Rooms::of(lane))).collect();
    let raws = join_all((0..LANES).map(|lane| async move { Mutex::new((Raw::connect(url).await, Rooms::of(lane))) }));
    let raws = raws.await;
    let one =
        async || drop(join_all(lanes.iter().map(async |lane| ours.append(&mut *lane.lock().await, 100).await)).await);
    let other = async || {
        join_all(raws.iter().map(async |lane| {
            let (raw, rooms) = &mut *lane.lock().await;
            raw.append(rooms, 100).await;
        }))
        .await;
    };
    race(each, 100 * LANES, server, one, other).await
}

/// Measures one append beside what it cannot be quicker than: how long the database takes to commit one message. The two take
/// turns call by call, so that a slow moment of the disk meets both.
async fn commits(name: &str, ours: &Ours, turns: &mut Rooms, raw: &mut Raw, raw_turns: &mut Rooms) {
    let (mut appends, mut commits) = (Vec::new(), Vec::new());
    for _ in 0..COMMITS {
        let began = Instant::now();
        ours.append(turns, 1).await;
        appends.push(began.elapsed().as_secs_f64() * 1e3);
        commits.push(raw.commit(raw_turns).await.as_secs_f64() * 1e3);
    }
    appends.sort_by(f64::total_cmp);
    commits.sort_by(f64::total_cmp);
    let [(half, most), (half_own, most_own)] =
        [appends, commits].map(|took| (took[COMMITS / 2], took[COMMITS * 99 / 100]));
    println!("| {name} | one append, its own commit | | | | | | {half:.2}, {most:.2} | {half_own:.2}, {most_own:.2} |");
}

fn row(name: &str, what: &str, [ours, raw]: [Took; 2]) {
    let ratio = raw.per_second() / ours.per_second();
    let cpu = |took: &Took| {
        let (client, server) = took.cpu_us();
        format!("{client:.1} + {server:.1}")
    };
    let call = |took: &Took| format!("{:.2}, {:.2}", took.percentile_ms(50), took.percentile_ms(99));
    let rates = format!("{:.0} | {:.0} | {ratio:.2}", ours.per_second(), raw.per_second());
    println!("| {name} | {what} | {rates} | {} | {} | {} | {} |", cpu(&ours), cpu(&raw), call(&ours), call(&raw));
}

fn body() -> Body {
    Body::Text(chat_core::Text::new("x".repeat(170)))
}

pub(crate) fn room_id(room: usize) -> RoomId {
    RoomId::named(&format!("bench {room}"))
}

/// Visits rooms in an order without pattern, each once in a round.
pub(crate) struct Rooms {
    turn: usize,
    lane: usize,
    lanes: usize,
}

impl Rooms {
    fn all() -> Self {
        Self { turn: 0, lane: 0, lanes: 1 }
    }

    /// Visits every fourth room.
    fn of(lane: usize) -> Self {
        Self { turn: 0, lane, lanes: LANES }
    }

    fn next(&mut self) -> usize {
        self.turn += 1;
        self.turn * 617 % (ROOMS / self.lanes) * self.lanes + self.lane
    }
}

struct Ours {
    store: SqlStore,
    rooms: Vec<RoomId>,
}

impl Ours {
    async fn open(url: &str) -> Self {
        let rooms: Vec<_> = (0..ROOMS).map(room_id).collect();
        for namespace in ["bench_", "raw_"] {
            let store = SqlStore::connect(SqlConfig::new(url).namespace(namespace)).await.expect("the database opens");
            let create =
                |room: &RoomId| share(*room, vec![entry(Body::Room(RoomChange::Created(RoomSpec::public("r"))))]);
            let creations: Vec<_> = rooms.iter().map(create).collect();
            for batch in creations.chunks(100) {
                store.append(batch).await.expect("rooms are made");
            }
        }
        let store = SqlStore::connect(SqlConfig::new(url).namespace("bench_")).await.expect("the database opens");
        Self { store, rooms }
    }

    async fn append(&self, rooms: &mut Rooms, count: usize) {
        let batch: Vec<_> = (0..count).map(|_| share(self.rooms[rooms.next()], vec![entry(body())])).collect();
        self.store.append(&batch).await.expect("a batch is stored");
    }

    async fn last_50(&self, rooms: &mut Rooms) {
        let room = self.rooms[rooms.next()];
        assert_eq!(self.store.history(room, &Page::newest(50)).await.expect("a page").len(), 50);
    }
}

fn entry(body: Body) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    NewEntry::new(id, Draft::new(body), UserId::from(1), "Ann".into(), Timestamp(1_750_000_000_000))
}

fn share(room: RoomId, entries: Vec<NewEntry>) -> Append {
    Append { room, guard: Some(Seq::ZERO), entries }
}
