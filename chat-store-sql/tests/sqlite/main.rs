//! What only SQLite can get wrong: files, processes, schemas.

#![allow(clippy::unwrap_used)]

mod schema;
mod sharing;
mod statements;

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, RoomId, RoomSpec, Seq, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::{Append, Outcome},
};
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

fn tea() -> RoomId {
    RoomId::named("tea")
}

fn entry(draft: Draft) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    NewEntry::new(id, draft, UserId::new("ann").unwrap(), "Ann".into(), Timestamp(1_750_000_000_000))
}

fn text(text: &str) -> NewEntry {
    entry(Draft::text(text))
}

fn share(entries: impl Into<Vec<NewEntry>>) -> [Append; 1] {
    [Append { room: tea(), guard: Some(Seq::ZERO), entries: entries.into() }]
}

async fn append(store: &SqlStore, entries: impl Into<Vec<NewEntry>>) -> Vec<Outcome> {
    store.append(&share(entries)).await.unwrap().remove(0)
}

async fn create(store: &SqlStore) {
    let creation = entry(Draft::new(Body::Room(RoomChange::Created(RoomSpec::public("tea")))));
    assert_eq!(append(store, [creation]).await, [Outcome::Stored(Seq::FIRST)]);
}

/// Returns the texts of the log after checking that it is dense.
async fn log(store: &SqlStore) -> Vec<String> {
    let log = store.read(tea(), Seq::ZERO, 10_000).await.unwrap();
    assert!(log.iter().zip(1..).all(|(entry, seq)| entry.seq.get() == seq), "the log has holes");
    log.iter().filter_map(|entry| entry.body.text().map(str::to_owned)).collect()
}
