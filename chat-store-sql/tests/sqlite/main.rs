//! What only SQLite can get wrong: files, processes, schemas.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/room.rs"]
mod room;
mod schema;
mod sharing;
mod statements;

use chat_store_sql::SqlStore;
use tempfile::TempDir;

/// Is a database file that is removed at the end.
struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> String {
        self.0.path().join("chat.db").display().to_string()
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path())
    }

    async fn open(&self) -> SqlStore {
        SqlStore::open(&self.url()).await.unwrap()
    }
}
