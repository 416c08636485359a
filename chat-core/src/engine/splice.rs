//! Following while a room moves, in every order that a scheduler finds.
//!
//! The engine's own follow, fan-out and repair run as tasks of shuttle, which decides at each point where they wait who
//! goes on: every call of the store is such a point, every wait for a room's lock, and every push into an outbox.
//! `SCHEDULES=100000` tries more orders than the 4,000 of each case here.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;
use shuttle::{
    Config, Runner,
    future::{JoinHandle, block_on, spawn, yield_now},
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
};

use super::{
    Engine, Inner,
    follow::{From, Wish},
};
use crate::{
    conformance::faulty::{Answer, Call, FaultyStore, StoreFault},
    fanout::{Class, Frame, Nudge, Outbox, Push, Seat},
    hub::{Event, Start},
    memory::MemoryStore,
    model::{
        Body, Cursor, Draft, Entry, EntryId, Identity, Key, MemberChange, Membership, NewEntry, RoomChange, RoomId,
        RoomSpec, Seq, Timestamp, UserId,
    },
    protocol::Close,
    store::{Append, LogStore, Outcome, StoreError},
};

/// The stack of one task: unoptimised, the engine needs more than shuttle's default.
const STACK_BYTES: usize = 512 * 1024;

/// Explores a case in random orders, and in orders that change priorities at few points.
fn explore<F: Future<Output = ()> + 'static>(case: fn() -> F) {
    let schedules = std::env::var("SCHEDULES").map_or(4_000, |number| number.parse().unwrap());
    run(RandomScheduler::new(schedules / 2), case);
    run(PctScheduler::new(3, schedules - schedules / 2), case);
}

fn run<F: Future<Output = ()> + 'static>(scheduler: impl Scheduler + 'static, case: fn() -> F) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    Runner::new(scheduler, config).run(move || {
        // What the engine leaves to tokio (lanes, polls, repairs after a while) never runs: the cases do it themselves.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _inside = runtime.enter();
        block_on(case());
    });
}

/// Lets others go on before and after each call.
struct Steps;

#[async_trait]
impl StoreFault for Steps {
    async fn before(&self, _: &mut Call) -> Result<(), StoreError> {
        yield_now().await;
        Ok(())
    }

    async fn after(&self, _: &Call, _: &mut Answer) -> Result<(), StoreError> {
        yield_now().await;
        Ok(())
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn room() -> RoomId {
    RoomId::named("r")
}

/// Is a node and the room `r`: ann's, with bob and cid in it, and two texts.
#[derive(Clone)]
struct World {
    engine: Engine,
    store: Arc<FaultyStore<MemoryStore, Steps>>,
    keys: Arc<AtomicUsize>,
}

impl World {
    async fn new(ring_entries: usize) -> Self {
        let store = Arc::new(FaultyStore::new(MemoryStore::new(), Steps));
        let limits = super::Limits { ring_entries, lanes: 1, ..super::Limits::default() };
        let engine = Engine::builder().store(store.clone()).limits(limits).build().await.unwrap();
        let world = Self { engine, store, keys: Arc::default() };
        let spec = RoomSpec::public("r").members([user("bob"), user("cid")]);
        world.append("ann", Body::Room(RoomChange::Created(spec))).await;
        for text in ["one", "two"] {
            world.append("ann", Body::Text(crate::model::Text::new(text))).await;
        }
        world
    }

    fn inner(&self) -> &Arc<Inner> {
        self.engine.inner()
    }

    /// Commits an entry under the guard as it stands.
    async fn append(&self, author: &str, body: Body) -> Arc<Entry> {
        let number = u8::try_from(self.keys.fetch_add(1, Ordering::SeqCst)).unwrap();
        let (key, id) = (Key::new(1, [number; 10]), EntryId::new(1, [number; 10]));
        let entry = NewEntry::new(id, Draft { key, body }, user(author), author.into(), Timestamp(1));
        let guard = Some(Seq::MAX);
        let batch = [Append { room: room(), guard, entries: vec![entry.clone()] }];
        let outcome = self.store.append(&batch).await.unwrap()[0][0];
        let Outcome::Stored(seq) = outcome else { panic!("{outcome:?}") };
        Arc::new(entry.into_entry(room(), seq))
    }

    /// Commits an entry and lets it pass, as a lane does.
    async fn post(&self, author: &str, body: Body) -> Seq {
        let entry = self.append(author, body).await;
        let seq = entry.seq;
        self.inner().let_pass(room(), vec![entry]).await;
        seq
    }

    fn posts(&self, count: usize) -> JoinHandle<()> {
        let world = self.clone();
        spawn(async move {
            for number in 0..count {
                world.post("ann", Body::Text(crate::model::Text::new(number.to_string()))).await;
            }
        })
    }

    fn changes(&self, name: &'static str, change: Membership) -> JoinHandle<Seq> {
        let world = self.clone();
        spawn(async move { world.post("ann", Body::Member(MemberChange { user: user(name), change })).await })
    }

    /// Does what the poll does: finds in the log what no entry that passed has told.
    async fn poll(&self) {
        let head = self.store.heads(&[room()]).await.unwrap()[0].seq;
        let Some(live) = self.inner().rooms.get(room()) else { return };
        if live.reached().await.is_some_and(|reached| reached < head) {
            self.inner().repair(&live).await.unwrap();
        }
    }

    async fn log(&self) -> Vec<Entry> {
        self.store.read(room(), Seq::ZERO, 100).await.unwrap()
    }
}

/// Is an outbox with room for so many entries, and what its client has read.
struct Line {
    budget: usize,
    state: Mutex<LineState>,
    /// Whether the session has to be told that there is room again, or that it was expelled.
    drained: AtomicBool,
    expelled: AtomicBool,
}

#[derive(Default)]
struct LineState {
    waiting: VecDeque<Event>,
    read: Vec<Event>,
    refused: bool,
    /// Refused last, by task: a second try comes under the seat's lock, where nobody else may go on.
    refused_last: BTreeMap<String, bool>,
}

/// Shuttle's own `yield_now` wakes whoever calls it, which would hide that a wake-up was lost.
fn let_others_go_on() {
    shuttle::thread::sleep(std::time::Duration::ZERO);
}

impl Outbox for Line {
    fn push(&self, frame: &Frame) -> Push {
        let task = format!("{:?}", shuttle::thread::current().id());
        let is_second_try = self.state.lock().refused_last.insert(task.clone(), false).unwrap_or_default();
        if !is_second_try {
            let_others_go_on();
        }
        let mut state = self.state.lock();
        if frame.class == Class::Entry && state.waiting.len() >= self.budget {
            state.refused = true;
            state.refused_last.insert(task, !is_second_try);
            drop(state);
            if !is_second_try {
                let_others_go_on(); // here the outbox may drain before the session is parked
            }
            return Push::Full;
        }
        state.waiting.extend(frame.event.clone());
        Push::Taken
    }

    fn close(&self, _: Close) {}
}

impl Line {
    /// Reads one frame.
    fn read(&self) {
        let mut state = self.state.lock();
        let Some(event) = state.waiting.pop_front() else { return };
        state.read.push(event);
        if std::mem::take(&mut state.refused) {
            self.drained.store(true, Ordering::SeqCst);
        }
    }

    fn entries(&self) -> Vec<Seq> {
        let state = self.state.lock();
        let all = state.read.iter().chain(&state.waiting);
        let seq = |event: &Event| if let Event::Entry(entry) = event { Some(entry.seq) } else { None };
        all.filter_map(seq).collect()
    }
}

/// Is one session's task: it follows once, and again whenever its line has room or it was expelled.
#[derive(Clone)]
struct Visitor {
    world: World,
    seat: Arc<Seat>,
    line: Arc<Line>,
}

impl Visitor {
    fn new(world: &World, name: &str, budget: usize) -> Self {
        let (drained, expelled) = (AtomicBool::new(false), AtomicBool::new(false));
        let line = Arc::new(Line { budget, state: Mutex::default(), drained, expelled });
        let (number, identity) = (world.inner().next_number(), Arc::new(Identity::human(user(name), name)));
        let told = line.clone();
        let nudges = Box::new(move |nudge| match nudge {
            Nudge::Unpark => told.drained.store(true, Ordering::SeqCst),
            Nudge::Expelled(_) => told.expelled.store(true, Ordering::SeqCst),
            Nudge::Notice(_) => {}
        });
        let seat = Seat::new(number, identity, line.clone(), world.inner().no_bytes.clone(), nudges);
        Self { world: world.clone(), seat: Arc::new(seat), line }
    }

    fn follows(&self, start: Start) -> JoinHandle<()> {
        let visitor = self.clone();
        spawn(async move {
            visitor.world.inner().follow(&visitor.seat, Wish::new(room(), From::Client(start))).await;
        })
    }

    /// Does what the desk has to do. Returns whether there was something.
    async fn work_off(&self) -> bool {
        let mut worked = false;
        if self.line.drained.swap(false, Ordering::SeqCst) {
            for (room, cursor) in self.seat.unpark() {
                self.world.inner().follow(&self.seat, Wish::new(room, From::Parked(cursor))).await;
            }
            worked = true;
        }
        worked
    }

    /// Reads everything, and lets the room pass everything, until nothing more happens.
    async fn settle(&self) {
        loop {
            self.world.poll().await;
            while !self.line.state.lock().waiting.is_empty() {
                self.line.read();
            }
            if !self.work_off().await {
                break;
            }
        }
    }

    fn check_consecutive(&self, after: u64) -> Vec<Seq> {
        let entries = self.line.entries();
        assert!(entries.iter().zip(after + 1..).all(|(seq, due)| seq.get() == due), "after {after}: {entries:?}");
        entries
    }
}

async fn cursor(world: &World, seq: usize) -> Cursor {
    let entry = &world.log().await[seq - 1];
    Cursor::new(room(), entry.seq, Some(entry.id))
}

async fn join_all(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn who_subscribes_while_others_post_receives_everything_once_and_in_order() {
    explore(|| async {
        let world = World::new(2).await;
        let (ann, bob) = (Visitor::new(&world, "ann", 100), Visitor::new(&world, "bob", 100));
        let from = Start::After(cursor(&world, 1).await);
        join_all([ann.follows(from), world.posts(2), bob.follows(from), world.posts(2)]).await;
        for visitor in [ann, bob] {
            visitor.settle().await;
            assert_eq!(visitor.check_consecutive(1).len(), 6);
        }
    });
}

#[test]
fn who_resumes_while_the_ring_is_brought_back_receives_everything_once_and_in_order() {
    explore(|| async {
        let world = World::new(8).await;
        let (ann, bob) = (Visitor::new(&world, "ann", 100), Visitor::new(&world, "bob", 100));
        let (one, two) = (Start::After(cursor(&world, 1).await), Start::After(cursor(&world, 2).await));
        join_all([ann.follows(two), world.posts(2), bob.follows(one), world.posts(2)]).await;
        for (visitor, after) in [(ann, 2), (bob, 1)] {
            visitor.settle().await;
            assert_eq!(visitor.check_consecutive(after).len() as u64, 7 - after);
        }
    });
}

#[test]
fn a_parked_session_resumes_without_gap_while_others_post() {
    explore(|| async {
        let world = World::new(2).await;
        let bob = Visitor::new(&world, "bob", 1);
        bob.follows(Start::Head).await.unwrap();
        let tasks = [world.posts(2), world.posts(1)];
        let reader = bob.clone();
        let reads = spawn(async move {
            for _ in 0..6 {
                reader.line.read();
                reader.work_off().await;
                yield_now().await;
            }
        });
        join_all(tasks.into_iter().chain([reads])).await;
        bob.settle().await;
        assert_eq!(bob.check_consecutive(3).len(), 3);
    });
}

#[test]
fn who_is_removed_while_subscribing_receives_nothing_from_then_on() {
    explore(|| async {
        let world = World::new(2).await;
        let bob = Visitor::new(&world, "bob", 100);
        let follows = bob.follows(Start::Oldest);
        let leaves = world.changes("bob", Membership::Leave);
        join_all([follows, world.posts(2)]).await;
        let left = leaves.await.unwrap();
        bob.settle().await;
        assert!(bob.check_consecutive(0).iter().all(|seq| *seq < left), "left at {left}: {:?}", bob.line.entries());
        assert!(!bob.seat.follows(room()));
    });
}

#[test]
fn who_is_removed_and_joins_again_at_once_follows_in_the_end() {
    explore(|| async {
        let world = World::new(2).await;
        let bob = Visitor::new(&world, "bob", 100);
        bob.follows(Start::Head).await.unwrap();
        let again = world.clone();
        let changes = spawn(async move {
            again.changes("bob", Membership::Leave).await.unwrap();
            again.changes("bob", Membership::Join).await.unwrap();
        });
        join_all([changes, world.posts(2)]).await;
        world.poll().await;
        assert!(bob.line.expelled.load(Ordering::SeqCst), "the session is told to look again");
        world.inner().follow(&bob.seat, Wish::new(room(), From::Joined)).await;
        world.post("ann", Body::Text(crate::model::Text::new("last"))).await;
        bob.settle().await;
        assert_eq!(bob.line.entries().last(), world.log().await.last().map(|entry| &entry.seq));
    });
}

#[test]
fn a_session_that_ends_while_it_subscribes_leaves_nothing_behind() {
    explore(|| async {
        let world = World::new(2).await;
        let (bob, cid) = (Visitor::new(&world, "bob", 100), Visitor::new(&world, "cid", 100));
        cid.follows(Start::Head).await.unwrap();
        let ends = bob.clone();
        let end = spawn(async move {
            for lease in ends.seat.leave_all().into_values() {
                lease.room().detach(ends.seat.number).await;
            }
        });
        join_all([bob.follows(Start::Head), world.posts(1), end]).await;
        let before = bob.line.entries().len();
        world.posts(1).await.unwrap();
        cid.settle().await;
        assert_eq!(bob.line.entries().len(), before, "nothing is pushed to who has left");
        assert_eq!(Arc::strong_count(&bob.seat), 1, "nobody holds the session");
        assert_eq!(cid.check_consecutive(3).len(), 2);
    });
}
