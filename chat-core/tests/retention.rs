//! What rooms keep, and what those are told who ask for what is gone.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chat_core::{
    Clock, Code, Cursor, Draft, Engine, Event, GapReason, Hub, Key, LogStore, Room, RoomSpec, Seq, Start, Timestamp,
    memory::MemoryStore, retention::Retention,
};
use common::{Stream, human, limits};

const HOUR: Duration = Duration::from_hours(1);
const START: i64 = 1_800_000_000_000;

/// Is a clock that is set by hand.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

struct Place {
    store: Arc<MemoryStore>,
    clock: Arc<Hand>,
    engine: Engine,
}

impl Place {
    async fn new(retention: Retention) -> Self {
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(Hand(START.into())));
        let engine = Engine::builder().limits(limits()).store(store.clone()).clock(clock.clone());
        // One room says by its name that it keeps everything.
        let engine =
            engine.retention_by(move |room| if &*room.title == "minutes" { Retention::forever() } else { retention });
        Self { store, clock, engine: engine.build().await.unwrap() }
    }

    async fn room(&self, title: &str) -> Arc<dyn Room> {
        let ann = self.engine.hub(human("ann"));
        let (room, _) = ann.create_under(self.key(0), RoomSpec::public(title)).await.unwrap();
        ann.room(room).await.unwrap()
    }

    /// Makes a key by a clock that is ahead.
    fn key(&self, ahead_ms: i64) -> Key {
        let random = *Key::generate().as_bytes();
        Key::new(self.clock.now().0 + ahead_ms, random[6..].try_into().unwrap())
    }

    fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(time.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    async fn say(&self, room: &dyn Room, text: &str) -> Draft {
        let draft = Draft { key: self.key(0), ..Draft::text(text) };
        room.post(draft.clone()).await.unwrap();
        draft
    }

    async fn first(&self, room: &dyn Room) -> u64 {
        self.store.heads(&[room.id()]).await.unwrap()[0].first.get()
    }
}

#[tokio::test]
async fn by_age_what_is_old_is_forgotten_and_by_count_what_is_too_much() {
    let place = Place::new(Retention::forever().age(24 * HOUR).count(600)).await;
    let (tea, minutes) = (place.room("tea").await, place.room("minutes").await);
    for room in [&tea, &minutes] {
        place.say(&**room, "old").await;
    }
    place.pass(23 * HOUR);
    for text in ["new", "newer"] {
        place.say(&*tea, text).await;
    }
    assert_eq!(place.engine.retain().await.unwrap(), 0);
    place.pass(2 * HOUR);
    assert_eq!(place.engine.retain().await.unwrap(), 2);
    assert_eq!((place.first(&*tea).await, place.first(&*minutes).await), (3, 1));

    for number in 0..1_200 {
        place.say(&*tea, &number.to_string()).await;
    }
    place.pass(2 * HOUR);
    assert_eq!(place.engine.retain().await.unwrap(), 602);
    assert_eq!(place.first(&*tea).await, 605, "the last 600 of 1,204 stay");
    assert_eq!(place.engine.retain().await.unwrap(), 0);
    place.pass(1_000 * HOUR);
    place.engine.retain().await.unwrap();
    assert_eq!(place.first(&*tea).await, 1_204, "the last one always stays");
}

#[tokio::test]
async fn an_old_cursor_gets_a_gap_and_an_old_key_is_too_old() {
    let place = Place::new(Retention::forever().age(HOUR)).await;
    let tea = place.room("tea").await;
    let lost = place.say(&*tea, "lost").await;
    let seen = place.store.read(tea.id(), Seq::new(1).unwrap(), 1).await.unwrap().remove(0);
    place.say(&*tea, "lost, too").await;
    place.pass(3 * HOUR);
    let kept = place.say(&*tea, "kept").await;
    place.engine.retain().await.unwrap();

    let cursor = Cursor::new(tea.id(), seen.seq, Some(seen.id));
    let mut events = Stream::new(tea.events(Start::After(cursor)));
    let gap = loop {
        match events.next().await {
            Event::Gap { from, to, why, .. } => break (from.get(), to.get(), why),
            Event::Followed { .. } => {}
            other => panic!("{other:?} before the gap"),
        }
    };
    assert_eq!(gap, (3, 3, GapReason::Retention));
    assert_eq!(events.texts(1).await, ["kept"]);
    assert_eq!(tea.post(lost).await.unwrap_err().code, Code::TooOld);
    tea.post(kept).await.expect("what is kept is known");
}

#[tokio::test]
async fn a_sender_whose_clock_is_ahead_makes_nobody_else_s_keys_too_old() {
    let place = Place::new(Retention::forever().age(Duration::from_mins(10)).count(1)).await;
    let tea = place.room("tea").await;
    let early = Draft { key: place.key(23 * 3_600_000), ..Draft::text("from tomorrow") };
    tea.post(early.clone()).await.unwrap();
    for _ in 0..30 {
        place.pass(HOUR);
        place.say(&*tea, "on time").await;
        place.engine.retain().await.unwrap();
        // A retry under the early key is known, or is told that it cannot be.
        let again = tea.post(early.clone()).await;
        assert!(
            again.is_ok_and(|posted| posted == chat_core::Posted::Stored { seq: Seq::new(2).unwrap(), id: id(posted) })
                || place.first(&*tea).await > 2
        );
    }
    assert!(place.first(&*tea).await > 2, "it is kept for longer, not for ever");
    let late = Draft { key: place.key(-50 * 60_000), ..Draft::text("50 minutes behind") };
    tea.post(late).await.expect("so far behind, a clock does no harm either");
}

fn id(posted: chat_core::Posted) -> chat_core::EntryId {
    match posted {
        chat_core::Posted::Stored { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_forgets_by_itself_once_an_hour() {
    let place = Place::new(Retention::forever().age(HOUR)).await;
    let tea = place.room("tea").await;
    place.say(&*tea, "old").await;
    place.pass(3 * HOUR);
    place.say(&*tea, "new").await;
    let forgotten = async {
        while place.first(&*tea).await != 3 {
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
    };
    tokio::time::timeout(3 * HOUR, forgotten).await.expect("within two rounds");
}

#[tokio::test(start_paused = true)]
async fn rooms_that_were_active_at_the_same_moment_are_all_looked_at() {
    let place = Place::new(Retention::forever().age(HOUR)).await;
    let mut rooms = Vec::new();
    for number in 0..120 {
        rooms.push(place.room(&format!("room {number}")).await);
    }
    for room in &rooms {
        place.say(&**room, "old").await;
        place.say(&**room, "last").await;
    }
    place.pass(3 * HOUR);
    place.engine.retain().await.unwrap();
    for room in &rooms {
        assert_eq!(place.first(&**room).await, 3);
    }
}
