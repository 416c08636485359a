//! One connection's way to its client: an outbox with a small budget, read as fast as the client reads.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use chat_core::{Class, Close, Encoding, Frame, Outbox, Push, ServerFrame, protocol};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Is the connection as both sides see it.
pub struct Line {
    state: Mutex<State>,
    changed: Notify,
    /// Entries that wait at most.
    budget: usize,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Frame>,
    refused: bool,
    closed: Option<Close>,
    cut: bool,
}

/// Is what a client hears on its line.
pub enum Heard {
    /// A frame, and whether the outbox, which was full, has room again.
    Frame(Frame, bool),
    Closed(Close),
    Cut,
}

impl Line {
    pub fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Notify::new(), budget })
    }

    /// Breaks the connection: what was not read is gone.
    pub fn cut(&self) {
        self.state.lock().cut = true;
        self.changed.notify_one();
    }

    pub fn is_cut(&self) -> bool {
        self.state.lock().cut
    }

    /// Returns the next thing heard. Cancel-safe.
    pub async fn next(&self) -> Heard {
        loop {
            if let Some(heard) = self.take() {
                return heard;
            }
            self.changed.notified().await;
        }
    }

    fn take(&self) -> Option<Heard> {
        let mut state = self.state.lock();
        if state.cut {
            return Some(Heard::Cut);
        }
        let Some(frame) = state.frames.pop_front() else { return state.closed.map(Heard::Closed) };
        let has_room = state.refused && state.frames.len() <= self.budget / 2;
        state.refused &= !has_room;
        Some(Heard::Frame(frame, has_room))
    }
}

impl Outbox for Line {
    fn push(&self, frame: &Frame) -> Push {
        let mut state = self.state.lock();
        let waiting = state.frames.len();
        match frame.class {
            _ if state.cut || state.closed.is_some() => return Push::Gone,
            Class::Entry if waiting >= self.budget => {
                state.refused = true;
                return Push::Full;
            }
            Class::Signal if waiting >= self.budget / 2 => return Push::Taken,
            _ => state.frames.push_back(frame.clone()),
        }
        drop(state);
        self.changed.notify_one();
        Push::Taken
    }

    fn close(&self, why: Close) {
        self.state.lock().closed.get_or_insert(why);
        self.changed.notify_one();
    }
}

/// Encodes what clients of the simulation read as JSON; entries they take as they are.
pub struct Json;

impl Encoding for Json {
    fn encode(&self, frame: &ServerFrame<'_>) -> Bytes {
        match frame {
            ServerFrame::Entry(_) => Bytes::new(),
            other => protocol::encode(other).into(),
        }
    }
}
