//! Following under adverse circumstances: repeats, parking, removal, trims, and ends at the wrong moment.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Action, Code, Cursor, Draft, Engine, Event, Hub, Identity, Key, LogStore, Members, Policy, Posted, RoomId,
    RoomSpec, Seq, Start, StoreError,
    conformance::faulty::{Answer, Call, FaultyStore, StoreFault},
    memory::MemoryStore,
    protocol::Target,
    store::Access,
};
use common::{Client, Stream, engine, human, join, leave, limits, user};
use serde_json::json;

#[tokio::test]
async fn following_again_is_refused_and_changes_nothing() {
    let engine = engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("r")).await.unwrap();
    let mut client = Client::greeted(&engine, "ann").await;
    client.until(|frame| frame["type"] == "followed" && frame["room"] == json!(room.id())).await;
    let _ = client.say(&json!({"type": "follow", "ref": 5, "room": room.id()}));
    assert_eq!(client.until(|frame| frame["ref"] == 5).await["type"], "error");
    room.post(Draft::text("hi")).await.unwrap();
    client.until(|frame| frame["type"] == "entry" && frame["body"]["text"] == "hi").await;
}

#[tokio::test]
async fn whoever_is_cut_off_right_after_a_gap_resumes_behind_it() {
    let engine = engine().await;
    let ann = engine.hub(human("ann"));
    let room = ann.create(RoomSpec::public("r").since_join().members([user("bob")])).await.unwrap();
    for draft in [leave("bob"), Draft::text("hidden"), join("bob"), Draft::text("seen")] {
        room.post(draft).await.unwrap();
    }
    // Where a gap of what was before joining moves a cursor to, and what a made-up cursor of a member looks like.
    for (seq, brings) in [(3, "entry"), (4, "reset")] {
        let mut bob = Client::connect(&engine, "bob");
        let cursor = json!({"room": room.id(), "seq": seq});
        let _ = bob.say(&json!({"type": "hello", "ref": 1, "cursors": [cursor]}));
        let told = |frame: &serde_json::Value| ["entry", "reset", "gap"].iter().any(|kind| frame["type"] == *kind);
        let first = bob.until(|frame| frame["room"] == json!(room.id()) && told(frame)).await;
        assert_eq!((&first["type"], seq), (&json!(brings), seq), "{first}");
        assert!(brings == "reset" || first["seq"] == 4, "{first}");
    }
}

#[tokio::test]
async fn the_inbox_cannot_be_unfollowed_since_it_carries_revocations() {
    let engine = engine().await;
    let mut client = Client::greeted(&engine, "ann").await;
    let _ = client.say(&json!({"type": "unfollow", "ref": 5, "room": RoomId::inbox(&user("ann"))}));
    assert_eq!(client.until(|frame| frame["ref"] == 5).await["name"], "denied");
    engine.revoke(&user("ann"), None).await.unwrap();
    client.until(|frame| frame["type"] == "close").await;
}

#[tokio::test]
async fn a_revocation_between_connecting_and_hello_counts() {
    let engine = engine().await;
    engine.revoke(&user("ann"), None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await; // so that the clock tells the two revocations apart
    let mut later = Client::greeted(&engine, "ann").await; // an old revocation does not count
    let mut early = Client::connect(&engine, "ann");
    tokio::time::sleep(Duration::from_millis(5)).await;
    engine.revoke(&user("ann"), None).await.unwrap();
    let _ = early.say(&json!({"type": "hello", "ref": 1}));
    assert_eq!(early.next().await["name"], "unauthenticated");
    later.until(|frame| frame["type"] == "close").await;
}

#[tokio::test]
async fn a_revocation_before_hello_counts_whatever_else_the_user_is_told() {
    let engine = engine().await;
    let mut early = Client::connect(&engine, "ann");
    tokio::time::sleep(Duration::from_millis(5)).await; // so that what follows is later than the connection
    engine.revoke(&user("ann"), None).await.unwrap();
    for login in 0..200 {
        engine.revoke(&user("ann"), Some(&format!("another {login}"))).await.unwrap();
    }
    let _ = early.say(&json!({"type": "hello", "ref": 1}));
    assert_eq!(early.next().await["name"], "unauthenticated");
}

/// Bob, who has not read 600 entries and is parked; and the room's owner.
async fn parked(engine: &Engine) -> (Stream, impl Hub) {
    let ann = engine.hub(human("ann"));
    let room = ann.create(RoomSpec::public("r").members([user("bob")])).await.unwrap();
    let mut bobs = Stream::new(engine.hub(human("bob")).events(Vec::new()));
    bobs.followed().await;
    bobs.followed().await;
    for number in 0..600 {
        room.post(Draft::text(number.to_string())).await.unwrap();
    }
    (bobs, ann)
}

#[tokio::test]
async fn a_parked_session_learns_of_new_rooms() {
    let engine = engine().await;
    let (mut bobs, ann) = parked(&engine).await;
    let new = ann.create(RoomSpec::private("new").members([user("bob")])).await.unwrap().id();
    while !matches!(bobs.next().await, Event::Followed { room, .. } if room == new) {}
}

#[tokio::test]
async fn a_parked_session_is_revoked_before_it_has_read_all() {
    let engine = engine().await;
    let (mut bobs, _) = parked(&engine).await;
    engine.revoke(&user("bob"), None).await.unwrap();
    bobs.closed().await;
}

/// Takes its time to say who may read.
struct Slow;

#[async_trait]
impl Policy for Slow {
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
        if matches!(action, Action::Read) {
            std::thread::sleep(Duration::from_millis(2));
        }
        Members::default().authorize(who, action, access)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_during_hello_is_let_go() {
    let engine = Engine::builder().limits(limits()).policy(Arc::new(Slow)).build().await.unwrap();
    let ann = engine.hub(human("ann"));
    for number in 0..100 {
        ann.create(RoomSpec::public(format!("r{number}"))).await.unwrap();
    }
    let Client { session, outbox, .. } = Client::greeted(&engine, "ann").await;
    drop(session);
    let let_go = async {
        while outbox.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), let_go).await.expect("the connection's outbox is let go");
}

/// On paused time, which only moves when everybody waits: so it counts polls, not this machine's speed.
#[tokio::test(start_paused = true)]
async fn one_poll_catches_up_however_much_was_missed() {
    let store = Arc::new(MemoryStore::new());
    let writer = Engine::builder().limits(limits()).store(store.clone()).build().await.unwrap();
    let reader = Engine::builder().limits(limits()).store(store).build().await.unwrap();
    let room = writer.hub(human("ann")).create(RoomSpec::public("r")).await.unwrap();
    let mut events = Stream::new(reader.hub(human("ann")).room(room.id()).await.unwrap().events(Start::Head));
    events.followed().await;
    for number in 0..3_000 {
        room.post(Draft::text(number.to_string())).await.unwrap();
    }
    let posted = tokio::time::Instant::now();
    events.texts(3_000).await;
    let polls = posted.elapsed().as_secs_f64() / limits().poll.as_secs_f64();
    assert!(polls < 3.0, "{polls} polls; at a page each it would be 12");
}

/// Counts what is read of one room's log, and takes its time for it, so that all who come at once meet.
#[derive(Default)]
struct CountsReads {
    room: OnceLock<RoomId>,
    reads: AtomicUsize,
}

#[async_trait]
impl StoreFault for CountsReads {
    async fn before(&self, call: &mut Call) -> Result<(), StoreError> {
        if let Call::Read { room, .. } = call
            && self.room.get() == Some(room)
        {
            self.reads.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// As after a node has died: nobody follows the room where all its people come to.
#[tokio::test(start_paused = true)]
async fn all_who_resume_a_room_at_once_share_what_is_read_of_it() {
    let names: Vec<_> = (0..50).map(|number| format!("u{number}")).collect();
    let store = Arc::new(FaultyStore::new(MemoryStore::new(), CountsReads::default()));
    let engine = async || Engine::builder().limits(limits()).store(store.clone()).build().await.unwrap();
    let (before, after) = (engine().await, engine().await);
    let spec = RoomSpec::public("r").members(names.iter().map(|name| user(name)));
    let room = before.hub(human("ann")).create(spec).await.unwrap();
    let mut places = Vec::new();
    for number in 0..20 {
        let Posted::Stored { seq, id } = room.post(Draft::text(number.to_string())).await.unwrap() else { panic!() };
        places.push(Cursor::new(room.id(), seq, Some(id)));
    }
    let _ = store.fault().room.set(room.id());
    let mut clients: Vec<_> = names.iter().map(|name| Client::connect(&after, name)).collect();
    for client in &mut clients {
        let _ = client.say(&json!({"type": "hello", "ref": 1, "cursors": [places[9]]}));
    }
    for client in &mut clients {
        for number in 10..20 {
            let entry = client.until(|frame| frame["type"] == "entry" && frame["room"] == json!(room.id())).await;
            assert_eq!(entry["body"]["text"], number.to_string());
        }
    }
    let reads = || store.fault().reads.load(Ordering::SeqCst);
    assert_eq!(reads(), 2, "where the room stands, and what was missed");

    let resume = async || {
        let mut late = Client::connect(&after, "ann");
        let _ = late.say(&json!({"type": "hello", "ref": 1, "cursors": [places[9]]}));
        late.until(|frame| frame["type"] == "entry" && frame["body"]["text"] == "19").await;
        reads()
    };
    assert_eq!(resume().await, 2, "it is there still");
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(resume().await, 3, "who comes at once has come: it was let go");
}

/// Is a store to which entries of some kind move no guard, as to a node of an older version.
struct MovesNoGuard;

#[async_trait]
impl StoreFault for MovesNoGuard {
    async fn after(&self, _: &Call, answer: &mut Answer) -> Result<(), StoreError> {
        if let Answer::Access(Some(access)) = answer {
            access.guard = Seq::ZERO;
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_access_that_was_read_after_a_restriction_is_not_read_again_for_ever() {
    let store = Arc::new(FaultyStore::new(MemoryStore::new(), MovesNoGuard));
    let engine = Engine::builder().limits(limits()).store(store).build().await.unwrap();
    let _live = Client::greeted(&engine, "ann").await;
    engine.revoke(&user("ann"), Some("another login")).await.unwrap();
    let mut second = Client::greeted(&engine, "ann").await;
    let _ = second.say(&json!({"type": "rooms", "ref": 5}));
    assert_eq!(second.until(|frame| frame["ref"] == 5).await["type"], "rooms");
}

/// Removes bob just when his backlog begins to be read.
#[derive(Default)]
struct Kicks {
    engine: OnceLock<Engine>,
    armed: AtomicBool,
}

#[async_trait]
impl StoreFault for Kicks {
    async fn before(&self, call: &mut Call) -> Result<(), StoreError> {
        if let Call::Read { room, after: Seq::ZERO, limit: 2.. } = call
            && self.armed.swap(false, Ordering::SeqCst)
        {
            let ann = self.engine.get().unwrap().hub(human("ann"));
            ann.post_to(Target::Room(*room), leave("bob")).await.unwrap();
            ann.post_to(Target::Room(*room), Draft::text("bob is gone")).await.unwrap();
        }
        Ok(())
    }
}

#[tokio::test]
async fn who_is_removed_while_catching_up_receives_nothing_after() {
    let store = Arc::new(FaultyStore::new(MemoryStore::new(), Kicks::default()));
    let engine = Engine::builder().limits(limits()).store(store.clone()).build().await.unwrap();
    let _ = store.fault().engine.set(engine.clone());
    let room = engine.hub(human("ann")).create(RoomSpec::public("r").members([user("bob")])).await.unwrap();
    for number in 0..300 {
        room.post(Draft::text(number.to_string())).await.unwrap();
    }
    let bobs_room = engine.hub(human("bob")).room(room.id()).await.unwrap();
    store.fault().armed.store(true, Ordering::SeqCst);
    let mut bobs = Stream::new(bobs_room.events(Start::Oldest));
    loop {
        match bobs.next().await {
            Event::Entry(entry) => assert_ne!(entry.body.text(), Some("bob is gone")),
            Event::Unfollowed { .. } => break,
            _ => {}
        }
    }
    assert!(!store.fault().armed.load(Ordering::SeqCst), "the removal came in between");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trim_while_a_node_is_behind_hides_no_removal() {
    let store = Arc::new(MemoryStore::new());
    let mut rarely = limits();
    rarely.poll = Duration::from_secs(1);
    let here = Engine::builder().limits(limits()).store(store.clone()).build().await.unwrap();
    let behind = Engine::builder().limits(rarely).store(store.clone()).build().await.unwrap();
    let spec = RoomSpec::public("r").members([user("bob"), user("cid")]);
    let room = here.hub(human("ann")).create(spec).await.unwrap();
    let mut bobs = Stream::new(behind.hub(human("bob")).room(room.id()).await.unwrap().events(Start::Head));
    bobs.followed().await;
    room.post(leave("bob")).await.unwrap();
    for number in 0..5 {
        room.post(Draft::text(number.to_string())).await.unwrap();
    }
    store.trim(room.id(), Seq::new(4).unwrap()).await.unwrap();
    let mut cids = Stream::new(behind.hub(human("cid")).room(room.id()).await.unwrap().events(Start::Head));
    cids.followed().await;
    // What was trimmed may be of this millisecond, and then a fresh key is too old.
    let end = Draft { key: Key::new(Key::generate().unix_ms() + 1_000, [1; 10]), ..Draft::text("end") };
    room.post(end).await.unwrap();
    while !matches!(cids.next().await, Event::Entry(entry) if entry.body.text() == Some("end")) {}
    loop {
        match bobs.next().await {
            Event::Unfollowed { .. } => break,
            event => assert!(!matches!(event, Event::Entry(_)), "received after the removal: {event:?}"),
        }
    }
}
