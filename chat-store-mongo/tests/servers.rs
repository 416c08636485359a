//! What only shows with several nodes on one server, or when one of them breaks off.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-store-mongo --test servers -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "servers/people.rs"]
mod people;

use std::collections::BTreeSet;

use chat_core::{
    Body, Draft, Entry, EntryId, Key, LogStore, Page, RoomId, RoomSpec, RoomStore, Seq, StoreErrorKind, Timestamp,
    UserId,
    conformance::run,
    model::{MemberChange, Membership, NewEntry, RoomChange},
    store::{Append, Outcome},
};
use chat_store_mongo::{MongoConfig, MongoStore};
use common::Place;
use futures::{StreamExt, future::join_all, stream};
use mongodb::bson::{Document, doc};

/// Entries of one writer: few, since the server of these tests is slow and every round is some calls.
const EACH: usize = 8;

fn tea() -> RoomId {
    RoomId::named("tea")
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn drafted(author: &str, draft: Draft) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    NewEntry::new(id, draft, UserId::new(author).unwrap(), author.into(), Timestamp(1_750_000_000_000))
}

fn entry(author: &str, body: Body) -> NewEntry {
    drafted(author, Draft::new(body))
}

/// Makes the same text under the same key, as a retry does: with an id of its own.
fn keyed(key: Key) -> NewEntry {
    drafted("ann", Draft { key, ..Draft::text("hello") })
}

fn text(author: &str) -> NewEntry {
    entry(author, Draft::text("hello").body)
}

fn leave(user: &str) -> NewEntry {
    entry(user, Body::Member(MemberChange { user: UserId::new(user).unwrap(), change: Membership::Leave }))
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

async fn create(store: &MongoStore) {
    let spec = RoomSpec::public("tea").members([UserId::new("bob").unwrap()]);
    let creation = entry("ann", Body::Room(RoomChange::Created(spec)));
    assert_eq!(append(store, [creation]).await, [Outcome::Stored(Seq::FIRST)]);
}

/// Opens a place with a room, and this many nodes on it.
async fn nodes(count: usize) -> (Place, Vec<MongoStore>) {
    let place = Place::make();
    let nodes = join_all((0..count).map(|_| place.open())).await;
    create(&nodes[0]).await;
    (place, nodes)
}

async fn log(store: &MongoStore) -> Vec<Entry> {
    let log = store.read(tea(), Seq::ZERO, 1_000).await.unwrap();
    assert!(log.iter().zip(1..).all(|(entry, seq)| entry.seq.get() == seq), "the log has holes");
    log
}

/// Reads as somebody who follows the room, until so many entries are seen.
async fn tail(store: &MongoStore, total: usize) -> Vec<Entry> {
    let mut seen: Vec<Entry> = Vec::new();
    while seen.len() < total {
        for entry in store.read(tea(), seq(seen.len() as u64), 50).await.unwrap() {
            assert_eq!(entry.seq.get(), seen.len() as u64 + 1, "a hole");
            seen.push(entry);
        }
    }
    seen
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn nodes_that_write_one_room_leave_a_prefix_at_every_read() {
    run(async {
        let (_place, nodes) = nodes(3).await;
        let write = async |store: &MongoStore, author: String| {
            let texts = stream::iter((0..EACH).map(|_| text(&author)));
            texts.then(|text| append(store, [text])).concat().await
        };
        let writers = join_all(nodes.iter().zip(["a", "b", "c"]).map(|(node, name)| write(node, name.to_owned())));
        let total = 1 + nodes.len() * EACH;
        let (stored, first, second) = tokio::join!(writers, tail(&nodes[0], total), tail(&nodes[2], total));

        let stored: BTreeSet<_> = stored.concat().into_iter().map(|outcome| format!("{outcome:?}")).collect();
        let expected = (2..=total as u64).map(|at| format!("{:?}", Outcome::Stored(seq(at))));
        assert_eq!(stored, expected.collect());
        assert_eq!(first, second);
        let access = nodes[1].access(tea(), &UserId::new("ann").unwrap()).await.unwrap().unwrap();
        assert_eq!(access.as_of, seq(total as u64));
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn a_key_that_races_on_several_nodes_is_stored_once() {
    run(async {
        let (_place, nodes) = nodes(3).await;
        let first = text("ann");
        let again = || keyed(first.key);
        let outcomes = join_all(nodes.iter().map(|node| append(node, [again(), text("bob")]))).await;

        let keyed: Vec<_> = outcomes.iter().map(|outcomes| outcomes[0]).collect();
        assert_eq!(keyed.iter().filter(|outcome| matches!(outcome, Outcome::Stored(_))).count(), 1, "{keyed:?}");
        let log = log(&nodes[0]).await;
        assert_eq!(log.len(), 1 + 1 + 3);
        let kept = log.iter().find(|entry| entry.key == first.key).unwrap();
        for outcome in keyed {
            assert!(
                outcome == Outcome::Stored(kept.seq) || outcome == Outcome::Duplicate(kept.seq, kept.id),
                "{outcome:?}"
            );
        }
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn a_node_that_dies_before_it_inserts_leaves_a_head_above_the_log() {
    run(async {
        let (place, nodes) = nodes(1).await;
        let rooms = place.other().await.collection::<Document>("a_rooms");
        rooms.update_one(doc! {}, doc! { "$max": { "head": 5_i64 } }).await.unwrap();

        assert_eq!(nodes[0].heads(&[tea()]).await.unwrap()[0].seq, seq(5));
        assert_eq!(log(&nodes[0]).await.len(), 1);
        let access = nodes[0].access(tea(), &UserId::new("bob").unwrap()).await.unwrap().unwrap();
        assert_eq!(access.as_of, seq(1));
        assert_eq!(append(&nodes[0], [text("ann")]).await, [Outcome::Stored(seq(2))]);
        assert_eq!(log(&nodes[0]).await.len(), 2);
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn a_share_that_broke_off_is_completed_by_its_repetition() {
    run(async {
        let (place, nodes) = nodes(1).await;
        let share = [text("ann"), text("ann"), text("ann")];
        assert_eq!(append(&nodes[0], share.clone()).await, [2, 3, 4].map(|at| Outcome::Stored(seq(at))));
        // As if the node had died after the second of its inserts.
        let entries = place.other().await.collection::<Document>("a_entries");
        entries.delete_one(doc! { "seq": 4_i64 }).await.unwrap();

        assert_eq!(append(&nodes[0], share.clone()).await, [2, 3, 4].map(|at| Outcome::Stored(seq(at))));
        let kept: Vec<_> = log(&nodes[0]).await[1..].iter().map(|entry| entry.id).collect();
        assert_eq!(kept, share.map(|new| new.id));
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn what_a_dead_node_did_not_project_is_caught_up_before_anybody_is_judged() {
    run(async {
        let (place, nodes) = nodes(2).await;
        let rooms = place.other().await.collection::<Document>("a_rooms");
        let members = place.other().await.collection::<Document>("a_members");
        let (room, bob) = (rooms.find_one(doc! {}).await.unwrap().unwrap(), doc! { "user": "bob" });
        let member = members.find_one(bob.clone()).await.unwrap().unwrap();
        assert_eq!(append(&nodes[0], [leave("bob")]).await, [Outcome::Stored(seq(2))]);
        // As if the node had died after its insert: room and member as before.
        rooms.replace_one(doc! {}, room).await.unwrap();
        members.replace_one(bob, member).await.unwrap();

        let access = nodes[1].access(tea(), &UserId::new("bob").unwrap()).await.unwrap().unwrap();
        assert_eq!((access.member, access.guard, access.as_of), (None, seq(2), seq(2)));
        assert_eq!(append(&nodes[1], [text("bob")]).await, [Outcome::Stale(seq(2))]);
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn a_late_projection_brings_nobody_back() {
    run(async {
        let (place, nodes) = nodes(1).await;
        assert_eq!(append(&nodes[0], [leave("bob")]).await, [Outcome::Stored(seq(2))]);
        // As if a node that was held up projected from the beginning, while others are done.
        let rooms = place.other().await.collection::<Document>("a_rooms");
        rooms.update_one(doc! {}, doc! { "$set": { "as_of": 0_i64 }, "$unset": { "record": 1 } }).await.unwrap();
        nodes[0].project(&log(&nodes[0]).await).await.unwrap();

        let members = nodes[0].members(tea(), &Page::default()).await.unwrap();
        assert_eq!(members.iter().map(|member| member.user.as_str()).collect::<Vec<_>>(), ["ann"]);
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn what_was_inserted_where_all_was_trimmed_is_not_taken_for_stored() {
    run(async {
        let (place, nodes) = nodes(1).await;
        append(&nodes[0], [text("ann"), text("ann"), text("ann")]).await;
        let late = keyed(Key::new(i64::from(u32::MAX) * 1_000, [7; 10]));
        assert_eq!(append(&nodes[0], [late.clone()]).await, [Outcome::Stored(seq(5))]);
        // As if it had been inserted by a writer that read the log when it ended at 1, after others trimmed it up to 3.
        let database = place.other().await;
        nodes[0].trim(tea(), seq(3)).await.unwrap();
        let entries = database.collection::<Document>("a_entries");
        entries.update_one(doc! { "seq": 5_i64 }, doc! { "$set": { "seq": 2_i64 } }).await.unwrap();

        assert_eq!(append(&nodes[0], [keyed(late.key)]).await, [Outcome::Stored(seq(5))]);
        assert_eq!(nodes[0].read(tea(), Seq::ZERO, 10).await.unwrap().len(), 2);
        assert_eq!(entries.count_documents(doc! {}).await.unwrap(), 3);
    });
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn many_nodes_start_at_once_in_an_empty_database() {
    run(async {
        let place = Place::make();
        let nodes = join_all((0..6).map(|_| place.open())).await;
        create(&nodes[5]).await;
        assert_eq!(log(&nodes[0]).await.len(), 1);
    });
}

/// It would be opened, and lack an index that keeps a promise, or fail at the first append.
#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn a_database_of_another_schema_is_refused() {
    run(async {
        let place = Place::make();
        drop(place.open().await);
        drop(place.open().await); // its own is not
        let schema = place.other().await.collection::<Document>("a_schema");
        for (change, says) in [
            (doc! { "$set": { "digest": "of other indexes" } }, "(version 1) has other indexes"),
            (doc! { "$unset": { "digest": 1 } }, "(without digest) has other indexes"),
            (doc! { "$set": { "version": 99 } }, "version 99"),
        ] {
            schema.update_one(doc! {}, change).await.unwrap();
            for indexes in [true, false] {
                let refused = MongoStore::connect(MongoConfig::new(place.url()).indexes(indexes)).await.unwrap_err();
                assert_eq!(refused.kind(), StoreErrorKind::Schema);
                assert!(refused.to_string().contains(says), "{refused}");
            }
        }
    });
}

#[test]
fn a_server_that_is_not_there_is_told_within_seconds() {
    run(async {
        // A port of this machine that nobody listens on.
        let url = "mongodb://127.0.0.1:1/chat?serverSelectionTimeoutMS=200";
        let refused = MongoStore::connect(MongoConfig::new(url)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
        let nameless = MongoStore::open("mongodb://127.0.0.1:1").await.unwrap_err();
        assert!(!nameless.is_transient());
    });
}
