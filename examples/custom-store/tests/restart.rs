//! What is promised outlives the process.

#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, Page, RoomId, RoomSpec, RoomStore, Seq, StoreErrorKind, Timestamp, UserId,
    model::{Edit, NewEntry, RoomChange},
    store::{Append, Listing, Outcome},
};
use custom_store::FileStore;
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("chat.jsonl")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    async fn open(&self) -> FileStore {
        FileStore::open(self.file()).await.unwrap()
    }

    /// Opens a store with a room in it.
    async fn with_a_room(&self) -> FileStore {
        let store = self.open().await;
        append(&store, entry(Body::Room(RoomChange::Created(RoomSpec::public("tea"))))).await;
        store
    }
}

fn tea() -> RoomId {
    RoomId::named("tea")
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn ann() -> UserId {
    UserId::new("ann").unwrap()
}

fn entry(body: Body) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    NewEntry::new(id, Draft::new(body), ann(), "Ann".into(), Timestamp(1_750_000_000_000))
}

fn text(text: &str) -> NewEntry {
    entry(Draft::text(text).body)
}

async fn append(store: &FileStore, new: NewEntry) -> Outcome {
    let batch = [Append { room: tea(), guard: Some(Seq::ZERO), entries: vec![new] }];
    store.append(&batch).await.unwrap().concat()[0]
}

#[tokio::test]
async fn everything_is_there_again() {
    let place = Place::new();
    let (store, hello) = (place.with_a_room().await, text("hello"));
    for new in [hello.clone(), text("two"), entry(Body::Edit(Edit { target: seq(2), text: "hallo".into() }))] {
        append(&store, new).await;
    }
    store.mark(&ann(), tea(), seq(2)).await.unwrap();
    store.trim(tea(), seq(1)).await.unwrap();
    let state = async |store: &FileStore| {
        let listing = Listing::Of(ann());
        (
            store.read(tea(), Seq::ZERO, 100).await.unwrap(),
            store.history(tea(), &Page::newest(100)).await.unwrap(),
            store.heads(&[tea()]).await.unwrap(),
            store.rooms(&listing, &Page::default()).await.unwrap(),
        )
    };
    let before = state(&store).await;
    drop(store);
    for _ in 0..2 {
        assert_eq!(state(&place.open().await).await, before);
    }
    let again = place.open().await;
    assert_eq!(append(&again, hello.clone()).await, Outcome::Duplicate(seq(2), hello.id));
    assert_eq!(append(&again, text("three")).await, Outcome::Stored(seq(5)));
}

#[tokio::test]
async fn a_line_that_broke_off_never_was() {
    let place = Place::new();
    let store = place.with_a_room().await;
    append(&store, text("whole")).await;
    let before = place.text();
    let broken = text("broken");
    append(&store, broken.clone()).await;
    drop(store);
    let after = place.text();
    for cut in [before.len() + 1, after.len() - 1] {
        fs::write(place.file(), &after[..cut]).unwrap();
        let again = place.open().await;
        assert_eq!(again.heads(&[tea()]).await.unwrap()[0].seq, seq(2));
        assert_eq!(append(&again, broken.clone()).await, Outcome::Stored(seq(3)));
    }
}

#[tokio::test]
async fn a_line_that_was_changed_is_told_without_its_words() {
    let place = Place::new();
    drop(place.with_a_room().await);
    fs::write(place.file(), place.text().replace("\"seq\":1", "\"secret\"")).unwrap();
    let error = FileStore::open(place.file()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn what_was_deleted_leaves_the_file_when_it_is_opened_next() {
    let place = Place::new();
    let store = place.with_a_room().await;
    let secret = text("a marker, and nothing else");
    append(&store, secret.clone()).await;
    append(&store, entry(Body::Delete(seq(2)))).await;
    append(&store, text("trimmed, too")).await;
    append(&store, text("kept")).await;
    store.trim(tea(), seq(4)).await.unwrap();
    drop(store);
    let again = place.open().await;
    assert!(!place.text().contains("marker") && !place.text().contains("trimmed"), "{}", place.text());
    assert_eq!(append(&again, secret).await, Outcome::TooOld);
    assert!(place.text().contains("kept"));
}
