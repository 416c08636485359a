//! Chat logs and rooms on MongoDB.
//!
//! One [`MongoStore`] is one database, or a part of it; any number of nodes may share it:
//!
//! ```no_run
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let store = chat_store_mongo::MongoStore::open("mongodb://db1,db2,db3/app?replicaSet=rs0&namespace=chat_").await?;
//! # drop(store);
//! # Ok::<(), chat_core::StoreError>(()) }).unwrap();
//! ```
//!
//! All collections begin with the `namespace` (`chat_`), so that the database may be the host's own. The other
//! parameters of the URL are the driver's, such as `tls=true`; it does not compile without TLS, which is rustls with
//! ring. What the URL says about read preference and concerns is set aside: everything is written with `w: majority,
//! j: true`, and read from the primary with read concern `majority`. `mongodb+srv:` is not supported: name the hosts.
//!
//! The driver is the official one (`mongodb`). The tests ran on SecantusDB 0.7, which speaks MongoDB's protocol and is a single
//! server; whoever runs a replica set of mongod should run the conformance suite on one of theirs once.
//!
//! # How a log is numbered
//!
//! Without counter and without transaction, by comparing and appending: read the last entry, and insert what follows it with
//! the next positions, in order. A unique index on (room, seq) lets one of several writers win; the others read again. What
//! breaks off stores a prefix, which the next round finds by its keys. Each entry carries the guard as of itself, so
//! reading the last entry gives both numbers that a share is judged by, and the index makes the comparison exact.
//!
//! A room's document is told of new positions *before* they are inserted. So its head may be above the log, but never below.
//!
//! # How rooms and members follow
//!
//! By projection, after the append. Each effect knows the position it is of, so that two nodes may project the same entries
//! and nothing happens twice; a room's document moves on from one position to another only if nobody else has moved it.
//! Whoever finds the projection behind the log, such as after a crash, catches up first.
//!
//! # Inside
//!
//! `log.rs`, `rooms.rs` and `feed.rs` are the ports. `append.rs` and `project.rs` write, `read.rs` and `listing.rs` read,
//! `restore.rs` moves whole logs, `forget.rs` finds and forgets people; `row.rs` says what documents look like, `people.rs`
//! keeps display names, `database.rs` holds the collections, and `schema.rs` makes indexes and refuses databases of other versions.

mod append;
mod config;
mod database;
mod durable;
mod error;
mod feed;
mod forget;
mod listing;
mod log;
mod people;
mod project;
mod read;
mod repair;
mod restore;
mod rooms;
mod row;
mod schema;

use std::{fmt, sync::Arc};

use chat_core::StoreError;

pub use config::MongoConfig;
use database::Database;

/// Keeps logs and rooms in MongoDB. Cheap to clone.
#[derive(Clone)]
pub struct MongoStore(Arc<Database>);

impl MongoStore {
    /// Opens the database at a URL.
    ///
    /// Must be called inside a tokio runtime, to which the store then belongs.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::connect(MongoConfig::new(url)).await
    }

    /// Opens a database, and makes or checks its indexes.
    pub async fn connect(config: MongoConfig) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Database::connect(&config).await?)))
    }
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore").finish_non_exhaustive()
    }
}
