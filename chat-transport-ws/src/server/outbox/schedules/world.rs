//! One outbox, and all who have to do with it.

use std::{
    future::{Future, poll_fn},
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};

use chat_core::{Class, Close, CloseCode, Frame, Outbox, Push};
use futures::{FutureExt, channel::oneshot};
use parking_lot::Mutex;
use shuttle::{
    Config, Runner,
    future::{JoinHandle, block_on, spawn, yield_now},
    rand::{Rng, thread_rng},
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
};

use super::{
    super::{BURST, Event, Phase, SocketOutbox},
    Socket, waker,
};
use crate::{
    framing,
    server::{io::Io, metrics::Metrics},
};

/// Two frames fit, three may not.
const BUDGET: usize = 24;

/// Explores a case over both kinds of stream in random orders, and in orders that change priorities at few points.
pub(super) fn explore<F: Future<Output = ()> + 'static>(case: fn(World) -> F) {
    let schedules = std::env::var("SCHEDULES").map_or(4_000, |number| number.parse().unwrap());
    for io in [Io::Fake, |socket| Io::foreign(socket)] {
        run(RandomScheduler::new(schedules / 4), io, case);
        run(PctScheduler::new(3, schedules / 4), io, case);
    }
}

fn run<F: Future<Output = ()> + 'static>(
    scheduler: impl Scheduler + 'static,
    io: fn(Socket) -> Io,
    case: fn(World) -> F,
) {
    Runner::new(scheduler, Config::new()).run(move || {
        waker::begin_schedule();
        // Only its clock is used: it stands still until a task turns it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _inside = runtime.enter();
        block_on(case(World::new(io)));
    });
}

pub(super) async fn join(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) outbox: Arc<SocketOutbox>,
    pub(super) socket: Socket,
    notes: Arc<Mutex<Notes>>,
    looks_first: bool,
}

/// Is what the tasks have seen.
#[derive(Default)]
struct Notes {
    /// The frames that have to leave, each publisher's in its order.
    taken: Vec<Vec<u8>>,
    /// Somebody was answered `Full` and was not told of room yet.
    is_owed: bool,
    /// Who waits for room.
    parked: Vec<oneshot::Sender<()>>,
    goodbye: Option<oneshot::Sender<()>>,
    closed_by: Option<CloseCode>,
    has_ended: bool,
}

impl World {
    fn new(io: fn(Socket) -> Io) -> Self {
        let socket = Socket::default();
        let outbox = Arc::new(SocketOutbox::new(io(socket.clone()), BUDGET, Arc::new(Metrics::new())));
        Self { outbox, socket, notes: Arc::default(), looks_first: false }
    }

    /// Has the outbox's steps in the wrong order.
    pub(super) fn looking_first(mut self) -> Self {
        self.looks_first = true;
        self
    }

    /// Does what the connection's task does, up to its last words.
    pub(super) fn serves(&self) -> JoinHandle<()> {
        let (sender, mut goodbye) = oneshot::channel();
        self.notes.lock().goodbye = Some(sender);
        let world = self.clone();
        spawn(async move {
            loop {
                let event = poll_fn(|cx| {
                    let event = world.poll_event(cx);
                    let left = event.is_pending() && goodbye.poll_unpin(cx) == Poll::Ready(Ok(()));
                    if left { Poll::Ready(None) } else { event.map(Some) }
                });
                match event.await {
                    Some(Event::Wrote { drained: true }) => world.unpark(),
                    Some(Event::Wrote { drained: false }) => {}
                    Some(Event::Closing(_)) => break,
                    Some(Event::Gone) => return world.end(),
                    None => break world.outbox.end(),
                }
            }
            let _ = poll_fn(|cx| world.outbox.poll_flush(cx)).await; // may be lost
            world.end();
        })
    }

    /// Polls with a waker that is a point where others may go on.
    fn poll_event(&self, cx: &Context<'_>) -> Poll<Event> {
        let waker = Arc::new(StepWaker { outbox: Arc::downgrade(&self.outbox), task: cx.waker().clone() });
        let waker = Waker::from(waker);
        let mut cx = Context::from_waker(&waker);
        if !self.looks_first {
            return self.outbox.poll_event(&mut cx);
        }
        let event = self.outbox.look(&mut cx);
        if event.is_pending() {
            self.outbox.task.register(&waker);
        } else {
            std::mem::forget(waker); // giving it up would be a step, between the event and what is done about it
        }
        event
    }

    fn unpark(&self) {
        assert!(self.outbox.state.lock().buffer.len() <= BUDGET / 2, "there is room");
        let mut notes = self.notes.lock();
        assert!(std::mem::take(&mut notes.is_owed), "told twice, or without having been full");
        let parked = std::mem::take(&mut notes.parked);
        drop(notes);
        for waiting in parked {
            let _ = waiting.send(());
        }
    }

    fn end(&self) {
        let mut notes = self.notes.lock();
        notes.has_ended = true;
        notes.parked.clear();
    }

    /// Reads now and then until the connection has ended.
    pub(super) fn reads(&self) -> JoinHandle<()> {
        let world = self.clone();
        spawn(async move {
            while !world.notes.lock().has_ended {
                let bytes = thread_rng().gen_range(1..2 * BUDGET);
                world.socket.read(bytes);
                yield_now().await;
            }
        })
    }

    /// Pushes frames of one letter, at random times. Where there is no room it waits to be told, and tries again.
    pub(super) fn pushes(&self, class: Class, letter: u8, count: u8) -> JoinHandle<()> {
        let world = self.clone();
        spawn(async move {
            for number in 0..count {
                if thread_rng().gen_bool(0.5) {
                    tokio::time::advance(BURST).await;
                }
                yield_now().await;
                while let Some(waits) = world.push(class, &frame(letter, number)) {
                    let _ = waits.await;
                }
            }
        })
    }

    /// Pushes until there is no room.
    pub(super) fn fill(&self) {
        let mut number = 0..;
        while self.push(Class::Entry, &frame(b'x', number.next().unwrap())).is_none() {}
    }

    /// Pushes once. Returns what tells of room if there is none.
    fn push(&self, class: Class, bytes: &[u8]) -> Option<oneshot::Receiver<()>> {
        let held = self.outbox.state.lock().buffer.len();
        let due = class != Class::Signal || held <= BUDGET / 2;
        // Noted before, since a push that is taken lets others go on.
        self.notes.lock().taken.extend(due.then(|| bytes.to_vec()));
        let answer = self.outbox.push(&Frame::new(class, bytes.to_vec().into(), None));
        let mut notes = self.notes.lock();
        if answer != Push::Taken && due {
            notes.taken.pop();
        }
        if answer != Push::Full {
            return None;
        }
        assert!(class == Class::Entry, "only entries can wait");
        let (sender, receiver) = oneshot::channel();
        notes.is_owed = true;
        notes.parked.push(sender);
        Some(receiver)
    }

    pub(super) fn closes(&self, code: CloseCode) -> JoinHandle<()> {
        let world = self.clone();
        spawn(async move {
            yield_now().await;
            world.notes.lock().closed_by.get_or_insert(code);
            world.outbox.close(Close::new(code));
        })
    }

    pub(super) fn say_goodbye(&self) {
        let goodbye = self.notes.lock().goodbye.take();
        let _ = goodbye.unwrap().send(());
    }

    pub(super) fn closed_by(&self) -> Option<CloseCode> {
        self.notes.lock().closed_by
    }

    /// Checks that what left is what was taken, whole and each publisher's in order, and then these bytes.
    pub(super) fn check_all_taken_left(&self, last: &[u8]) {
        let left = self.socket.taken();
        let (left, end) = left.split_at(left.len().checked_sub(last.len()).unwrap());
        assert_eq!(end, last, "the last bytes");
        let (left, rest) = whole_frames(left);
        assert!(rest.is_empty(), "torn: {rest:?}");
        self.check_order(&left, true);
    }

    /// Checks that what left is made of frames that were pushed; the last may be cut.
    pub(super) fn check_what_left_is_whole(&self) {
        let left = self.socket.taken();
        self.check_order(&whole_frames(&left).0, false);
    }

    fn check_order(&self, left: &[&[u8]], all: bool) {
        let notes = self.notes.lock();
        for letter in b'a'..=b'z' {
            let of_this = |frame: &&[u8]| frame[0] == letter;
            let due: Vec<_> = notes.taken.iter().map(Vec::as_slice).filter(of_this).collect();
            let left: Vec<_> = left.iter().copied().filter(of_this).collect();
            assert!(if all { left == due } else { due.starts_with(&left) }, "{left:?} left of {due:?}");
        }
    }

    pub(super) fn check_is_gone(&self) {
        assert!(self.outbox.state.lock().phase == Phase::Gone);
        assert_eq!(self.outbox.push(&Frame::new(Class::Answer, frame(b'z', 0).into(), None)), Push::Gone);
    }
}

/// Its letter, its number, its length, and the letter again and again.
fn frame(letter: u8, number: u8) -> Vec<u8> {
    let length = 4 + 3 * (number % 3);
    let mut frame = vec![letter; usize::from(length)];
    (frame[1], frame[2]) = (number, length);
    frame
}

/// Splits off frames for as long as they are whole.
fn whole_frames(mut bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut frames = Vec::new();
    while let [letter, number, ..] = *bytes {
        let expected = if letter == framing::PING[0] { framing::PING.to_vec() } else { frame(letter, number) };
        let Some(rest) = bytes.strip_prefix(expected.as_slice()) else { break };
        frames.push(&bytes[..expected.len()]);
        bytes = rest;
    }
    (frames, bytes)
}

/// Lets others go on where the outbox gives up the waker of an earlier poll, and before it wakes.
struct StepWaker {
    outbox: Weak<SocketOutbox>,
    task: Waker,
}

impl StepWaker {
    fn step(&self) {
        // Under the lock nobody else could go on: all tasks share one thread.
        let can_go_on = self.outbox.upgrade().is_some_and(|outbox| !outbox.state.is_locked());
        if can_go_on && !std::thread::panicking() {
            waker::let_others_go_on();
        }
    }
}

impl Wake for StepWaker {
    fn wake(self: Arc<Self>) {
        self.step();
        self.task.wake_by_ref();
    }
}

impl Drop for StepWaker {
    fn drop(&mut self) {
        self.step();
    }
}
