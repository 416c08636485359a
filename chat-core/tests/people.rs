//! People are handed out and forgotten, beside a node that works on the same store.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::sync::Arc;

use chat_core::{
    Body, Code, Draft, Engine, Event, Hub, Key, LogStore, Page, PeopleStore, Room, RoomId, RoomSpec, RoomStore, Seq,
    Start, Store, StoreError, StoreErrorKind, Text, UserId,
    conformance::faulty::{Answer, Call, FaultyStore, StoreFault},
    memory::MemoryStore,
    model::{Edit, React},
    people::{self, Line},
    protocol::Target,
};
use common::{Stream, human, join, limits, user};
use parking_lot::Mutex;
use serde_json::json;

/// Stands in everything that bob is, says and is called.
const MARKER: &str = "marker-7f3a";

async fn over(store: Arc<dyn Store>) -> Engine {
    Engine::builder().limits(limits()).store(store).build().await.unwrap()
}

fn bob() -> chat_core::Identity {
    chat_core::Identity::human(user(MARKER), format!("Bob {MARKER}"))
}

fn edit(target: u64, text: &str) -> Draft {
    Draft::new(Body::Edit(Edit { target: Seq::new(target).unwrap(), text: text.into() }))
}

fn react(target: u64, on: bool) -> Draft {
    Draft::new(Body::React(React { target: Seq::new(target).unwrap(), emoji: "👍".into(), on }))
}

/// Is a room in which ann and bob talk: bob's messages are at 3 and 6, of which the first is edited; he likes ann's at 5.
async fn a_conversation(engine: &Engine) -> Arc<dyn Room> {
    let room = engine.hub(human("ann")).create(RoomSpec::public("tea")).await.unwrap();
    let theirs = engine.hub(bob());
    theirs.post_to(Target::Room(room.id()), join(MARKER)).await.unwrap();
    let mut text = Text::new(format!("I am {MARKER}"));
    text.data = json!({ "at": MARKER });
    theirs.post_to(Target::Room(room.id()), Draft::new(Body::Text(text))).await.unwrap();
    theirs.post_to(Target::Room(room.id()), edit(3, &format!("I am still {MARKER}"))).await.unwrap();
    room.post(Draft::text("hello")).await.unwrap();
    let custom = Body::Custom { kind: "shop.order".into(), text: MARKER.into(), data: json!({ "of": MARKER }) };
    theirs.post_to(Target::Room(room.id()), Draft::new(custom)).await.unwrap();
    theirs.post_to(Target::Room(room.id()), react(5, true)).await.unwrap();
    theirs.room(room.id()).await.unwrap().signal(chat_core::Outgoing::Read(Seq::new(5).unwrap())).await.unwrap();
    room
}

/// Returns everything that anybody can read of a room.
async fn dump(store: &MemoryStore, room: RoomId) -> String {
    let page = Page::newest(200);
    let log = store.read(room, Seq::ZERO, 1_000).await.unwrap();
    let (history, members) = (store.history(room, &page).await.unwrap(), store.members(room, &page).await.unwrap());
    let rooms = store.rooms(&chat_core::store::Listing::All, &page).await.unwrap();
    format!("{} {} {members:?} {rooms:?}", json!(log), json!(history))
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_is_found_nowhere_and_everybody_sees_it_at_once() {
    let store = Arc::new(MemoryStore::new());
    let engine = over(store.clone()).await;
    let room = a_conversation(&engine).await;
    let direct = engine.hub(bob()).direct(&user("ann"));
    direct.post(Draft::text(MARKER)).await.unwrap();
    let mut ann = Stream::new(room.events(Start::Head));
    let mut theirs = Stream::new(engine.hub(bob()).events(Vec::new()));
    ann.followed().await;
    theirs.followed().await;
    assert!(dump(&store, room.id()).await.contains(MARKER));

    let done = people::erase(&*store, &user(MARKER), |_| {}).await.unwrap();
    assert!(done.done && done.rooms == 2 && done.entries >= 7, "{done:?}");
    theirs.closed().await;
    let mut blanked = Vec::new();
    while blanked.len() < 6 {
        if let Event::Entry(entry) = ann.next().await
            && let Body::Erase(erase) = &entry.body
        {
            assert!(erase.user.is_stand_in() && entry.author == UserId::system());
            blanked.extend(erase.targets.iter().map(|seq| seq.get()));
        }
    }
    assert_eq!(blanked[..5], [2, 3, 4, 6, 7]);
    for room in [room.id(), direct.id()] {
        let left = dump(&store, room).await;
        assert!(!left.contains(MARKER), "{left}");
        assert!(left.contains("erased:"), "the positions stay: {left}");
    }
    assert!(dump(&store, room.id()).await.contains("hello"), "what others wrote stays");
    let reactions = room.history(Page::default()).await.unwrap().into_iter().filter_map(|entry| entry.folded);
    assert!(reactions.flat_map(|folded| folded.reactions).count() == 0);
    assert_eq!(store.rooms_of(&user(MARKER), None, 10).await.unwrap(), []);

    let head = store.heads(&[room.id()]).await.unwrap();
    let again = people::erase(&*store, &user(MARKER), |_| {}).await.unwrap();
    assert_eq!((again.entries, store.heads(&[room.id()]).await.unwrap()), (0, head), "once is enough");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_after_an_erasure_learns_what_to_blank() {
    let store = Arc::new(MemoryStore::new());
    let engine = over(store.clone()).await;
    let room = a_conversation(&engine).await;
    let seen = room.history(Page::default()).await.unwrap();
    let last = store.read(room.id(), Seq::new(6).unwrap(), 1).await.unwrap().remove(0);
    people::erase(&*store, &user(MARKER), |_| {}).await.unwrap();

    let cursor = chat_core::Cursor::new(room.id(), last.seq, Some(last.id));
    let missed = engine.hub(human("ann")).catch_up(cursor, 200).await.unwrap();
    assert!(!missed.reset && missed.gap.is_none());
    let blanked: Vec<_> = missed.entries.iter().flat_map(|entry| entry.body.targets().to_vec()).collect();
    let theirs = seen.iter().filter(|entry| entry.author == user(MARKER)).map(|entry| entry.seq);
    assert!(theirs.collect::<Vec<_>>().iter().all(|seq| blanked.contains(seq)), "{blanked:?}");
    assert!(!json!(missed.entries).to_string().contains(MARKER));
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_an_erased_message_is_not_stored_again() {
    let store = Arc::new(MemoryStore::new());
    let engine = over(store.clone()).await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("tea")).await.unwrap();
    let hub = engine.hub(human("bob"));
    hub.post_to(Target::Room(room.id()), join("bob")).await.unwrap();
    let draft = Draft { key: Key::generate(), ..Draft::text("hello") };
    hub.post_to(Target::Room(room.id()), draft.clone()).await.unwrap();
    people::erase(&*store, &user("bob"), |_| {}).await.unwrap();
    let refused = hub.post_to(Target::Room(room.id()), draft).await.unwrap_err();
    assert_eq!(refused.code, Code::Denied, "bob is a stranger, and no member");
}

/// Fails one call in so many of those that change something, and counts them.
#[derive(Default)]
struct Stumbles {
    calls: Mutex<u32>,
    at: Mutex<u32>,
}

#[async_trait::async_trait]
impl StoreFault for Stumbles {
    async fn after(&self, call: &Call, _: &mut Answer) -> Result<(), StoreError> {
        if !matches!(call, Call::Append(_)) {
            return Ok(());
        }
        *self.calls.lock() += 1;
        let stumbles = *self.calls.lock() == *self.at.lock();
        if stumbles { Err(StoreError::new(StoreErrorKind::Other, "the process was killed here")) } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn an_erasure_that_was_killed_anywhere_is_finished_by_the_next() {
    for at in 1.. {
        let inner = Arc::new(MemoryStore::new());
        let faults = Arc::new(Stumbles::default());
        let store = FaultyStore::new(inner.clone(), faults.clone());
        let engine = over(inner.clone()).await;
        let room = a_conversation(&engine).await;
        *faults.at.lock() = at;
        let killed = people::erase(&store, &user(MARKER), |_| {}).await.is_err();
        people::erase(&store, &user(MARKER), |_| {}).await.unwrap();
        let left = dump(&inner, room.id()).await;
        assert!(!left.contains(MARKER), "killed after append {at}: {left}");
        let log = inner.read(room.id(), Seq::ZERO, 1_000).await.unwrap();
        let stand_ins = log.iter().filter_map(|entry| match &entry.body {
            Body::Erase(erase) => Some(erase.user.clone()),
            _ => None,
        });
        assert_eq!(stand_ins.collect::<std::collections::BTreeSet<_>>().len(), 1, "one person, one stand-in");
        if !killed {
            assert!(at > 4, "{at}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_held_of_a_person_is_handed_out() {
    let store = Arc::new(MemoryStore::new());
    let engine = over(store.clone()).await;
    let room = a_conversation(&engine).await;
    engine.hub(human("eve")).create(RoomSpec::public("without bob")).await.unwrap();
    let mut lines = Vec::new();
    let count = people::export(&*store, &user(MARKER), |line| lines.push(line)).await.unwrap();
    assert_eq!(count, lines.len() as u64);
    assert!(matches!(&lines[0], Line::Person(person) if *person.name == *format!("Bob {MARKER}")));
    let of_room =
        lines.iter().position(|line| matches!(line, Line::Room { room: it, .. } if it.id == room.id())).unwrap();
    let Line::Room { member, read, .. } = &lines[of_room] else { unreachable!("it is one") };
    assert_eq!((member.is_some(), read.get()), (true, 5));
    let entries = lines[of_room + 1..].iter().map_while(|line| match line {
        Line::Entry(entry) => Some((entry.seq.get(), entry.body.kind().into_owned())),
        _ => None,
    });
    let expected = [(2, "member"), (3, "text"), (4, "edit"), (6, "shop.order"), (7, "react")];
    assert_eq!(entries.collect::<Vec<_>>(), expected.map(|(seq, kind)| (seq, kind.to_owned())));
    assert_eq!(lines.iter().filter(|line| matches!(line, Line::Room { .. })).count(), 2, "the room and the inbox");
    let first = serde_json::to_value(&lines[0]).unwrap();
    assert_eq!(first, json!({ "type": "person", "user": MARKER, "name": format!("Bob {MARKER}") }));
}

#[tokio::test]
async fn an_author_of_the_engine_s_own_is_not_erased() {
    for name in ["system", "bot:stock", "erased:0a0a0a0a0a0a0a0a"] {
        let refused = people::erase(&MemoryStore::new(), &user(name), |_| {}).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
    }
    let nobody = people::erase(&MemoryStore::new(), &user("nobody"), |_| {}).await.unwrap();
    assert_eq!((nobody.rooms, nobody.entries, nobody.done), (0, 0, true));
}

#[tokio::test]
async fn the_texts_that_a_message_had_are_read_until_it_is_deleted() {
    let engine = over(Arc::new(MemoryStore::new())).await;
    let room = a_conversation(&engine).await;
    let hub = engine.hub(human("ann"));
    let versions = async |seq| hub.versions(room.id(), Seq::new(seq).unwrap()).await;
    let texts: Vec<_> = versions(3).await.unwrap().into_iter().map(|it| (it.seq.get(), it.text)).collect();
    assert_eq!(texts, [(3, format!("I am {MARKER}")), (4, format!("I am still {MARKER}"))]);
    assert_eq!(versions(5).await.unwrap().len(), 1, "never edited");
    for none in [1, 2, 4, 99] {
        assert_eq!(versions(none).await.unwrap_err().code, Code::NotFound, "{none}");
    }
    let stranger = engine.hub(human("eve")).versions(room.id(), Seq::new(3).unwrap()).await.unwrap_err();
    assert_eq!(stranger.code, Code::Denied);
    room.post(Draft::new(Body::Delete(Seq::new(3).unwrap()))).await.unwrap();
    assert_eq!(versions(3).await.unwrap(), []);
}
