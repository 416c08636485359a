//! A loop of SQL written by hand, that does the least that could be called an append.

use std::time::{Duration, Instant};

use chat_core::Key;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row, SqliteConnection};

use crate::{Rooms, body};

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
        let (begin, lock) =
            if matches!(self, Self::Sqlite(_)) { ("BEGIN IMMEDIATE", "") } else { ("BEGIN", " FOR UPDATE") };
        let mut rooms: Vec<_> = (0..count).map(|_| rooms.next() + 1).collect();
        rooms.sort_unstable();
        let list = rooms.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        self.run(begin.to_owned()).await;
        let heads =
            self.pairs(format!("SELECT num, head FROM raw_rooms WHERE num IN ({list}) ORDER BY num{lock}")).await;
        assert_eq!(heads.len(), count, "the rooms are numbered from 1");
        let (key, body) = (if matches!(self, Self::MySql(_)) { "`key`" } else { "key" }, body().encode());
        let rows = heads.iter().map(|(room, head)| {
            let id = self.bytes(Key::generate());
            format!("({room},{},{id},{id},1,{id},1,'{body}',0,0)", head + 1)
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        let insert =
            format!("INSERT INTO raw_entries (room,seq,id,{key},author,hash,message,body,at,sent_at) VALUES {rows}");
        self.run(format!("{insert}; UPDATE raw_rooms SET head = head + 1 WHERE num IN ({list})")).await;
    }

    fn bytes(&self, key: Key) -> String {
        let hex = u128::from_be_bytes(*key.as_bytes());
        if matches!(self, Self::Postgres(_)) { format!("'\\x{hex:032x}'") } else { format!("X'{hex:032x}'") }
    }

    /// Reads what a page needs, without asking for the room's first position or who the author is to whom.
    pub(crate) async fn last_50(&mut self, rooms: &mut Rooms) {
        let room = rooms.next() + 1;
        let key = if matches!(self, Self::MySql(_)) { "`key`" } else { "key" };
        let sql = format!(
            "SELECT e.seq, e.sent_at, e.at, e.id, e.{key}, e.body, e.shown, u.id, u.name
             FROM raw_entries AS e JOIN raw_users AS u ON u.num = e.author
             WHERE e.message = 1 AND e.room = {room} ORDER BY e.seq DESC LIMIT 50"
        );
        assert_eq!(self.pairs(sql).await.len(), 50);
    }
}
