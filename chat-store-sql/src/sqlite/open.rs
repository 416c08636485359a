//! Opening a file so that what is committed stays.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chat_core::{StoreError, StoreErrorKind};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::Instant;

use crate::{
    Dialect, SqlConfig,
    connection::Connection as _,
    durable::{self, Unsafe},
    error::{during, is_contended},
    migrate::{recorded, to_run},
    prefix::Prefix,
};

/// How much of the file the writer keeps in memory: 16 MiB (as SQLite writes it, in KiB below zero). Batches of 500 messages in
/// 1,000 rooms cost 8 % more CPU than with 64 MiB; with 8 MiB, 40 % more.
const WRITER_CACHE: &str = "-16384";

/// How much of it each reader keeps: 4 MiB. A page of history costs the same with 64 MiB: the system has the file in memory, too.
const READER_CACHE: &str = "-4096";

/// Numbers the databases in memory, each of which needs a name of its own.
static IN_MEMORY: AtomicU64 = AtomicU64::new(0);

/// Tells whether a URL names a database that is in no file.
pub(super) fn is_in_memory(url: &str) -> bool {
    matches!(url, "sqlite::memory:" | "sqlite://:memory:")
}

pub(super) fn options(config: &SqlConfig) -> Result<SqliteConnectOptions, StoreError> {
    let options = match config.url.as_str() {
        "sqlite:" | "sqlite://" => {
            return Err(StoreError::new(StoreErrorKind::Other, "the URL names no file, as sqlite:chat.db does"));
        }
        // SQLite's own file system in memory: several connections see one database, as with a file. `:memory:` would
        // be another database for each of them.
        url if is_in_memory(url) => SqliteConnectOptions::new()
            .filename(format!("/chat-{}", IN_MEMORY.fetch_add(1, Ordering::Relaxed)))
            .vfs("memdb"),
        url => url
            .parse::<SqliteConnectOptions>()
            .map_err(during("read the URL of the database"))?
            .journal_mode(SqliteJournalMode::Wal)
            // In write-ahead mode the default (NORMAL) may lose what was committed last when the power fails.
            .synchronous(SqliteSynchronous::Full)
            // A batch touches pages of many rooms: they fit into the cache, and are copied into the file when there are
            // enough of them that most were changed more than once.
            .pragma("cache_size", WRITER_CACHE)
            .pragma("wal_autocheckpoint", "8000"),
    };
    Ok(options.create_if_missing(true).busy_timeout(config.busy_timeout).disable_statement_logging())
}

/// Connects. Several processes that start at once are in each other's way while the first turns the write-ahead log
/// on, for which SQLite does not wait by itself.
pub(super) async fn connect(options: &SqliteConnectOptions, within: Duration) -> Result<SqliteConnection, StoreError> {
    let file = options.get_filename();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let what = match folder {
        // SQLite would only say that it is unable to open the file.
        Some(folder) if !folder.exists() => format!("open {}, whose folder does not exist", file.display()),
        _ => format!("open {}", file.display()),
    };
    let deadline = Instant::now() + within;
    loop {
        match SqliteConnection::connect_with(options).await {
            Err(error) if is_contended(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            connected => return connected.map_err(during(&what)),
        }
    }
}

/// Returns the options of connections that read.
pub(super) fn to_read(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    options.clone().pragma("query_only", "true").pragma("cache_size", READER_CACHE)
}

/// Checks what the file system made of our wishes, then makes or checks the schema.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    config: &SqlConfig,
) -> Result<(), StoreError> {
    let journal: String = pragma(connection, "PRAGMA journal_mode").await?;
    let synchronous: i64 = pragma(connection, "PRAGMA synchronous").await?;
    let mut found = Vec::new();
    if !matches!(journal.as_str(), "wal" | "memory") {
        found.push(Unsafe { setting: "journal_mode".into(), value: journal.clone(), wanted: "wal" });
    }
    if journal != "memory" && synchronous < 2 {
        found.push(Unsafe { setting: "synchronous".into(), value: synchronous.to_string(), wanted: "2" });
    }
    durable::check(&found, config.accept_unsafe)?;
    if config.migrate {
        bring_up_to_date(connection, prefix).await
    } else {
        Dialect::Sqlite.check(&recorded(connection, prefix).await?)
    }
}

/// Writes the file anew without what was deleted, and empties the write-ahead log.
pub(super) async fn scrub(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let what = "write the file anew";
    connection.command("VACUUM".to_owned()).await.map_err(during(what))?;
    let busy: i64 = pragma(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
    let others = || StoreError::new(StoreErrorKind::Contended, "empty the write-ahead log, which others read");
    if busy == 0 { Ok(()) } else { Err(others()) }
}

async fn pragma<T>(connection: &mut SqliteConnection, pragma: &'static str) -> Result<T, StoreError>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
{
    sqlx::query_scalar(pragma).fetch_one(connection).await.map_err(during("read how the database is set"))
}

/// Runs what is missing in one transaction: several nodes may do so at once, and the first one does it.
async fn bring_up_to_date(connection: &mut SqliteConnection, prefix: &Prefix) -> Result<(), StoreError> {
    let run = async |connection: &mut SqliteConnection| {
        for migration in Dialect::Sqlite.missing(&recorded(connection, prefix).await?)? {
            connection.command(to_run(migration, prefix)).await.map_err(during("bring the schema up to date"))?;
        }
        Ok(())
    };
    let command = async |connection: &mut SqliteConnection, sql: &str| {
        connection.command(sql.to_owned()).await.map_err(during("bring the schema up to date"))
    };
    command(connection, "BEGIN IMMEDIATE").await?;
    let done = run(connection).await;
    command(connection, if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}
