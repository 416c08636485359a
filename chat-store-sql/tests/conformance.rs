//! The store keeps the promises of the port.
//!
//! Those on servers are run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-store-sql --all-features --test conformance -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use chat_store_sql::SqlStore;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use common::Place;
use tempfile::TempDir;

chat_core::store_conformance!(sqlite_in_a_file, async || {
    let folder = TempDir::new().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    (SqlStore::open(&url).await.expect("a store"), folder)
});

chat_core::store_conformance!(sqlite_in_memory, async || SqlStore::open("sqlite::memory:").await.expect("a store"));

chat_core::repair_conformance!(repair_sqlite, async || SqlStore::open("sqlite::memory:").await.expect("a store"));

chat_core::feed_conformance!(feed_of_sqlite, async || SqlStore::open("sqlite::memory:").await.expect("a store"));

#[cfg(feature = "postgres")]
chat_core::store_conformance!(
    #[ignore = "needs PostgreSQL: scripts/test"]
    postgres,
    async || Place::postgres().await.with_store().await
);

#[cfg(feature = "postgres")]
chat_core::feed_conformance!(
    #[ignore = "needs PostgreSQL: scripts/test"]
    feed_of_postgres,
    async || Place::postgres().await.with_store().await
);

#[cfg(feature = "mysql")]
chat_core::store_conformance!(
    #[ignore = "needs MariaDB or MySQL: scripts/test"]
    mysql,
    async || Place::mysql().await.with_store().await
);

#[cfg(feature = "mysql")]
chat_core::feed_conformance!(
    #[ignore = "needs MariaDB or MySQL: scripts/test"]
    feed_of_mysql,
    async || Place::mysql().await.with_store().await
);

chat_core::people_conformance!(people_of_sqlite_in_a_file, async || {
    let folder = TempDir::new().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    (SqlStore::open(&url).await.expect("a store"), folder)
});

chat_core::people_conformance!(people_of_sqlite_in_memory, async || SqlStore::open("sqlite::memory:")
    .await
    .expect("a store"));

#[cfg(feature = "postgres")]
chat_core::people_conformance!(
    #[ignore = "needs PostgreSQL: scripts/test"]
    people_of_postgres,
    async || Place::postgres().await.with_store().await
);

#[cfg(feature = "mysql")]
chat_core::people_conformance!(
    #[ignore = "needs MariaDB or MySQL: scripts/test"]
    people_of_mysql,
    async || Place::mysql().await.with_store().await
);

chat_core::restore_conformance!(restore_sqlite, async || SqlStore::open("sqlite::memory:").await.expect("a store"));

#[cfg(feature = "postgres")]
chat_core::restore_conformance!(
    #[ignore = "needs PostgreSQL: scripts/test"]
    restore_postgres,
    async || Place::postgres().await.with_store().await
);

#[cfg(feature = "mysql")]
chat_core::restore_conformance!(
    #[ignore = "needs MariaDB or MySQL: scripts/test"]
    restore_mysql,
    async || Place::mysql().await.with_store().await
);

#[cfg(feature = "postgres")]
chat_core::repair_conformance!(
    #[ignore = "needs PostgreSQL: scripts/test"]
    repair_postgres,
    async || Place::postgres().await.with_store().await
);

#[cfg(feature = "mysql")]
chat_core::repair_conformance!(
    #[ignore = "needs MariaDB or MySQL: scripts/test"]
    repair_mysql,
    async || Place::mysql().await.with_store().await
);
