//! Accounts in SQLite.

use std::{fs::File, io, os::unix::fs::OpenOptionsExt, str::FromStr, time::Duration};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::{
    AccountStore, Failure,
    tables::{self, sql},
};

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
        // Whose account is removed is not to be found in free pages either.
        .pragma("secure_delete", "on")
        .busy_timeout(Duration::from_secs(5));
    keep_private(url)?;
    let pool = SqlitePoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5));
    let pool = pool.connect_with(options).await?;
    tables::open(pool, RECORD, SCHEMA).await
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
