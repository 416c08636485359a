//! A connection's one way out, shared by all who write to it.
//!
//! A frame for a client that keeps up is written to the socket by the task that publishes it: no channel, no wake-up,
//! no task switch. What the kernel does not take, and what comes in a burst, is appended to one buffer, which the
//! connection's task writes in one go. The WebSocket library's pongs take the same way, so frames never interleave.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use chat_core::{Class, Close, CloseCode, Frame, Outbox, Push};
#[cfg(not(test))]
use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

#[cfg(test)]
use self::schedules::AtomicWaker;
use super::{io::Io, metrics::Metrics};
use crate::framing;

/// A frame that comes this soon after another is not written at once but waits for the connection's task, which
/// writes all there is by then in one call: a write costs the kernel 3 µs, however little it carries.
const BURST: Duration = Duration::from_millis(4);

pub(crate) struct SocketOutbox {
    io: Io,
    bytes_max: usize,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Wakes the connection's task: it is the one that flushes.
    task: AtomicWaker,
}

struct State {
    /// What the kernel did not take yet; holds no memory when empty.
    buffer: BytesMut,
    phase: Phase,
    /// [`Push::Full`] was answered: the session is to hear when there is room.
    owes_drained: bool,
    flush: Flush,
    /// A foreign stream holds bytes of ours.
    unflushed: bool,
    pushed_at: Instant,
    drained_at: Instant,
}

/// Says how far the connection's task is with the buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    /// It does not know of it: the buffer is empty, or just filled.
    Due,
    /// It lets others run, then writes.
    Begun,
    /// The kernel took less than there was.
    Blocked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The last frame is in the buffer.
    Closing(CloseCode),
    Gone,
}

/// Is what the connection's task hears from its outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes left.
    Wrote {
        /// The session is to hear [`chat_core::Session::drained`].
        drained: bool,
    },
    /// Somebody closed the connection.
    Closing(CloseCode),
    /// Nobody is there any more.
    Gone,
}

/// Is what the outbox knows of the other side's being alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    /// When a frame was pushed last.
    pub(crate) pushed_at: Instant,
    /// When a socket that had been full took bytes again; a socket with room takes them whether anybody listens or not.
    pub(crate) drained_at: Instant,
}

impl SocketOutbox {
    pub(crate) fn new(io: Io, bytes_max: usize, metrics: Arc<Metrics>) -> Self {
        let now = Instant::now();
        let state = State {
            buffer: BytesMut::new(),
            phase: Phase::Open,
            owes_drained: false,
            flush: Flush::Due,
            unflushed: false,
            pushed_at: now.checked_sub(BURST).unwrap_or(now),
            drained_at: now,
        };
        Self { io, bytes_max, metrics, state: Mutex::new(state), task: AtomicWaker::new() }
    }

    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    /// Tells whether more may be read: a client that takes no answers is asked no more questions.
    pub(crate) fn has_room(&self) -> bool {
        self.state.lock().buffer.len() <= self.bytes_max
    }

    pub(crate) fn pulse(&self) -> Pulse {
        let state = self.state.lock();
        Pulse { pushed_at: state.pushed_at, drained_at: state.drained_at }
    }

    /// Takes whole control frames: the library's pongs and close, dropped beyond the budget.
    pub(crate) fn control(&self, bytes: &[u8]) {
        let state = self.state.lock();
        if state.phase == Phase::Open && state.buffer.len() <= self.bytes_max {
            self.put(state, bytes);
        }
    }

    /// Takes our own ping, also beyond the budget: there is never more than one.
    pub(crate) fn ping(&self) {
        let state = self.state.lock();
        if state.phase == Phase::Open {
            self.put(state, framing::PING);
        }
    }

    /// Takes these bytes and nothing more.
    pub(crate) fn close_with(&self, code: CloseCode, last_words: &[u8]) {
        self.begin_close(&mut self.state.lock(), code, last_words);
    }

    /// Takes nothing more; what is there may still leave.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing(CloseCode::Normal);
        }
    }

    /// Takes nothing more and forgets what is there.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Gone;
        state.buffer = BytesMut::new();
    }

    /// Waits for something to tell the connection's task, and writes meanwhile.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Event> {
        self.task.register(cx.waker()); // before the look, so that nothing is filled unseen in between
        self.look(cx)
    }

    fn look(&self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Gone => return Poll::Ready(Event::Gone),
            Phase::Closing(code) => return Poll::Ready(Event::Closing(code)),
            Phase::Open => {}
        }
        // Yields once, so that publishers that are about to run add to this write instead of needing another.
        if !state.buffer.is_empty() && state.flush == Flush::Due {
            state.flush = Flush::Begun;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if state.is_flushed() {
            return Poll::Pending;
        }
        if let Err(_gone) = ready!(self.poll_write(&mut state, cx)) {
            return Poll::Ready(Event::Gone);
        }
        let drained = state.owes_drained && state.buffer.len() <= self.bytes_max / 2;
        state.owes_drained &= !drained;
        Poll::Ready(Event::Wrote { drained })
    }

    /// Writes until nothing is left.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        while !state.is_flushed() {
            ready!(self.poll_write(&mut state, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes once.
    fn poll_write(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if state.buffer.is_empty() {
            let done = ready!(self.io.poll_flush(cx));
            state.unflushed = false;
            return Poll::Ready(done);
        }
        let Poll::Ready(done) = self.io.poll_write(cx, &state.buffer) else {
            state.flush = Flush::Blocked;
            return Poll::Pending;
        };
        match done {
            Ok(0) => Poll::Ready(Err(state.gone(io::ErrorKind::WriteZero.into()))),
            Err(error) => Poll::Ready(Err(state.gone(error))),
            Ok(n) => {
                self.metrics.flushes.increment(1);
                state.wrote(n, matches!(self.io, Io::Foreign(_)));
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Decides what becomes of a frame; `None` takes it.
    fn refusal(&self, state: &mut State, frame: &Frame) -> Option<Push> {
        let held = state.buffer.len();
        match frame.class {
            _ if state.phase != Phase::Open => Some(Push::Gone),
            Class::Signal if held > self.bytes_max / 2 => {
                self.metrics.signals_dropped.increment(1);
                Some(Push::Taken)
            }
            // An empty outbox takes any frame: else one above the budget would never leave.
            Class::Entry if held > 0 && held + frame.bytes.len() > self.bytes_max => {
                self.metrics.full.increment(1);
                state.owes_drained = true;
                Some(Push::Full)
            }
            Class::Answer if held >= 2 * self.bytes_max => {
                self.begin_close(state, CloseCode::Slow, &framing::closing(&CloseCode::Slow.into()));
                Some(Push::Gone)
            }
            _ => None,
        }
    }

    fn put(&self, mut state: MutexGuard<'_, State>, bytes: &[u8]) {
        let now = Instant::now();
        let is_burst = now.duration_since(std::mem::replace(&mut state.pushed_at, now)) < BURST;
        let was_empty = state.buffer.is_empty();
        let mut rest = bytes;
        if was_empty && !is_burst {
            match self.io.try_write(bytes) {
                Ok(n) => rest = &bytes[n..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => drop(state.gone(error)),
            }
        }
        if state.phase == Phase::Gone {
            drop(state);
            self.task.wake();
        } else if rest.is_empty() {
            self.metrics.inline.increment(1);
        } else {
            self.metrics.queued.increment(1);
            state.buffer.extend_from_slice(rest);
            drop(state);
            if was_empty {
                self.task.wake();
            }
        }
    }

    fn begin_close(&self, state: &mut State, code: CloseCode, last_words: &[u8]) {
        if state.phase == Phase::Open {
            state.phase = Phase::Closing(code);
            state.buffer.extend_from_slice(last_words);
            self.task.wake();
        }
    }
}

impl Outbox for SocketOutbox {
    fn push(&self, frame: &Frame) -> Push {
        let mut state = self.state.lock();
        if let Some(refusal) = self.refusal(&mut state, frame) {
            return refusal;
        }
        self.put(state, &frame.bytes);
        Push::Taken
    }

    fn close(&self, why: Close) {
        self.close_with(why.code, &framing::closing(&why));
    }
}

impl State {
    fn is_flushed(&self) -> bool {
        self.buffer.is_empty() && !self.unflushed
    }

    fn wrote(&mut self, n: usize, unflushed: bool) {
        self.buffer.advance(n);
        self.unflushed = unflushed;
        if self.flush == Flush::Blocked {
            self.drained_at = Instant::now();
        }
        if self.buffer.is_empty() {
            (self.buffer, self.flush) = (BytesMut::new(), Flush::Due);
        }
    }

    fn gone(&mut self, error: io::Error) -> io::Error {
        self.phase = Phase::Gone;
        self.buffer = BytesMut::new();
        error
    }
}

#[cfg(test)]
pub(super) mod schedules;
#[cfg(test)]
mod tests;
