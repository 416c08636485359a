//! What happened, as the clients saw it: one JSON object a line.
//!
//! Histories are written by clients and by whoever breaks things, never by the servers that are judged. The order of
//! the lines is the order of what happened: `send` is written before the draft is handed over, `ack` and `recv` after
//! they have come. So if the line of an `ack` stands before the line of a `send`, the one was answered before the
//! other began. `t` is in microseconds since the recording began, by a clock that never steps.
//!
//! A short history, which keeps all promises:
//!
//! ```text
//! {"t":10,"event":"member","room":"tea","user":"ann","change":"+","seq":1}
//! {"t":11,"event":"send","c":"a1","user":"ann","room":"tea","key":"k1","hash":"h1"}
//! {"t":12,"event":"ack","c":"a1","room":"tea","key":"k1","seq":1,"id":"e1"}
//! {"t":20,"event":"sub","c":"a1","user":"ann","room":"tea","from":1}
//! {"t":30,"event":"send","c":"a1","user":"ann","room":"tea","key":"k2","hash":"h2"}
//! {"t":40,"event":"recv","c":"a1","user":"ann","room":"tea","seq":2,"id":"e2","key":"k2","hash":"h2","how":"live"}
//! {"t":41,"event":"ack","c":"a1","room":"tea","key":"k2","seq":2,"id":"e2"}
//! {"t":99,"event":"final","room":"tea","trimmed":0,"rows":[{"seq":1,"id":"e1","key":"k1","user":"ann","hash":"h1"},{"seq":2,"id":"e2","key":"k2","user":"ann","hash":"h2"}]}
//! ```
//!
//! In it `c` is one stream of a client: it lives through any number of connections, whose names are `link`.

use std::{
    io::{self, BufRead, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

/// Is a name of something: a client, a user, a room, a key, an entry. The checker compares names and reads nothing
/// out of them.
pub type Name = Arc<str>;

/// Is one line of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Microseconds since the recording began.
    pub t: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Is something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A client begins to send a draft, or begins again.
    Send(Sent),
    /// The client is told that the draft is stored, and where.
    Ack(Acked),
    /// The client is told that the draft is certainly not stored.
    Nack(Refused),
    /// The client is told to try again; whether the draft is stored is open.
    Retry(Refused),
    /// The client will never know whether the draft is stored: a cut, a time-out, its own end.
    Info(Unknown),
    /// A client begins to send a slash command, which is not stored, but answered once.
    Command(Asking),
    /// The client is told that the command is taken: an answer will come.
    Accepted(Unknown),
    /// A client receives a room from now on, after `from`.
    Sub(Followed),
    /// A client receives a room no more.
    Unsub(Unfollowed),
    /// An entry reaches the application.
    Recv(Received),
    /// An entry reaches the client over one connection, before the client drops what it has already.
    Wire(OnWire),
    /// The application is told that positions will not come.
    Gap(Missing),
    /// The application is told that its cursor is not of this log.
    Reset(Restarted),
    /// An entry of the log that makes a user a member, or ends that.
    Member(Membership),
    /// A request to send goes to the server over one connection.
    Asked(Asked),
    /// The server answers such a request on that connection.
    Answered(Answered),
    /// The server says why it ends a connection.
    Close(Closed),
    /// A client's connection has reached a server.
    Open(Opened),
    /// A connection ended at the server's side.
    Hangup(HungUp),
    /// Something was broken on purpose, from `start` to `stop`.
    Fault(Fault),
    /// A server that was asked to stop has ended.
    Exit(Ended),
    /// Part of a log, as somebody read it in the middle of it all.
    Read(Part),
    /// A log, as it stands after everything.
    Final(Log),
    /// Something of the server was measured from outside.
    Sample(Sample),
    /// A user who was nowhere is connected.
    Came(Person),
    /// A user is connected nowhere any more, or only to what is dead.
    Went(Person),
    /// A client that watches who is online sees one who is or is not: in a list, or since it is told of a change.
    Seen(Sight),
    /// A client watches nobody any more.
    Unwatch(Watcher),
    /// The login that a client lives by has ended, and whoever ended it was told so.
    Revoked(Revocation),
}

/// Is somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Person {
    pub user: Name,
}

/// Is what a watcher sees of somebody; `listed` if it had asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Sight {
    pub c: Name,
    pub user: Name,
    pub online: bool,
    #[serde(default)]
    pub listed: bool,
}

/// Is the end of a login: the client may receive for `within_ms` longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Revocation {
    pub c: Name,
    pub why: Name,
    pub within_ms: u64,
}

/// Is who watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Watcher {
    pub c: Name,
}

/// Is a draft on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // named and explained by the module's example
pub struct Sent {
    pub c: Name,
    pub user: Name,
    pub room: Name,
    pub key: Name,
    pub hash: Name,
}

/// Is a slash command on its way. Its one answer is stored in the room by `bot` under the key `reply`; it has the hash
/// `notice` if it says that there was no answer in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Asking {
    pub c: Name,
    pub user: Name,
    pub room: Name,
    pub key: Name,
    pub bot: Name,
    pub reply: Name,
    pub notice: Name,
}

/// Is the good answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Acked {
    pub c: Name,
    pub room: Name,
    pub key: Name,
    pub seq: u64,
    pub id: Name,
}

/// Is a bad answer; `code` is its name in the protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Refused {
    pub c: Name,
    pub room: Name,
    pub key: Name,
    pub code: Name,
}

/// Is no answer, or one that says no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Unknown {
    pub c: Name,
    pub room: Name,
    pub key: Name,
}

/// Says that entries come, the first one at `from` + 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Followed {
    pub c: Name,
    pub user: Name,
    pub room: Name,
    pub from: u64,
}

/// Says that entries come no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Unfollowed {
    pub c: Name,
    pub room: Name,
    pub why: Name,
}

/// Is an entry that came; `user` is who receives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Received {
    pub c: Name,
    pub user: Name,
    pub room: Name,
    pub seq: u64,
    pub id: Name,
    pub key: Name,
    pub hash: Name,
    pub how: How,
}

/// Says whether an entry was new or missed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Stored while the client was connected.
    Live,
    /// Stored before it came back.
    Replay,
}

/// Is an entry on a wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct OnWire {
    pub c: Name,
    pub link: u64,
    pub room: Name,
    pub seq: u64,
    pub id: Name,
}

/// Says that the positions from `a` to `b` will not come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Missing {
    pub c: Name,
    pub room: Name,
    pub a: u64,
    pub b: u64,
    pub reason: Name,
}

/// Says that the client begins anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Restarted {
    pub c: Name,
    pub room: Name,
}

/// Says who may receive from which position, or no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Membership {
    pub room: Name,
    pub user: Name,
    pub change: Change,
    pub seq: u64,
}

/// Is the sign of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A member from this entry on, which they receive.
    #[serde(rename = "+")]
    In,
    /// No member from this entry on, which they do not receive.
    #[serde(rename = "-")]
    Out,
}

/// Is a request on one connection; `r` is its `ref`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Asked {
    pub c: Name,
    pub link: u64,
    pub r: u64,
    pub room: Name,
    pub key: Name,
}

/// Is the answer to it; with `seq` and `id` if it is an `ack`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Answered {
    pub c: Name,
    pub link: u64,
    pub r: u64,
    pub code: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<(u64, Name)>,
}

/// Is a server's goodbye; `retry_after` in ms, if it says when to come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Closed {
    pub c: Name,
    pub link: u64,
    pub code: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// Is the beginning of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Opened {
    pub c: Name,
    pub link: u64,
}

/// Is the end of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HungUp {
    pub c: Name,
    pub link: u64,
}

/// Is what was broken, and when, in microseconds like `t`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Fault {
    pub kind: Name,
    pub target: Name,
    pub start: u64,
    pub stop: u64,
}

/// Is one measurement; which there are: [`Isolation`](crate::figures::Isolation).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Sample {
    pub what: Name,
    pub value: u64,
}

/// Is how a server stopped; `status` is absent if a signal ended it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Ended {
    pub target: Name,
    pub status: Option<i32>,
    pub took_ms: u64,
    pub grace_ms: u64,
}

/// Is what was read after a position: `(seq, id)` each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Part {
    pub room: Name,
    pub after: u64,
    pub rows: Vec<(u64, Name)>,
}

/// Is a whole log, as far as it is kept: up to `trimmed` it is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Log {
    pub room: Name,
    #[serde(default)]
    pub trimmed: u64,
    pub rows: Vec<Row>,
}

/// Is one entry of it; `user` is who wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Row {
    pub seq: u64,
    pub id: Name,
    pub key: Name,
    pub user: Name,
    pub hash: Name,
}

/// Says why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line is not a record.
    #[error("line {line}: {source}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Reads a history.
///
/// # Errors
/// If it cannot be read, or a line of it is not a [`Record`].
pub fn read(from: impl BufRead) -> Result<Vec<Record>, Unreadable> {
    let lines = from.lines().enumerate();
    lines
        .map(|(at, line)| serde_json::from_str(&line?).map_err(|source| Unreadable::Line { line: at + 1, source }))
        .collect()
}

/// Writes one line.
///
/// # Errors
/// If the writer has one.
pub fn write(to: &mut impl Write, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *to, record)?;
    to.write_all(b"\n")
}
