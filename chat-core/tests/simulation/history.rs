//! What happened in a run, in order: what is checked, and what is shown when the check fails.

use std::{fmt::Write, time::Duration};

use chat_core::{Entry, EntryId, Key, RoomId, Seq, UserId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Is one thing that happened, as the store, a client or the fault driver saw it.
#[derive(Clone, Debug)]
pub enum What {
    /// The store has stored an entry.
    Commit(Entry),
    /// A client sends a draft for the first time.
    Send {
        client: usize,
        room: RoomId,
        key: Key,
        body: String,
    },
    /// A draft was acknowledged.
    Ack {
        client: usize,
        room: RoomId,
        key: Key,
        seq: Seq,
        id: EntryId,
    },
    /// A draft was refused for good.
    Nack {
        client: usize,
        room: RoomId,
        key: Key,
        code: String,
    },
    /// A draft or another request was refused for now.
    Retry {
        client: usize,
        code: String,
    },
    /// A client has connected to a node.
    Connect {
        client: usize,
        node: usize,
    },
    /// A connection has ended.
    End {
        client: usize,
        why: String,
    },
    Followed {
        client: usize,
        room: RoomId,
        seq: Seq,
    },
    Recv {
        client: usize,
        room: RoomId,
        seq: Seq,
        id: EntryId,
        key: Key,
    },
    Gap {
        client: usize,
        room: RoomId,
        from: Seq,
        to: Seq,
        why: String,
    },
    Reset {
        client: usize,
        room: RoomId,
    },
    Unfollowed {
        client: usize,
        room: RoomId,
        why: String,
        for_now: bool,
    },
    Signal {
        client: usize,
        what: String,
    },
    /// Something that no promise allows, seen on the spot.
    Wrong(String),
    /// What the fault driver did.
    Fault(String),
    /// Everything up to this position may be forgotten from now on.
    Trim {
        room: RoomId,
        through: Seq,
    },
}

#[derive(Clone, Debug)]
pub struct Event {
    pub at: Duration,
    pub what: What,
}

/// Gathers the events of one run.
pub struct History {
    began: Instant,
    events: Mutex<Vec<Event>>,
}

impl History {
    pub fn begin() -> Self {
        Self { began: Instant::now(), events: Mutex::default() }
    }

    pub fn note(&self, what: What) {
        self.events.lock().push(Event { at: self.began.elapsed(), what });
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }
}

/// Is one client or node in a trace.
pub fn name(user: &UserId, client: usize) -> String {
    format!("{user}#{client}")
}

/// Writes events as lines.
pub fn trace(events: &[Event]) -> String {
    let mut text = String::new();
    for Event { at, what } in events {
        let _ = writeln!(text, "{:>9.3} {what:?}", at.as_secs_f64());
    }
    text
}
