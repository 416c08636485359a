//! The store keeps the promises of the ports.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use custom_store::FileStore;
use tempfile::TempDir;

chat_core::store_conformance!(file, async || {
    let folder = TempDir::new().expect("a temporary folder");
    (FileStore::open(folder.path().join("chat.jsonl")).await.expect("a store"), folder)
});
