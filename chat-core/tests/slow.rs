//! One client that reads nothing, among a thousand that do.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use chat_core::{
    Class, Close, Cursor, Draft, Encoding, Engine, Event, Frame, Hub, LogStore, Outbox, Outgoing, Peer, Push, Room,
    RoomSpec, Seq, ServerFrame, Session, Store, memory::MemoryStore, protocol,
};
use common::{human, limits, user};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What a connection may have waiting, as in the WebSocket transport.
const BUDGET: usize = 256 * 1024;

/// An outbox that is read when the test says so.
struct Line {
    budget: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Frame>,
    bytes: usize,
    bytes_max: usize,
    refused: bool,
}

impl Line {
    fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self { budget: budget.into(), state: Mutex::default() })
    }

    /// Reads all there is. Returns it, and whether something was refused before.
    fn read(&self) -> (Vec<Frame>, bool) {
        let mut state = self.state.lock();
        state.bytes = 0;
        (state.waiting.drain(..).collect(), std::mem::take(&mut state.refused))
    }
}

impl Outbox for Line {
    fn push(&self, frame: &Frame) -> Push {
        let (mut state, budget) = (self.state.lock(), self.budget.load(Ordering::SeqCst));
        let bytes = state.bytes + frame.bytes.len();
        match frame.class {
            Class::Entry if bytes > budget => {
                state.refused = true;
                return Push::Full;
            }
            Class::Signal if bytes > budget / 2 => return Push::Taken,
            _ => {}
        }
        state.bytes = bytes;
        state.bytes_max = state.bytes_max.max(bytes);
        state.waiting.push_back(frame.clone());
        Push::Taken
    }

    fn close(&self, _: Close) {}
}

struct Json;

impl Encoding for Json {
    fn encode(&self, frame: &ServerFrame<'_>) -> Bytes {
        protocol::encode(frame).into()
    }
}

/// A session of a member, and its line.
struct Client {
    session: Session,
    line: Arc<Line>,
}

impl Client {
    async fn connect(
        engine: &Engine,
        name: &str,
        cursors: &[Cursor],
        budget: usize,
        encoding: &Arc<dyn Encoding>,
    ) -> Self {
        let line = Line::new(budget);
        let session = engine.connect(Peer::known(None, human(name)), line.clone(), encoding.clone());
        let mut client = Self { session, line };
        let _ = client.session.receive(json!({"type": "hello", "cursors": cursors}).to_string().as_bytes());
        settle().await;
        client
    }

    /// Reads all there is, and goes on until nothing more comes.
    async fn read(&mut self) -> Vec<Frame> {
        let mut all = Vec::new();
        loop {
            let (frames, refused) = self.line.read();
            if frames.is_empty() && !refused {
                return all;
            }
            all.extend(frames);
            if refused {
                self.session.drained();
            }
            settle().await;
        }
    }

    async fn seqs(&mut self) -> Vec<u64> {
        let seq = |frame: &Frame| match &frame.event {
            Some(Event::Entry(entry)) if frame.class == Class::Entry => Some(entry.seq.get()),
            _ => None,
        };
        self.read().await.iter().filter_map(seq).collect()
    }
}

/// Lets everybody do what they can do without time going by. On a single thread, each turn is one of every task.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

async fn start(store: Arc<dyn Store>) -> (Engine, Arc<dyn Room>) {
    let engine = Engine::builder().limits(limits()).store(store).build().await.unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("r").members([user("bob")])).await.unwrap();
    (engine, room)
}

async fn post(room: &Arc<dyn Room>, count: usize) {
    for _ in 0..count {
        room.post(Draft::text("x".repeat(2_000))).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_clients_do_not_wait_for_one_that_reads_nothing() {
    let (engine, room) = start(Arc::new(MemoryStore::new())).await;
    let encoding: Arc<dyn Encoding> = Arc::new(Json);
    let mut stalled = Client::connect(&engine, "bob", &[], BUDGET, &encoding).await;
    let mut others = Vec::new();
    for _ in 0..999 {
        let line = Line::new(usize::MAX);
        let mut session = engine.connect(Peer::known(None, human("ann")), line.clone(), encoding.clone());
        let _ = session.receive(br#"{"type":"hello"}"#);
        others.push(Client { session, line });
    }
    settle().await;
    let begun = Instant::now();
    post(&room, 300).await;
    settle().await;
    for other in &mut others {
        let (frames, _) = other.line.read();
        assert_eq!(frames.iter().filter(|frame| frame.class == Class::Entry).count(), 300);
    }
    assert_eq!(begun.elapsed().as_nanos(), 0, "nobody has waited for anything");
    let bytes_max = stalled.line.state.lock().bytes_max;
    assert!((BUDGET / 2..=BUDGET).contains(&bytes_max), "{bytes_max} bytes wait for the stalled one");

    assert!(stalled.seqs().await.into_iter().eq(2..=301), "the log has what the ring has not any more");
    post(&room, 140).await; // one more than fits, and less than the ring holds
    assert!(stalled.seqs().await.into_iter().eq(302..=441), "the ring has it");
}

#[tokio::test(start_paused = true)]
async fn signals_are_dropped_before_entries() {
    let (engine, room) = start(Arc::new(MemoryStore::new())).await;
    let mut stalled = Client::connect(&engine, "bob", &[], BUDGET, &(Arc::new(Json) as Arc<dyn Encoding>)).await;
    let signal = || Outgoing::Custom { kind: "shop.look".into(), data: Value::Null };
    room.signal(signal()).await.unwrap();
    post(&room, 80).await; // over half of what may wait, and less than all
    room.signal(signal()).await.unwrap();
    post(&room, 1).await;
    let frames = stalled.read().await;
    let count = |class| frames.iter().filter(|frame| frame.class == class).count();
    assert_eq!((count(Class::Entry), count(Class::Signal)), (81, 1));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_once_even_if_what_follows_it_does_not_fit() {
    let store = Arc::new(MemoryStore::new());
    let (engine, room) = start(store.clone()).await;
    post(&room, 20).await;
    let third = store.read(room.id(), Seq::new(2).unwrap(), 1).await.unwrap().remove(0);
    store.trim(room.id(), Seq::new(10).unwrap()).await.unwrap();
    let cursor = Cursor::new(room.id(), third.seq, Some(third.id));
    let encoding: Arc<dyn Encoding> = Arc::new(Json);
    let mut bob = Client::connect(&engine, "bob", &[cursor], 0, &encoding).await;
    bob.session.drained();
    settle().await;
    bob.line.budget.store(BUDGET, Ordering::SeqCst);
    let frames = bob.read().await;
    let gaps: Vec<_> = frames.iter().filter(|frame| matches!(frame.event, Some(Event::Gap { .. }))).collect();
    let entries = frames.iter().filter(|frame| frame.class == Class::Entry).count();
    assert_eq!((gaps.len(), entries), (1, 11), "{gaps:?}");
}
