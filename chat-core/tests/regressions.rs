//! What the simulation has found, each as a case of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{
    Body, Code, Cursor, Draft, Engine, Event, Hub, LogStore, Room, RoomId, RoomSpec, Seq, StoreError, StoreErrorKind,
    conformance::faulty::{Call, FaultyStore, StoreFault},
    memory::MemoryStore,
    model::React,
    protocol::Target,
};
use common::{Client, Stream, human, join, leave, limits, user};
use parking_lot::Mutex;
use serde_json::json;

/// Does something to the calls about one room.
#[derive(Default)]
struct Harmed(Mutex<Option<(RoomId, Harm)>>);

#[derive(Clone, Copy, PartialEq)]
enum Harm {
    /// Pages of the log cannot be read.
    FailPages,
    /// Single entries cannot be read.
    FailSingles,
    /// Pages come late.
    DelayPages,
    /// Nothing can be appended.
    FailAppends,
}

impl Harmed {
    fn harm(&self, room: RoomId, harm: Harm) {
        *self.0.lock() = Some((room, harm));
    }

    fn heal(&self) {
        *self.0.lock() = None;
    }
}

#[async_trait]
impl StoreFault for Harmed {
    async fn before(&self, call: &mut Call) -> Result<(), StoreError> {
        let harm = *self.0.lock();
        let harm = harm.and_then(|(harmed, harm)| match call {
            Call::Read { room, limit: 1, .. } if *room == harmed => {
                Some(harm).filter(|harm| *harm == Harm::FailSingles)
            }
            Call::Read { room, .. } if *room == harmed => {
                Some(harm).filter(|harm| [Harm::FailPages, Harm::DelayPages].contains(harm))
            }
            Call::Append(_) => Some(harm).filter(|harm| *harm == Harm::FailAppends),
            _ => None,
        });
        match harm {
            None => Ok(()),
            Some(Harm::DelayPages) => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                Ok(())
            }
            Some(_) => Err(StoreError::new(StoreErrorKind::Unavailable, "the store is not there")),
        }
    }
}

/// A node over a store that can be harmed, and another over the same store that cannot.
struct Pair {
    store: Arc<FaultyStore<Arc<MemoryStore>, Harmed>>,
    harmed: Engine,
    sound: Engine,
}

impl Pair {
    async fn start() -> Self {
        let memory = Arc::new(MemoryStore::new());
        let store = Arc::new(FaultyStore::new(memory.clone(), Harmed::default()));
        let mut few = limits();
        few.ring_entries = 4;
        let harmed = Engine::builder().limits(few).store(store.clone()).build().await.unwrap();
        let sound = Engine::builder().limits(limits()).store(memory).build().await.unwrap();
        Self { store, harmed, sound }
    }

    /// Ann's public room with bob in it and some texts, by way of the sound node.
    async fn room(&self) -> Arc<dyn Room> {
        let spec = RoomSpec::public("r").members([user("bob")]);
        let room = self.sound.hub(human("ann")).create(spec).await.unwrap();
        for number in 0..20 {
            room.post(Draft::text(number.to_string())).await.unwrap();
        }
        room
    }

    async fn cursor(&self, room: RoomId, seq: u64) -> Cursor {
        let seq = Seq::new(seq).unwrap();
        let entry = self.store.read(room, seq.prev(), 1).await.unwrap().remove(0);
        Cursor::new(room, seq, Some(entry.id))
    }
}

#[tokio::test]
async fn a_follow_that_fails_after_its_answer_is_ended_and_not_answered_again() {
    let pair = Pair::start().await;
    let room = pair.room().await.id();
    let cursor = pair.cursor(room, 5).await;
    let mut anns = Client::greeted(&pair.harmed, "ann").await; // keeps the room live, so that only the paging fails
    anns.until(|frame| frame["type"] == "followed" && frame["room"] == json!(room)).await;
    let mut bobs = Client::greeted(&pair.harmed, "bob").await;
    let _ = bobs.say(&json!({"type": "unfollow", "ref": 2, "room": room}));
    bobs.until(|frame| frame["type"] == "unfollowed").await;
    pair.store.fault().harm(room, Harm::FailPages);
    let at = json!({"seq": cursor.seq, "id": cursor.id});
    let _ = bobs.say(&json!({"type": "follow", "ref": 3, "room": room, "cursor": at}));
    assert_eq!(bobs.next().await, json!({"type": "followed", "ref": 3, "room": room, "seq": 5, "id": cursor.id}));
    assert_eq!(bobs.next().await, json!({"type": "unfollowed", "room": room, "why": "retry"}));
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_and_joins_again_before_the_room_has_passed_either_is_followed_again() {
    let pair = Pair::start().await;
    let room = pair.room().await;
    let mut bobs = Stream::new(pair.harmed.hub(human("bob")).events(Vec::new()));
    bobs.followed().await;
    bobs.followed().await;
    pair.store.fault().harm(room.id(), Harm::DelayPages); // so that the inbox tells of the join first
    room.post(leave("bob")).await.unwrap();
    room.post(join("bob")).await.unwrap();
    while !matches!(bobs.next().await, Event::Unfollowed { why: Code::Removed, .. }) {}
    assert_eq!(bobs.followed().await.get(), 22, "right before the second join");
    room.post(Draft::text("welcome back")).await.unwrap();
    assert_eq!(bobs.texts(1).await, ["welcome back"]);
}

#[tokio::test]
async fn a_room_that_is_refused_for_now_is_not_followed_from_elsewhere_before_the_client_asks() {
    let pair = Pair::start().await;
    let room = pair.room().await;
    let cursor = pair.cursor(room.id(), 5).await;
    pair.store.fault().harm(room.id(), Harm::FailSingles);
    let mut bobs = Client::connect(&pair.harmed, "bob");
    let _ = bobs.say(&json!({"type": "hello", "ref": 1, "cursors": [cursor]}));
    let unfollowed = bobs.until(|frame| frame["type"] == "unfollowed").await;
    assert_eq!(unfollowed["why"], "retry");
    pair.store.fault().heal();
    room.post(leave("bob")).await.unwrap();
    room.post(join("bob")).await.unwrap();
    let (inbox, id) = (RoomId::inbox(&user("bob")), json!(room.id()));
    let is_joined = |frame: &serde_json::Value| frame["room"] == json!(inbox) && frame["body"]["change"] == "joined";
    bobs.until(|frame| is_joined(frame) && frame["body"]["room"] == id).await;
    let at = json!({"seq": cursor.seq, "id": cursor.id});
    let _ = bobs.say(&json!({"type": "follow", "ref": 2, "room": room.id(), "cursor": at}));
    let followed = bobs.until(|frame| frame["type"] == "followed" && frame["room"] == id).await;
    assert_eq!((&followed["ref"], &followed["seq"]), (&json!(2), &json!(5)), "nothing between is passed over");
}

#[tokio::test]
async fn the_retry_of_what_was_trimmed_is_too_old_even_if_the_rules_refuse_it_now() {
    let pair = Pair::start().await;
    let room = pair.room().await;
    let target = Seq::new(2).unwrap();
    let reaction = Draft::new(Body::React(React { target, emoji: "+".into(), on: true }));
    room.post(reaction.clone()).await.unwrap();
    room.post(Draft::text("last")).await.unwrap();
    pair.store.trim(room.id(), Seq::new(22).unwrap()).await.unwrap();
    assert_eq!(room.post(reaction).await.unwrap_err().code, Code::TooOld);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_for_good_is_not_stored_by_an_earlier_try_that_was_stuck_elsewhere() {
    let pair = Pair::start().await;
    let room = pair.room().await;
    let target = Target::Room(room.id());
    let draft = Draft::text("may I?");
    pair.store.fault().harm(room.id(), Harm::FailAppends);
    let stuck = pair.harmed.hub(human("bob")).post_to(target.clone(), draft.clone()).await;
    assert_eq!(stuck.unwrap_err().code, Code::Retry);
    room.post(leave("bob")).await.unwrap();
    let refused = pair.sound.hub(human("bob")).post_to(target, draft).await;
    assert_eq!(refused.unwrap_err().code, Code::Denied);
    room.post(join("bob")).await.unwrap();
    pair.store.fault().heal();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let log = pair.store.read(room.id(), Seq::ZERO, 100).await.unwrap();
    assert_eq!(log.iter().filter(|entry| entry.body.text() == Some("may I?")).count(), 0);
}
