//! What happened in a run, in order: what is checked, and what is shown when the check fails.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use chat_core::{Entry, EntryId, Key, RoomId, Seq};
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
        about: String,
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

/// Writes events as lines. Rooms, keys and ids are shortened, which leaves them distinct enough for one run.
pub fn trace(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        let _ = writeln!(text, "{event}");
    }
    text
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} {}", self.at.as_secs_f64(), self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(Entry { room, seq, id, key, author, body, .. }) => {
                let (room, id, key) = (short(room), short(id), short(key));
                write!(f, "commit {room} {seq} id {id} key {key} of {author}: {}", body.encode())
            }
            Self::Send { client, room, key, body } => {
                write!(f, "c{client} sends {} key {}: {body}", short(room), short(key))
            }
            Self::Ack { client, room, key, seq, id } => {
                write!(f, "c{client} ack {} {seq} id {} key {}", short(room), short(id), short(key))
            }
            Self::Nack { client, room, key, code } => {
                write!(f, "c{client} nack {} key {}: {code}", short(room), short(key))
            }
            Self::Retry { client, about, code } => write!(f, "c{client} retry {about}: {code}"),
            Self::Connect { client, node } => write!(f, "c{client} connects to {node}"),
            Self::End { client, why } => write!(f, "c{client} ends: {why}"),
            Self::Followed { client, room, seq } => write!(f, "c{client} followed {} {seq}", short(room)),
            Self::Recv { client, room, seq, id, key } => {
                write!(f, "c{client} recv {} {seq} id {} key {}", short(room), short(id), short(key))
            }
            Self::Gap { client, room, from, to, why } => {
                write!(f, "c{client} gap {} {from} to {to}: {why}", short(room))
            }
            Self::Reset { client, room } => write!(f, "c{client} reset {}", short(room)),
            Self::Unfollowed { client, room, why, .. } => write!(f, "c{client} unfollowed {}: {why}", short(room)),
            Self::Signal { client, what } => write!(f, "c{client} {what}"),
            Self::Wrong(what) => write!(f, "wrong: {what}"),
            Self::Fault(what) => write!(f, "-- {what}"),
            Self::Trim { room, through } => write!(f, "-- trim {} through {through}", short(room)),
        }
    }
}

/// Returns the end of an id, which is random in all of them.
pub fn short(id: &impl ToString) -> String {
    let id = id.to_string();
    id[id.len() - 4..].to_owned()
}
