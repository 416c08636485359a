//! Chat logs and rooms in SQL databases.
//!
//! One [`SqlStore`] is one database; any number of nodes may share it. Which database is said by the URL:
//!
//! | URL | database | feature |
//! |---|---|---|
//! | `sqlite:chat.db`, `sqlite:///var/lib/chat.db` | a file, for one or more processes of one host | `sqlite` (default) |
//! | `sqlite::memory:` | gone when the store is dropped; for tests | `sqlite` (default) |
//! | `postgres://user:password@host:port/database?schema=chat` | PostgreSQL 14 or newer; without `schema`, the role's own | `postgres` |
//! | `mysql://user:password@host:port/database`, `mariadb://…` | MariaDB 10.6 or newer, or MySQL 8 | `mysql` |
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use chat_core::{LogStore, RoomId};
//! let store = chat_store_sql::SqlStore::open("sqlite::memory:").await?;
//! assert!(store.read(RoomId::named("tea"), chat_core::Seq::ZERO, 10).await?.is_empty());
//! # Ok::<(), chat_core::StoreError>(()) }).unwrap();
//! ```
//!
//! The other parameters of a URL are the driver's (sqlx), such as `sslmode=verify-full`, which needs the feature `tls`.
//! A server whose settings may lose what it has committed is [refused](SqlConfig::accept_unsafe).
//!
//! All tables begin with a [prefix](SqlConfig::namespace), so that the database may be the host's own. The schema is
//! made and brought up to date when the store is opened, or by hand with what [`SqlStore::migrations`] prints.
//!
//! # Inside
//!
//! `log.rs`, `rooms.rs` and `feed.rs` are the ports; they forward to the store of one dialect. What a store does is written once
//! for all dialects: `append.rs` and `project.rs` write, `read.rs` and `listing.rs` read, `people.rs` finds and forgets
//! people, `restore.rs` moves whole logs. A dialect has a folder of its own with
//! what is left: `sql.rs` (the statements it says in its own way), `open.rs` (connecting, settings, schema), and how it writes.
//! SQLite has one writer (`sqlite/writer.rs`); servers lend connections that only come back in good order (`server.rs`,
//! `pool.rs`), and PostgreSQL appends messages by a procedure (`postgres/append.rs`).

// Without any dialect there is nothing that opens a store; readers of rows are fuzzed that way.
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
    allow(dead_code, unused_imports, unused_macros)
)]

mod append;
mod backend;
mod config;
mod connection;
mod durable;
mod error;
mod feed;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod listing;
mod log;
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
mod people;
#[cfg(test)]
mod plans;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod prefix;
mod project;
mod read;
mod repair;
mod restore;
mod rooms;
mod row;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod steps;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod url;
mod work;

use std::{fmt, sync::Arc};

use chat_core::{Personal, StoreError, StoreErrorKind, store::FullStore};

pub use config::SqlConfig;
pub use migrate::Dialect;

/// Keeps logs and rooms in an SQL database. Cheap to clone.
///
/// Dropping the last clone ends its tasks and connections; what was answered as stored is on the disk before.
#[derive(Clone)]
pub struct SqlStore(Arc<dyn Whole>);

/// Is all that the store of a dialect does.
trait Whole: Personal + FullStore {}

impl<T: Personal + FullStore> Whole for T {}

impl SqlStore {
    /// Opens the database at a URL with the default configuration.
    ///
    /// Must be called inside a tokio runtime, to which the store then belongs.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::connect(SqlConfig::new(url)).await
    }

    /// Opens a database, and makes or checks its schema.
    pub async fn connect(config: SqlConfig) -> Result<Self, StoreError> {
        match config.scheme() {
            #[cfg(feature = "sqlite")]
            "sqlite" => Ok(Self(Arc::new(backend::Opened(sqlite::Sqlite::connect(&config).await?)))),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Ok(Self(Arc::new(backend::Opened(postgres::Postgres::open(&config).await?)))),
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => Ok(Self(Arc::new(backend::Opened(mysql::MySql::open(&config).await?)))),
            scheme => {
                let what = format!("open a database by `{scheme}:`, for which this program is not built");
                Err(StoreError::new(StoreErrorKind::Unsupported, what))
            }
        }
    }

    /// Prints all migrations as one script, for those who run such things by hand.
    ///
    /// Run in an empty database it makes the schema of this version; see [`SqlConfig::migrate`].
    pub fn migrations(dialect: Dialect, namespace: &str) -> Result<String, StoreError> {
        Ok(dialect.script(&prefix::Prefix::new(namespace, dialect)?))
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}
