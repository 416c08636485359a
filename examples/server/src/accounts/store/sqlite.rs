//! Accounts in SQLite.

use std::{fs::File, io, os::unix::fs::OpenOptionsExt, str::FromStr, time::Duration};

use sqlx::{
    Error, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::{
    AccountStore, Failure,
    tables::{self, sql},
};
use tokio::time::{Instant, sleep};

/// How long to wait while another server writes.
const BUSY: Duration = Duration::from_secs(5);

/// Immediately: another server that starts at the same time waits, instead of being told that it read too early.
const RECORD: &str = "
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS account_schema (digest TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO account_schema SELECT '{digest}' WHERE NOT EXISTS (SELECT 1 FROM account_schema)
    AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'account_users');
COMMIT;
";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS account_users (
    id       TEXT PRIMARY KEY NOT NULL,
    look     TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    password TEXT NOT NULL,
    created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account_logins (
    token   BLOB PRIMARY KEY NOT NULL,
    login   TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES account_users (id),
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS account_logins_by_user ON account_logins (account, created);
CREATE TABLE IF NOT EXISTS account_places (
    account TEXT NOT NULL REFERENCES account_users (id),
    place   TEXT NOT NULL,
    seen    INTEGER NOT NULL,
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account_bans (
    account TEXT PRIMARY KEY NOT NULL REFERENCES account_users (id),
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

sql!(SqlitePool, SqliteRow, str::to_owned);

pub(super) async fn open(url: &str) -> Result<Box<dyn AccountStore>, Failure> {
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What was answered as registered survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        // The name and the password of who is removed are not to be found in free pages either.
        .pragma("secure_delete", "on")
        .busy_timeout(BUSY);
    keep_private(url)?;
    tables::open(connect(options).await?, RECORD, SCHEMA).await
}

/// Connects. Several servers that start at once are in each other's way while the first turns the write-ahead log on, for
/// which SQLite does not wait by itself.
async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool, Error> {
    let deadline = Instant::now() + BUSY;
    loop {
        let pool = SqlitePoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5));
        let pool = pool.test_before_acquire(false); // a file does not go away
        match pool.connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(Duration::from_millis(10)).await,
            connected => return connected,
        }
    }
}

/// Tells whether another server was just writing: SQLite's result code 5, or one of those that extend it.
fn is_busy(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// Makes a new database readable for its owner only; SQLite gives the files beside it the same mode.
pub(crate) fn keep_private(url: &str) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?;
    if url.contains(":memory:") {
        return Ok(());
    }
    match File::options().write(true).create_new(true).mode(0o600).open(options.get_filename()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::future::join_all;
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn servers_that_start_at_once_make_one_fresh_file() {
        for round in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("accounts.db").display());
            let opening = (0..8).map(|_| {
                let url = url.clone();
                tokio::spawn(async move { open(&url).await.map(drop).map_err(|error| error.to_string()) })
            });
            for opened in join_all(opening).await {
                assert_eq!(opened.unwrap(), Ok(()), "in round {round}");
            }
        }
    }

    #[tokio::test]
    async fn a_server_waits_for_another_that_writes_the_fresh_file() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("accounts.db").display());
        let mut writes = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut writes).await.unwrap();
        let opening = tokio::spawn(async move { open(&url).await.map(drop).map_err(|error| error.to_string()) });
        sleep(Duration::from_millis(200)).await; // in which it is told that the file is busy
        sqlx::raw_sql("COMMIT").execute(&mut writes).await.unwrap();
        assert_eq!(opening.await.unwrap(), Ok(()));
    }
}
