//! How fast a store appends and reads, beside a loop of raw SQL that does the least that could be called the same.
//!
//! ```sh
//! eval "$(scripts/services env)"
//! cargo run --release -p chat-store-sql --all-features --example throughput -- sqlite:/tmp/bench.db $CHAT_TEST_POSTGRES $CHAT_TEST_MYSQL
//! ```
//!
//! Both write to tables of the same schema, to the same 1,000 rooms in turn, entries of 200 bytes. The raw loop locks the
//! rooms, inserts, moves the heads and commits; it looks up no keys, compares no guard and learns no names. The tables
//! (`bench_…`, `raw_…`) stay; give databases that may be thrown away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)]

use std::time::{Duration, Instant};

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, Page, RoomId, RoomSpec, Seq, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::Append,
};
use chat_store_sql::{SqlConfig, SqlStore};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row, SqliteConnection};

const ROOMS: usize = 1_000;
const LASTS: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    println!(
        "| database | what | chat-store-sql /s | raw /s | raw ÷ ours | our CPU µs | raw CPU µs |\n|---|---|---|---|---|---|---|"
    );
    for url in std::env::args().skip(1) {
        measure(&url).await;
    }
}

async fn measure(url: &str) {
    let name = url.split(':').next().unwrap_or_default().to_owned();
    let ours = Ours::open(url).await;
    let mut raw = Raw::open(url).await;
    for batch in [1, 10, 100, 500] {
        let (mut turn, mut turn_raw) = (0, 0);
        // One after the other and again, so that a noisy moment meets both.
        let mut rates = [Rate::default(), Rate::default()];
        for _ in 0..2 {
            rates[0] += clock(batch, async || ours.append(&mut turn, batch).await).await;
            rates[1] += clock(batch, async || raw.append(&mut turn_raw, batch).await).await;
        }
        row(&name, &format!("append, {batch} a batch"), rates);
    }
    for _ in 0..60 {
        // Whatever was reached above, each room has a page to read.
        ours.append(&mut 0, 500).await;
        ours.append(&mut 500, 500).await;
        raw.append(&mut 0, 500).await;
        raw.append(&mut 500, 500).await;
    }
    let (mut at, mut at_raw) = (0, 0);
    let ours = clock(1, async || ours.last_50(&mut at).await).await;
    let raw = clock(1, async || raw.last_50(&mut at_raw).await).await;
    row(&name, "last 50 messages", [ours, raw]);
}

fn row(name: &str, what: &str, [ours, raw]: [Rate; 2]) {
    let ratio = raw.per_second() / ours.per_second();
    let rates = format!("{:.0} | {:.0} | {ratio:.2}", ours.per_second(), raw.per_second());
    println!("| {name} | {what} | {rates} | {:.1} | {:.1} |", ours.cpu_us(), raw.cpu_us());
}

/// Is how much was done in what time, by the clock and by this process's CPU.
#[derive(Clone, Copy, Default)]
struct Rate {
    done: usize,
    took: Duration,
    cpu: Duration,
}

impl Rate {
    fn per_second(self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }

    fn cpu_us(self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.done as f64
    }
}

impl std::ops::AddAssign for Rate {
    fn add_assign(&mut self, other: Self) {
        *self = Self { done: self.done + other.done, took: self.took + other.took, cpu: self.cpu + other.cpu };
    }
}

async fn clock(each: usize, mut step: impl AsyncFnMut()) -> Rate {
    step().await; // what is done once
    let (began, cpu, mut done) = (Instant::now(), cpu(), 0);
    while began.elapsed() < LASTS {
        step().await;
        done += each;
    }
    Rate { done, took: began.elapsed(), cpu: self::cpu().saturating_sub(cpu) }
}

/// Returns the CPU time of this process, in steps of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn body() -> Body {
    Body::Text(chat_core::Text::new("x".repeat(170)))
}

struct Ours {
    store: SqlStore,
    rooms: Vec<RoomId>,
}

impl Ours {
    async fn open(url: &str) -> Self {
        let rooms: Vec<_> = (0..ROOMS).map(|room| RoomId::named(&format!("bench {room}"))).collect();
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

    async fn append(&self, turn: &mut usize, count: usize) {
        let batch: Vec<_> = (0..count).map(|_| share(self.rooms[next(turn)], vec![entry(body())])).collect();
        self.store.append(&batch).await.expect("a batch is stored");
    }

    async fn last_50(&self, turn: &mut usize) {
        let room = self.rooms[next(turn)];
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

/// Visits the rooms in an order without pattern, each once in a thousand.
fn next(turn: &mut usize) -> usize {
    *turn += 1;
    *turn * 617 % ROOMS
}

enum Raw {
    Sqlite(SqliteConnection, Vec<i64>),
    Postgres(PgConnection, Vec<i64>),
    MySql(MySqlConnection, Vec<i64>),
}

/// Does the same on each driver's connection.
macro_rules! on {
    ($raw:expr, $connection:ident => $do:expr) => {
        match $raw {
            Raw::Sqlite($connection, _) => $do,
            Raw::Postgres($connection, _) => $do,
            Raw::MySql($connection, _) => $do,
        }
    };
}

impl Raw {
    async fn open(url: &str) -> Self {
        let mut raw = match url.split(':').next() {
            Some("sqlite") => Self::Sqlite(SqliteConnection::connect(url).await.unwrap(), Vec::new()),
            Some("postgres") => Self::Postgres(PgConnection::connect(url).await.unwrap(), Vec::new()),
            _ => Self::MySql(MySqlConnection::connect(url).await.unwrap(), Vec::new()),
        };
        if let Self::Sqlite(connection, _) = &mut raw {
            sqlx::raw_sql("PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000").execute(connection).await.unwrap();
        }
        let found = raw.pairs("SELECT num, head FROM raw_rooms ORDER BY num".to_owned()).await;
        match &mut raw {
            Self::Sqlite(_, rooms) | Self::Postgres(_, rooms) | Self::MySql(_, rooms) => {
                rooms.extend(found.into_iter().map(|(num, _)| num));
            }
        }
        raw
    }

    fn room(&self, turn: &mut usize) -> i64 {
        match self {
            Self::Sqlite(_, rooms) | Self::Postgres(_, rooms) | Self::MySql(_, rooms) => {
                rooms[next(turn) % rooms.len()]
            }
        }
    }

    async fn run(&mut self, sql: String) {
        on!(self, connection => drop(sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap()));
    }

    /// Reads two numbers a row. Not prepared: sqlx closes a statement that is used once with a packet of its own, for
    /// which MariaDB's answer to the next one waits 40 ms.
    async fn pairs(&mut self, sql: String) -> Vec<(i64, i64)> {
        on!(self, connection => {
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        })
    }

    async fn append(&mut self, turn: &mut usize, count: usize) {
        let (begin, lock) =
            if matches!(self, Self::Sqlite(..)) { ("BEGIN IMMEDIATE", "") } else { ("BEGIN", " FOR UPDATE") };
        let mut rooms: Vec<_> = (0..count).map(|_| self.room(turn)).collect();
        rooms.sort_unstable();
        let list = rooms.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        self.run(begin.to_owned()).await;
        let heads =
            self.pairs(format!("SELECT num, head FROM raw_rooms WHERE num IN ({list}) ORDER BY num{lock}")).await;
        let (key, body) = (if matches!(self, Self::MySql(..)) { "`key`" } else { "key" }, body().encode());
        let rows = heads.iter().map(|(room, head)| {
            let id = self.bytes(Key::generate());
            format!("({room},{},{id},{id},1,{id},1,'{body}',0,0)", head + 1)
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        let insert =
            format!("INSERT INTO raw_entries (room,seq,id,{key},author,hash,message,body,at,sent_at) VALUES {rows}");
        let moved = format!("UPDATE raw_rooms SET head = head + 1 WHERE num IN ({list})");
        self.run(format!("{insert}; {moved}; COMMIT")).await;
    }

    fn bytes(&self, key: Key) -> String {
        let hex = u128::from_be_bytes(*key.as_bytes());
        if matches!(self, Self::Postgres(..)) { format!("'\\x{hex:032x}'") } else { format!("X'{hex:032x}'") }
    }

    async fn last_50(&mut self, turn: &mut usize) {
        let room = self.room(turn);
        let sql =
            "SELECT e.seq, e.sent_at, e.body, u.name FROM raw_entries AS e JOIN raw_users AS u ON u.num = e.author
                   WHERE e.message = 1 AND e.room = ";
        assert_eq!(self.pairs(format!("{sql}{room} ORDER BY e.seq DESC LIMIT 50")).await.len(), 50);
    }
}
