//! A loop of SQL written by hand: it leaves in the tables what the store leaves there, by as little as that takes.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use chat_core::Key;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row, SqliteConnection};

use crate::{Rooms, body, room_id};

pub(crate) enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

/// Does the same on each driver's connection.
macro_rules! on {
    ($raw:expr, $connection:ident => $do:expr) => {
        match $raw {
            Raw::Sqlite($connection) => $do,
            Raw::Postgres($connection) => $do,
            Raw::MySql($connection) => $do,
        }
    };
}

impl Raw {
    pub(crate) async fn connect(url: &str) -> Self {
        let mut raw = match url.split(':').next() {
            Some("sqlite") => Self::Sqlite(SqliteConnection::connect(url).await.unwrap()),
            Some("postgres") => Self::Postgres(PgConnection::connect(url).await.unwrap()),
            _ => Self::MySql(MySqlConnection::connect(url).await.unwrap()),
        };
        if let Self::Sqlite(connection) = &mut raw {
            sqlx::raw_sql("PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000").execute(connection).await.unwrap();
        }
        raw
    }

    /// Returns the file that holds the number of the server's process.
    pub(crate) async fn pid_file(&mut self) -> Option<String> {
        let sql = match self {
            Self::Sqlite(_) => return None,
            Self::Postgres(_) => "SELECT setting || '/postmaster.pid' FROM pg_settings WHERE name = 'data_directory'",
            Self::MySql(_) => "SELECT @@pid_file",
        };
        on!(self, connection => sqlx::query_scalar(sql).fetch_optional(connection).await.unwrap())
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

    /// Locks the rooms, inserts, moves the heads and commits.
    pub(crate) async fn append(&mut self, rooms: &mut Rooms, count: usize) {
        self.write(rooms, count).await;
        self.run("COMMIT".to_owned()).await;
    }

    /// Does the same, and returns how long the commit alone takes.
    pub(crate) async fn commit(&mut self, rooms: &mut Rooms) -> Duration {
        self.write(rooms, 1).await;
        let began = Instant::now();
        self.run("COMMIT".to_owned()).await;
        began.elapsed()
    }

    async fn write(&mut self, rooms: &mut Rooms, count: usize) {
        let (begin, index, lock) = match self {
            Self::Sqlite(_) => ("BEGIN IMMEDIATE", "", ""),
            Self::Postgres(_) => ("BEGIN", "", " FOR UPDATE"),
            // Of so many rooms it would walk through the table, and lock all.
            Self::MySql(_) => ("BEGIN", " FORCE INDEX (id)", " FOR UPDATE"),
        };
        let list = (0..count).map(|_| self.bytes(room_id(rooms.next()).as_bytes())).collect::<Vec<_>>().join(",");
        self.run(begin.to_owned()).await;
        let lock = format!("SELECT num, head, guard FROM raw_rooms{index} WHERE id IN ({list}) ORDER BY id{lock}");
        let mut heads = self.pairs(lock).await;
        assert_eq!(heads.len(), count, "each room was made");
        heads.sort_unstable(); // each index is written to from its left to its right
        let (key, body) = (if matches!(self, Self::MySql(_)) { "`key`" } else { "key" }, body().encode());
        let new = |(room, head)| (room, head + 1, self.bytes(Key::generate().as_bytes()));
        let new: Vec<_> = heads.into_iter().map(new).collect();
        let entry = |(room, seq, id): &(i64, i64, String)| format!("({room},{seq},{id},{id},1,{id},1,'{body}',0,0)");
        let entries = new.iter().map(entry).collect::<Vec<_>>().join(",");
        let insert =
            format!("INSERT INTO raw_entries (room,seq,id,{key},author,hash,message,body,at,sent_at) VALUES {entries}");
        self.run(format!("{insert}; {}", self.advance(&new))).await;
    }

    /// Moves the heads: the position, the id there, and when something was last said.
    fn advance(&self, new: &[(i64, i64, String)]) -> String {
        let rows = |more: &str| {
            let row = |(room, seq, id): &(i64, i64, String)| format!("({room},{seq},{id},0{more})");
            new.iter().map(row).collect::<Vec<_>>().join(",")
        };
        match self {
            Self::Sqlite(_) => format!(
                "UPDATE raw_rooms SET head = column2, head_id = column3, active = max(active, column4)
                 FROM (VALUES {}) WHERE num = column1",
                rows("")
            ),
            Self::Postgres(_) => format!(
                "UPDATE raw_rooms AS r SET head = v.head, head_id = v.id, active = greatest(active, v.at)
                 FROM (VALUES {}) AS v (num, head, id, at) WHERE r.num = v.num",
                rows("")
            ),
            Self::MySql(_) => format!(
                "INSERT INTO raw_rooms (num,head,head_id,active,id,guard,first,record,visibility) VALUES {}
                 ON DUPLICATE KEY UPDATE head = VALUES(head), head_id = VALUES(head_id),
                     active = greatest(active, VALUES(active))",
                rows(",'',0,1,'',''")
            ),
        }
    }

    fn bytes(&self, bytes: &[u8; 16]) -> String {
        let hex = u128::from_be_bytes(*bytes);
        if matches!(self, Self::Postgres(_)) { format!("'\\x{hex:032x}'::bytea") } else { format!("X'{hex:032x}'") }
    }

    /// Reads what a page needs, every value of it, without asking who the author is to whom.
    pub(crate) async fn last_50(&mut self, rooms: &mut Rooms) {
        let room = self.bytes(room_id(rooms.next()).as_bytes());
        let (key, index) = match self {
            Self::MySql(_) => ("`key`", " FORCE INDEX (raw_messages)"),
            _ => ("key", ""),
        };
        let sql = format!(
            "SELECT e.seq, e.sent_at, e.at, e.id, e.{key}, e.body, e.shown, u.id, u.name
             FROM raw_entries AS e{index} JOIN raw_users AS u ON u.num = e.author
             WHERE e.message = 1 AND e.room = (SELECT num FROM raw_rooms WHERE id = {room}) ORDER BY e.seq DESC LIMIT 50"
        );
        let page: Vec<Values> = on!(self, connection => {
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
            let values = rows.iter().map(|row| Values {
                numbers: [row.get(0), row.get(1), row.get(2)],
                ids: [row.get(3), row.get(4)],
                texts: [5, 6, 7, 8].map(|column| row.get_unchecked(column)),
            });
            values.collect()
        });
        black_box(&page);
        assert_eq!(page.len(), 50);
    }
}

/// Is a row of a page.
#[allow(dead_code)] // it is there to be read into
struct Values {
    numbers: [i64; 3],
    ids: [Vec<u8>; 2],
    texts: [Option<String>; 4],
}
