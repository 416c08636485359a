//! Two stores as one: the logs in one, the rooms in the other.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use chat_core::{
    Body, Draft, EntryId, Key, LogStore, Page, RoomId, RoomSpec, RoomStore, Seq, StoreError, StoreErrorKind, UserId,
    conformance::faulty::{Answer, Call, FaultyStore, StoreFault},
    memory::MemoryStore,
    model::{MemberChange, Membership, NewEntry, RoomChange, Timestamp},
    store::{Append, Consumer, Feed, Hybrid, Listing, Outcome, Restore, copy_log},
};

chat_core::store_conformance!(memory_and_memory, || async { Hybrid::new(MemoryStore::new(), MemoryStore::new()) });

chat_core::feed_conformance!(feed_of_memory_and_memory, || async {
    Hybrid::new(MemoryStore::new(), MemoryStore::new())
});

chat_core::people_conformance!(people_of_memory_and_memory, || async {
    Hybrid::new(MemoryStore::new(), MemoryStore::new())
});

chat_core::repair_conformance!(repair_memory_and_memory, || async {
    Hybrid::new(MemoryStore::new(), MemoryStore::new())
});

/// Is the database of the rooms, which is away when it is told to be.
#[derive(Default)]
struct Switch {
    /// Nothing arrives.
    away: AtomicBool,
    /// What is projected is done, and the answer is lost.
    mute: AtomicBool,
}

#[async_trait]
impl StoreFault for Switch {
    async fn before(&self, _: &mut Call) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) { Err(gone()) } else { Ok(()) }
    }

    async fn after(&self, call: &Call, _: &mut Answer) -> Result<(), StoreError> {
        let lost = matches!(call, Call::Project(_)) && self.mute.load(Ordering::SeqCst);
        if lost { Err(gone()) } else { Ok(()) }
    }
}

fn gone() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "reach the rooms")
}

type Rooms = FaultyStore<Arc<MemoryStore>, Arc<Switch>>;

/// Is a hybrid, whose parts outlive it as databases outlive a process.
struct Setting {
    log: Arc<MemoryStore>,
    rooms: Arc<MemoryStore>,
    switch: Arc<Switch>,
    hybrid: Hybrid<Arc<MemoryStore>, Rooms>,
}

impl Setting {
    fn new() -> Self {
        let (log, rooms, switch) = (Arc::<MemoryStore>::default(), Arc::default(), Arc::<Switch>::default());
        let hybrid = Self::start(&log, &rooms, &switch);
        Self { log, rooms, switch, hybrid }
    }

    fn start(
        log: &Arc<MemoryStore>,
        rooms: &Arc<MemoryStore>,
        switch: &Arc<Switch>,
    ) -> Hybrid<Arc<MemoryStore>, Rooms> {
        Hybrid::new(log.clone(), FaultyStore::new(rooms.clone(), switch.clone()))
    }

    /// Ends the process and starts another one: what it had in memory is gone.
    fn crash_and_restart(&mut self) {
        self.hybrid = Self::start(&self.log, &self.rooms, &self.switch);
    }

    fn away(&self, away: bool) {
        self.switch.away.store(away, Ordering::SeqCst);
    }

    async fn append(&self, room: &str, bodies: impl IntoIterator<Item = Body>) -> Vec<Outcome> {
        let ann = user("ann");
        let entries = bodies.into_iter().map(|body| {
            let id = EntryId::from_bytes(*Key::generate().as_bytes());
            NewEntry::new(id, Draft::new(body), ann.clone(), "Ann".into(), Timestamp(1_750_000_000_000))
        });
        let share = Append { room: RoomId::named(room), guard: Seq::new(0), entries: entries.collect() };
        self.hybrid.append(&[share]).await.unwrap().remove(0)
    }

    async fn create(&self, room: &str) {
        let created = Body::Room(RoomChange::Created(RoomSpec::private(room)));
        assert_eq!(self.append(room, [created, said("hello")]).await, [stored(1), stored(2)]);
    }

    async fn listed(&self, who: &str) -> Vec<(String, u64, Option<String>)> {
        let rooms = self.hybrid.rooms(&Listing::Of(user(who)), &Page::default()).await.unwrap();
        let row = |it: chat_core::RoomSummary| {
            (it.room.title.to_string(), it.head.get(), it.last.and_then(|last| last.body.text().map(str::to_owned)))
        };
        rooms.into_iter().map(row).collect()
    }
}

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn said(text: &str) -> Body {
    Draft::text(text).body
}

fn stored(seq: u64) -> Outcome {
    Outcome::Stored(Seq::new(seq).unwrap())
}

#[tokio::test]
async fn what_the_log_has_is_answered_as_stored_while_the_rooms_are_away() {
    let test = Setting::new();
    test.create("tea").await;
    test.away(true);
    assert_eq!(test.append("tea", [said("3")]).await, [stored(3)]);
    assert_eq!(test.hybrid.history(RoomId::named("tea"), &Page::newest(1)).await.unwrap()[0].seq.get(), 3);
}

#[tokio::test]
async fn a_room_that_lost_its_projection_is_caught_up_with_before_anybody_is_judged() {
    let mut test = Setting::new();
    test.create("tea").await;
    test.away(true);
    let invite = Body::Member(MemberChange { user: user("bob"), change: Membership::Join });
    let remove = Body::Member(MemberChange { user: user("ann"), change: Membership::Leave });
    test.append("tea", [invite, remove]).await;
    test.create("milk").await;
    test.crash_and_restart();
    test.away(false);

    let access = async |room: &str, who| test.hybrid.access(RoomId::named(room), &user(who)).await.unwrap();
    let tea = access("tea", "ann").await.unwrap();
    assert_eq!((tea.member, tea.guard.get(), tea.as_of.get()), (None, 4, 4));
    assert!(access("tea", "bob").await.unwrap().member.is_some());
    assert_eq!(access("milk", "ann").await.unwrap().as_of.get(), 2);
    assert!(access("sugar", "ann").await.is_none());
}

#[tokio::test]
async fn whatever_a_crash_left_is_listed_after_one_pass_of_the_feed() {
    let mut test = Setting::new();
    test.create("tea").await;
    test.away(true);
    test.append("tea", [said("3"), said("4")]).await;
    test.create("milk").await;
    test.crash_and_restart();
    assert!(test.hybrid.catch_up().await.is_err(), "the rooms are away");
    test.away(false);
    assert_eq!(test.listed("ann").await, [("tea".to_owned(), 2, Some("4".to_owned()))]);

    assert_eq!(test.hybrid.catch_up().await.unwrap(), 2);
    let mut listed = test.listed("ann").await;
    listed.sort();
    assert_eq!(listed, [("milk".into(), 2, Some("hello".into())), ("tea".into(), 4, Some("4".into()))]);
    assert_eq!(test.hybrid.catch_up().await.unwrap(), 0);
    assert_eq!(test.log.behind(&Consumer::new("hybrid").unwrap(), 10).await.unwrap(), []);
}

#[tokio::test]
async fn an_answer_that_was_lost_projects_nothing_twice() {
    let test = Setting::new();
    test.create("tea").await;
    test.switch.mute.store(true, Ordering::SeqCst);
    test.append("tea", [said("3")]).await;
    test.switch.mute.store(false, Ordering::SeqCst);
    assert_eq!(test.append("tea", [said("4")]).await, [stored(4)]);
    test.hybrid.catch_up().await.unwrap();
    assert_eq!(test.listed("ann").await, [("tea".to_owned(), 4, Some("4".to_owned()))]);
}

#[tokio::test]
async fn what_other_nodes_project_need_not_be_projected_again() {
    let test = Setting::new();
    test.create("tea").await;
    let other = Setting::start(&test.log, &test.rooms, &test.switch);
    assert_eq!(other.catch_up().await.unwrap(), 0, "the room had followed already");
    // And the one that did it tells the feed so by itself.
    test.append("tea", [said("3")]).await;
    assert_eq!(test.hybrid.catch_up().await.unwrap(), 0);
    assert_eq!(test.log.behind(&Consumer::new("hybrid").unwrap(), 10).await.unwrap(), []);
}

#[tokio::test]
async fn nothing_is_trimmed_before_the_rooms_know_it() {
    let test = Setting::new();
    test.create("tea").await;
    test.away(true);
    test.append("tea", [said("3"), said("4"), said("5")]).await;
    let (tea, through) = (RoomId::named("tea"), Seq::new(4).unwrap());
    assert!(test.hybrid.trim(tea, through).await.is_err());
    assert_eq!(test.hybrid.read(tea, Seq::ZERO, 10).await.unwrap().len(), 5);
    test.away(false);
    test.hybrid.trim(tea, through).await.unwrap();
    assert_eq!(test.hybrid.read(tea, Seq::ZERO, 10).await.unwrap().len(), 1);
    assert_eq!(test.hybrid.access(tea, &user("ann")).await.unwrap().unwrap().as_of.get(), 5);
}

#[tokio::test]
async fn a_room_that_cannot_follow_keeps_no_other_one_waiting() {
    let test = Setting::new();
    test.create("tea").await;
    test.away(true);
    test.append("tea", [said("3"), said("4")]).await;
    test.create("milk").await;
    // Somebody went around the hybrid: what the rooms lack is not in the log any more.
    test.log.trim(RoomId::named("tea"), Seq::new(3).unwrap()).await.unwrap();
    test.away(false);
    assert_eq!(test.hybrid.catch_up().await.unwrap(), 1);
    assert!(test.listed("ann").await.contains(&("milk".to_owned(), 2, Some("hello".to_owned()))));
}

#[tokio::test]
async fn whole_logs_are_copied_into_two_stores_but_not_what_their_rooms_cannot_be_told() {
    let (from, to) = (Setting::new(), Setting::new());
    from.create("tea").await;
    from.append("tea", [said("3")]).await;
    let tea = RoomId::named("tea");
    let copied = Hybrid::new(to.log.clone(), to.rooms.clone());
    let given = Hybrid::new(from.log.clone(), from.rooms.clone());
    copy_log(&given, &copied, tea, drop).await.unwrap();
    assert_eq!(copied.state(tea).await.unwrap(), given.state(tea).await.unwrap());
    assert_eq!(to.listed("ann").await, from.listed("ann").await);

    let other = Setting::new();
    given.trim(tea, Seq::new(2).unwrap()).await.unwrap();
    let refused = copy_log(&given, &Hybrid::new(other.log.clone(), other.rooms.clone()), tea, drop).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Unsupported);
    assert_eq!(other.log.logs(None, 1).await.unwrap(), []);
}
