//! What becomes of calls that break off on their way, and of servers that cannot promise anything.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-store-mongo --test broken -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/broken.rs"]
mod between;
mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use between::{Fate, serve};
use chat_core::{
    Body, Draft, EntryId, Key, LogStore, RoomId, RoomSpec, Seq, StoreErrorKind, Timestamp, UserId,
    conformance::run,
    model::{NewEntry, RoomChange},
    store::{Append, Outcome},
};
use chat_store_mongo::{MongoConfig, MongoStore};
use common::Place;
use mongodb::bson::{Document, doc};

fn tea() -> RoomId {
    RoomId::named("tea")
}

fn entry(body: Body) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    NewEntry::new(id, Draft::new(body), UserId::new("ann").unwrap(), "Ann".into(), Timestamp(1_750_000_000_000))
}

fn text(text: &str) -> NewEntry {
    entry(Draft::text(text).body)
}

/// Appends until the store answers, as the engine does.
async fn append(store: &MongoStore, entries: impl Into<Vec<NewEntry>>) -> Vec<Outcome> {
    let batch = [Append { room: tea(), guard: Some(Seq::ZERO), entries: entries.into() }];
    loop {
        match store.append(&batch).await {
            Ok(mut outcomes) => return outcomes.remove(0),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
}

/// Makes a room, and then stores three texts while the first call that inserts them meets this fate.
async fn stored_in_spite_of(fate: fn() -> Fate) {
    let (place, inserts) = (Place::make(), Arc::new(AtomicUsize::new(0)));
    let creation = entry(Body::Room(RoomChange::Created(RoomSpec::public("tea"))));
    assert_eq!(append(&place.open().await, [creation]).await, [Outcome::Stored(Seq::FIRST)]);
    let seen = inserts.clone();
    let port = serve(place.server(), move |command| {
        let is_insert = command.get_str("insert").is_ok_and(|into| into == "a_entries");
        if is_insert && seen.fetch_add(1, Ordering::Relaxed) == 0 { fate() } else { Fate::Pass }
    });
    let store = MongoStore::open(&place.url_by(port.await)).await.unwrap();
    let texts = ["one", "two", "three"].map(text);
    let outcomes = append(&store, texts.clone()).await;
    assert_eq!(outcomes, [2, 3, 4].map(|at| Outcome::Stored(Seq::new(at).unwrap())));
    let log = place.open().await.read(tea(), Seq::ZERO, 100).await.unwrap();
    assert_eq!(log[1..].iter().map(|entry| entry.id).collect::<Vec<_>>(), texts.map(|new| new.id));
    assert!(log.iter().zip(1..).all(|(entry, seq)| entry.seq.get() == seq), "a hole");
    assert!(inserts.load(Ordering::Relaxed) > 0, "an insert met its fate");
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn an_insert_that_broke_off_in_the_middle_is_completed() {
    run(stored_in_spite_of(|| Fate::BreakOffAfter(2)));
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn an_insert_whose_answer_was_lost_is_stored_once() {
    run(stored_in_spite_of(|| Fate::LoseAnswer));
}

/// Opens a store on a server that answers a command otherwise.
async fn open(
    place: &Place,
    accept: bool,
    other: fn(&Document) -> Option<Document>,
) -> Result<MongoStore, (StoreErrorKind, String)> {
    let port = serve(place.server(), move |command| other(command).map_or(Fate::Pass, Fate::Answer)).await;
    let config = MongoConfig::new(place.url_by(port)).accept_unsafe(accept);
    MongoStore::connect(config).await.map_err(|error| (error.kind(), error.to_string()))
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn a_server_that_keeps_everything_in_memory_is_refused() {
    fn in_memory(command: &Document) -> Option<Document> {
        let engine = doc! { "name": "inMemory", "persistent": false };
        command.get("serverStatus").map(|_| doc! { "ok": 1, "storageEngine": engine })
    }
    run(async {
        let place = Place::make();
        let (kind, text) = open(&place, false, in_memory).await.unwrap_err();
        assert_eq!(kind, StoreErrorKind::Unsupported);
        assert!(text.contains("inMemory"), "{text}");
        open(&place, true, in_memory).await.unwrap();
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn a_server_without_journal_is_refused() {
    fn no_journal(command: &Document) -> Option<Document> {
        let refused = doc! { "ok": 0, "code": 2, "codeName": "BadValue", "errmsg": "cannot use 'j' option" };
        let promised = command.get_document("writeConcern").is_ok_and(|concern| concern.get_bool("j").unwrap_or(false));
        (promised && command.get("update").is_some()).then_some(refused)
    }
    run(async {
        let place = Place::make();
        let (kind, text) = open(&place, true, no_journal).await.unwrap_err();
        assert_eq!(kind, StoreErrorKind::Unsupported);
        assert!(text.contains("j: true"), "{text}");
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn a_user_who_may_not_ask_how_the_server_is_set_opens_it_all_the_same() {
    fn forbidden(command: &Document) -> Option<Document> {
        let refused = doc! { "ok": 0, "code": 13, "codeName": "Unauthorized", "errmsg": "not authorized on admin" };
        command.get("serverStatus").map(|_| refused)
    }
    run(async {
        let place = Place::make();
        open(&place, false, forbidden).await.unwrap();
    });
}
