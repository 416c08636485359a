//! The engine as an application sees it: one node, in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Body, Code, Cursor, Draft, Engine, Event, Hub, Identity, Key, Page, Posted, RoomId, RoomSpec, Seq, Start,
    StoreError, StoreErrorKind, Text,
    conformance::faulty::{Call, FaultyStore, StoreFault},
    memory::MemoryStore,
};
use common::{Stream, engine, human, user};
use futures::StreamExt;

#[tokio::test]
async fn what_is_posted_is_read_and_received_in_order() {
    let engine = engine().await;
    let ann = engine.hub(human("ann"));
    let room = ann.create(RoomSpec::public("general")).await.unwrap();
    let mut events = Stream::new(room.events(Start::Head));
    assert_eq!(events.followed().await, Seq::FIRST);
    for text in ["one", "two", "two"] {
        room.post(Draft::text(text)).await.unwrap();
    }
    assert_eq!(events.texts(3).await, ["one", "two", "two"]);
    let history = room.history(Page::default()).await.unwrap();
    assert_eq!(history.iter().map(|entry| entry.seq.get()).collect::<Vec<_>>(), [2, 3, 4]);
}

#[tokio::test]
async fn a_draft_sent_twice_is_stored_once() {
    let engine = engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let draft = Draft::text("once");
    let first = room.post(draft.clone()).await.unwrap();
    assert_eq!(room.post(draft.clone()).await.unwrap(), first);
    let other = Draft { key: draft.key, body: Body::Text(Text::new("another")) };
    assert_eq!(room.post(other).await.unwrap_err().code, Code::Conflict);
    assert_eq!(room.history(Page::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_a_private_room() {
    let engine = engine().await;
    let secret = engine.hub(human("ann")).create(RoomSpec::private("secret")).await.unwrap().id();
    let eve = engine.hub(human("eve"));
    let unknown = RoomId::named("no such room");
    for room in [secret, unknown] {
        assert_eq!(eve.room(room).await.err().unwrap().code, Code::NotFound);
        let post = eve.post_to(chat_core::protocol::Target::Room(room), Draft::text("hi")).await;
        assert_eq!(post.unwrap_err().code, Code::NotFound);
    }
}

#[tokio::test]
async fn the_first_private_message_makes_the_room_and_reaches_both() {
    let engine = engine().await;
    let (ann, bob) = (engine.hub(human("ann")), engine.hub(human("bob")));
    let mut bobs = Stream::new(bob.events(Vec::new()));
    bobs.followed().await; // the inbox
    let (to_bob, to_ann) = (ann.direct(&user("bob")), bob.direct(&user("ann")));
    assert_eq!(to_bob.id(), to_ann.id());
    let (one, two) = tokio::join!(to_bob.post(Draft::text("hi")), to_ann.post(Draft::text("ho")));
    one.unwrap();
    two.unwrap();
    let mut texts = bobs.texts(2).await;
    texts.sort();
    assert_eq!(texts, ["hi", "ho"]);
    assert_eq!(to_ann.members(Page::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn who_joins_receives_the_room_in_all_sessions() {
    let engine = engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let bob = engine.hub(human("bob"));
    let (mut phone, mut desk) = (Stream::new(bob.events(Vec::new())), Stream::new(bob.events(Vec::new())));
    phone.followed().await;
    desk.followed().await;
    bob.post_to(chat_core::protocol::Target::Room(room.id()), common::join("bob")).await.unwrap();
    room.post(Draft::text("welcome")).await.unwrap();
    assert_eq!(phone.texts(1).await, ["welcome"]);
    assert_eq!(desk.texts(1).await, ["welcome"]);
}

#[tokio::test]
async fn who_is_removed_receives_nothing_after() {
    let engine = engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("general").members([user("bob")])).await.unwrap();
    let bobs_room = engine.hub(human("bob")).room(room.id()).await.unwrap();
    let mut bobs = Stream::new(bobs_room.events(Start::Head));
    bobs.followed().await;
    room.post(Draft::text("before")).await.unwrap();
    room.post(common::leave("bob")).await.unwrap();
    room.post(Draft::text("after")).await.unwrap();
    assert_eq!(bobs.texts(1).await, ["before"]);
    assert!(matches!(bobs.next().await, Event::Unfollowed { why: Code::Removed, .. }));
    assert_eq!(bobs_room.post(Draft::text("still here?")).await.unwrap_err().code, Code::Denied);
}

#[tokio::test]
async fn a_cursor_resumes_without_gap_or_repeat() {
    let engine = engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let mut posted = Vec::new();
    for number in 0..600 {
        posted.push(room.post(Draft::text(number.to_string())).await.unwrap());
    }
    let Posted::Stored { seq, id } = posted[99] else { panic!() };
    let mut events = Stream::new(room.events(Start::After(Cursor::new(room.id(), seq, Some(id)))));
    events.followed().await;
    let expected: Vec<_> = (100..600).map(|number| number.to_string()).collect();
    assert_eq!(events.texts(500).await, expected);
}

#[tokio::test]
async fn a_cursor_of_another_log_is_reset() {
    let engine = engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let Posted::Stored { seq, id } = room.post(Draft::text("one")).await.unwrap() else { panic!() };
    let other = chat_core::EntryId::new(5, [9; 10]);
    for cursor in [Cursor::new(room.id(), seq, Some(other)), Cursor::new(room.id(), Seq::new(99).unwrap(), Some(id))] {
        let mut events = Stream::new(room.events(Start::After(cursor)));
        assert_eq!(events.next().await, Event::Reset(room.id()));
        assert_eq!(events.followed().await, seq);
    }
}

#[tokio::test]
async fn a_receiver_that_falls_behind_is_served_from_the_log() {
    let engine = engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let mut slow = Stream::new(room.events(Start::Head));
    slow.followed().await;
    for number in 0..2_000 {
        room.post(Draft::text(number.to_string())).await.unwrap(); // nobody reads meanwhile
    }
    let expected: Vec<_> = (0..2_000).map(|number: u32| number.to_string()).collect();
    assert_eq!(slow.texts(2_000).await, expected);
}

#[tokio::test]
async fn a_command_is_not_stored_and_has_one_reply() {
    let engine = chat_core::Engine::builder()
        .limits(common::limits())
        .command("roll", "/roll: throws a die", |call: chat_core::Invocation| async move {
            Ok(chat_core::Reply::Say(format!("{} rolled {}", call.user_name, call.args.len())))
        })
        .build()
        .await
        .unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let draft = Draft { key: Key::generate(), body: Body::Text(Text::new("/roll a b")) };
    for _ in 0..2 {
        assert_eq!(room.post(draft.clone()).await.unwrap(), Posted::Accepted);
    }
    assert_eq!(room.post(Draft::text("/rol")).await.unwrap_err().code, Code::UnknownCommand);
    room.post(Draft::text("//roll")).await.unwrap();
    let texts: Vec<_> = room.history(Page::default()).await.unwrap();
    let texts: Vec<_> =
        texts.iter().map(|entry| (entry.author.to_string(), entry.body.text().unwrap().to_owned())).collect();
    assert_eq!(texts, [("bot:roll".into(), "ann rolled 2".into()), ("ann".to_owned(), "/roll".to_owned())]);
}

#[tokio::test]
async fn logging_out_ends_the_sessions_of_that_login_only() {
    let engine = engine().await;
    let mut phone = Stream::new(engine.hub(Identity::clone(&human("ann")).with_login("phone")).events(Vec::new()));
    let mut desk = Stream::new(engine.hub(human("ann").with_login("desk")).events(Vec::new()));
    phone.followed().await;
    desk.followed().await;
    engine.revoke(&user("ann"), Some("phone")).await.unwrap();
    phone.closed().await;
    let room = engine.hub(human("ann")).create(RoomSpec::private("still here")).await.unwrap();
    room.post(Draft::text("yes")).await.unwrap();
    assert_eq!(desk.texts(1).await, ["yes"]);
}

#[tokio::test]
async fn draining_closes_sessions_and_refuses_what_is_new() {
    let engine = engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let events = room.events(Start::Head);
    engine.drain(Duration::from_secs(2)).await;
    assert_eq!(room.post(Draft::text("late")).await.unwrap_err().code, Code::Draining);
    let last = events.collect::<Vec<_>>().await.pop().unwrap();
    assert!(matches!(last, Event::Closed(error) if error.code == Code::Draining));
    assert!(!engine.is_ready().await);
}

/// Is away when told so.
#[derive(Default)]
struct Away(AtomicBool);

#[async_trait]
impl StoreFault for Away {
    async fn before(&self, _: &mut Call) -> Result<(), StoreError> {
        if self.0.load(Ordering::Acquire) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "anything"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_node_whose_store_is_away_is_not_ready_although_nobody_is_there_to_find_out() {
    let store = Arc::new(FaultyStore::new(MemoryStore::new(), Away::default()));
    let engine = Engine::builder().store(store.clone()).build().await.unwrap();
    for away in [false, true, false] {
        store.fault().0.store(away, Ordering::Release);
        assert_eq!(engine.is_ready().await, !away);
    }
}

#[tokio::test]
async fn who_wants_events_while_the_store_is_away_is_told_to_come_again() {
    let store = Arc::new(FaultyStore::new(MemoryStore::new(), Away::default()));
    let engine = Engine::builder().store(store.clone()).build().await.unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    store.fault().0.store(true, Ordering::Release);
    let mut events = engine.hub(human("ann")).events(Vec::new());
    let last = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("an end");
    assert!(matches!(&last, Some(Event::Closed(error)) if error.code == Code::Retry), "{last:?}");
    assert!(events.next().await.is_none());
    store.fault().0.store(false, Ordering::Release);
    let mut events = Stream::new(room.events(Start::Head));
    assert_eq!(events.followed().await, Seq::FIRST);
}
