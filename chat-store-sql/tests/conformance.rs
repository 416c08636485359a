//! The store keeps the promises of the port.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use chat_store_sql::SqlStore;
use tempfile::TempDir;

chat_core::store_conformance!(sqlite_in_a_file, async || {
    let folder = TempDir::new().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    (SqlStore::open(&url).await.expect("a store"), folder)
});

chat_core::store_conformance!(sqlite_in_memory, async || SqlStore::open("sqlite::memory:").await.expect("a store"));
