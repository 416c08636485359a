//! Reads what servers say.
//!
//! A frame of a type that is not known here, or that cannot be read, is `None` and passed over: newer servers may
//! say more. An entry is different: even one that cannot be read moves the cursor.

use std::{borrow::Cow, sync::Arc, time::Duration};

use chat_core::{
    Code, Cursor, Entry, EntryId, GapReason, HubError, Key, Member, Role, RoomId, RoomSummary, Seq, Signal, Timestamp,
    UserId, Visibility,
    model::{History, Person, RoomRecord},
    protocol::CloseCode,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Is one frame of a server's.
#[derive(Debug)]
pub(super) struct Frame {
    /// The request it answers.
    pub(super) reference: Option<u64>,
    pub(super) said: Said,
}

/// Is what a server says.
#[derive(Debug)]
pub(super) enum Said {
    Welcome(Welcome),
    Expiring,
    Answer(Answer),
    Followed(Cursor),
    Unfollowed(RoomId, Code),
    Ack {
        key: Key,
        room: RoomId,
        seq: Seq,
        id: EntryId,
    },
    Accepted(Key),
    Entry(Arc<Entry>),
    /// An entry of a shape that is not known here.
    Passed(Cursor),
    Signal(Signal),
    Gap {
        room: RoomId,
        from: Seq,
        to: Seq,
        why: GapReason,
    },
    Reset(RoomId),
    Error(HubError),
    Close(Farewell),
}

/// Is the answer to a question.
#[derive(Debug)]
pub(super) enum Answer {
    Rooms(Vec<RoomSummary>),
    Members(Vec<Member>),
    History(Vec<Entry>),
}

/// Says who the client is and what the server allows.
#[derive(Debug, Deserialize)]
pub(super) struct Welcome {
    pub(super) user: UserId,
    pub(super) name: Arc<str>,
    pub(super) now: Timestamp,
    #[serde(default)]
    pub(super) limits: ServerLimits,
}

/// Is what a client must keep to.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub(super) struct ServerLimits {
    pub(super) frame_bytes: usize,
    pub(super) rooms: usize,
}

impl Default for ServerLimits {
    /// What the protocol says holds until a server has spoken.
    fn default() -> Self {
        Self { frame_bytes: 64 * 1024, rooms: 256 }
    }
}

/// Says how a connection ended, and whether another one is worth trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) reconnect: bool,
    pub(super) retry_after: Duration,
}

impl Farewell {
    /// Judges a WebSocket close code; any that is not known means: connect again.
    pub(super) fn of_code(code: u16, reason: &str) -> Self {
        let known = CloseCode::ALL.iter().find(|known| **known as u16 == code);
        let reconnect = known.is_none_or(|known| known.reconnect());
        Self { code, reason: reason.to_owned(), reconnect, retry_after: Duration::ZERO }
    }
}

/// Reads one frame; `me` is the user whose rooms `rooms` lists.
pub(super) fn read(text: &str, me: Option<(&UserId, &Arc<str>)>) -> Option<Frame> {
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    let said = match &*head.kind {
        "welcome" => Said::Welcome(parse(text)?),
        "expiring" => Said::Expiring,
        "rooms" => Said::Answer(Answer::Rooms(rooms(text, me?)?)),
        "members" => Said::Answer(Answer::Members(parse::<Members>(text)?.members)),
        "history" => Said::Answer(Answer::History(history(text)?)),
        "followed" => Said::Followed(parse::<Cursor>(text)?),
        "unfollowed" => {
            let Unfollowed { room, why } = parse(text)?;
            Said::Unfollowed(room, code(&why, false).unwrap_or(Code::Unfollowed))
        }
        "ack" => {
            let Ack { key, room, seq, id } = parse(text)?;
            Said::Ack { key, room, seq, id }
        }
        "accepted" => Said::Accepted(parse::<Accepted>(text)?.key),
        "entry" => match serde_json::from_str::<Entry>(text) {
            Ok(entry) => Said::Entry(Arc::new(entry)),
            Err(_) => Said::Passed(parse(text)?),
        },
        "signal" => Said::Signal(parse::<AnySignal<'_>>(text)?.into_signal()?),
        "gap" => {
            let Gap { room, from, to, why } = parse(text)?;
            // A reason that is not known here: gone is gone.
            let why = serde_json::from_value(why).unwrap_or(GapReason::Retention);
            Said::Gap { room, from, to, why }
        }
        "reset" => Said::Reset(parse::<Reset>(text)?.room),
        "error" => Said::Error(parse::<Refusal<'_>>(text)?.into_error()),
        "close" => Said::Close(parse::<Close>(text)?.into_farewell()),
        _ => return None,
    };
    Some(Frame { reference: head.reference, said })
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// Returns the code with this name; one that a newer server made counts by its `retryable` alone.
fn code(name: &str, retryable: bool) -> Option<Code> {
    let known = Code::ALL.iter().copied().find(|code| code.name() == name);
    known.or(retryable.then_some(Code::Retry))
}

fn rooms(text: &str, (user, name): (&UserId, &Arc<str>)) -> Option<Vec<RoomSummary>> {
    let rooms = parse::<Rooms<'_>>(text)?.rooms;
    Some(rooms.into_iter().filter_map(|raw| Some(parse::<Summary>(raw.get())?.into_summary(user, name))).collect())
}

/// Reads a page; a message of a shape that is not known here is left out.
fn history(text: &str) -> Option<Vec<Entry>> {
    let entries = parse::<Page<'_>>(text)?.entries;
    Some(entries.into_iter().filter_map(|raw| parse(raw.get())).collect())
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "ref")]
    reference: Option<u64>,
}

#[derive(Deserialize)]
struct Rooms<'a> {
    #[serde(borrow)]
    rooms: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Unfollowed {
    room: RoomId,
    why: String,
}

#[derive(Deserialize)]
struct Ack {
    key: Key,
    room: RoomId,
    seq: Seq,
    id: EntryId,
}

#[derive(Deserialize)]
struct Accepted {
    key: Key,
}

#[derive(Deserialize)]
struct Gap {
    room: RoomId,
    from: Seq,
    to: Seq,
    why: Value,
}

#[derive(Deserialize)]
struct Reset {
    room: RoomId,
}

/// A room as a list shows it. Written out, since `last` cannot be read through a flattened field.
#[derive(Deserialize)]
struct Summary {
    room: RoomId,
    name: Option<Arc<str>>,
    #[serde(default)]
    title: Arc<str>,
    #[serde(default)]
    topic: Arc<str>,
    visibility: Visibility,
    history: History,
    #[serde(default)]
    data: Value,
    created: Timestamp,
    role: Option<Role>,
    since: Option<Seq>,
    with: Option<Person>,
    head: Seq,
    read: Seq,
    unread: u64,
    active: Timestamp,
    last: Option<Entry>,
}

impl Summary {
    fn into_summary(self, user: &UserId, name: &Arc<str>) -> RoomSummary {
        let mut spec = chat_core::RoomSpec::default();
        (spec.name, spec.title, spec.data) = (self.name, self.title, self.data);
        (spec.visibility, spec.history) = (self.visibility, self.history);
        let mut room = RoomRecord::new(self.room, &spec, self.created);
        room.topic = self.topic;
        let since = self.since.unwrap_or(Seq::FIRST);
        let member = self.role.map(|role| Member::new(user.clone(), name.clone(), role, since));
        // The guard is the server's own affair and not told.
        let mut summary = RoomSummary::new(room, member, self.head, Seq::ZERO);
        (summary.with, summary.read, summary.unread) = (self.with, self.read, self.unread);
        (summary.active, summary.last) = (self.active, self.last);
        summary
    }
}

/// All fields any signal has.
#[derive(Deserialize)]
struct AnySignal<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    room: Option<RoomId>,
    user: Option<UserId>,
    name: Option<Arc<str>>,
    on: Option<bool>,
    online: Option<bool>,
    seq: Option<Seq>,
    text: Option<String>,
    #[serde(default)]
    data: Value,
}

impl AnySignal<'_> {
    fn into_signal(self) -> Option<Signal> {
        Some(match &*self.kind {
            "typing" => Signal::Typing { room: self.room?, user: self.user?, name: self.name?, on: self.on? },
            "read" => Signal::Read { room: self.room?, seq: self.seq? },
            "presence" => Signal::Presence { user: self.user?, online: self.online? },
            "whisper" => Signal::Whisper { room: self.room?, user: self.user?, text: self.text? },
            kind if kind.contains('.') => {
                Signal::Custom { room: self.room?, user: self.user?, kind: kind.to_owned(), data: self.data }
            }
            _ => return None,
        })
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    message: String,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

impl Refusal<'_> {
    fn into_error(self) -> HubError {
        let code = code(&self.name, self.retryable).unwrap_or(Code::Invalid);
        let error = HubError::new(code, self.message);
        self.retry_after_ms.map_or(error.clone(), |ms| error.after(Duration::from_millis(ms)))
    }
}

#[derive(Deserialize)]
struct Close {
    code: u16,
    #[serde(default)]
    reason: String,
    reconnect: bool,
    #[serde(default)]
    retry_after_ms: u64,
}

impl Close {
    fn into_farewell(self) -> Farewell {
        let Self { code, reason, reconnect, retry_after_ms } = self;
        Farewell { code, reason, reconnect, retry_after: Duration::from_millis(retry_after_ms) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PAGE: &str = include_str!("../../../docs/protocol.md");
    const ROOM: &str = "33299aa6-6f98-859d-8863-19731fb11c8f";

    fn said(text: &str) -> Option<Said> {
        let (user, name) = (UserId::new("ann").unwrap(), Arc::from("Ann"));
        read(text, Some((&user, &name))).map(|frame| frame.said)
    }

    #[test]
    fn every_frame_on_the_protocol_page_is_read() {
        let blocks = PAGE.split("```json server\n").skip(1).filter_map(|block| block.split("```").next());
        let mut count = 0;
        for frame in blocks.flat_map(str::lines) {
            assert!(said(frame).is_some_and(|said| !matches!(said, Said::Passed(_))), "{frame}");
            count += 1;
        }
        assert!(count > 15, "the page shows every frame");
    }

    #[test]
    fn a_room_of_a_list_is_read_with_its_last_message() {
        let rooms = PAGE.lines().find(|line| line.starts_with(r#"{"type":"rooms","ref":7,"rooms":[{"#)).unwrap();
        let Some(Said::Answer(Answer::Rooms(rooms))) = said(rooms) else { panic!("rooms were expected") };
        let [room] = &rooms[..] else { panic!("one room was expected") };
        assert_eq!((&*room.room.title, room.room.visibility), ("Lunch", Visibility::Public));
        assert_eq!((room.head.get(), room.read.get(), room.unread), (42, 41, 1));
        assert_eq!(room.member.as_ref().unwrap().role, Role::Owner);
        assert_eq!(room.last.as_ref().unwrap().body.text(), Some("hello"));
    }

    #[test]
    fn what_a_newer_server_says_is_passed_over() {
        for frame in ["", "[]", r#"{"type":"news"}"#, r#"{"type":"signal","kind":"wave"}"#, r#"{"type":"ack","ref":1}"#]
        {
            assert!(said(frame).is_none(), "{frame}");
        }
        let entry = format!(r#"{{"type":"entry","room":"{ROOM}","seq":4,"id":"{ROOM}","body":{{"kind":"text"}}}}"#);
        assert!(matches!(said(&entry), Some(Said::Passed(cursor)) if cursor.seq.get() == 4));
        let gap = format!(r#"{{"type":"gap","room":"{ROOM}","from":4,"to":5,"why":"fire"}}"#);
        assert!(matches!(said(&gap), Some(Said::Gap { why: GapReason::Retention, .. })));
    }

    #[test]
    fn a_code_that_is_not_known_counts_by_whether_it_may_pass() {
        let error = |retryable| {
            let frame = format!(
                r#"{{"type":"error","code":1999,"name":"moonlight","message":"m","retryable":{retryable},"retry_after_ms":5}}"#
            );
            let Some(Said::Error(error)) = said(&frame) else { panic!("an error was expected") };
            error
        };
        assert_eq!((error(true).code, error(true).retry_after), (Code::Retry, Some(Duration::from_millis(5))));
        assert!(!error(false).code.is_retryable());
    }

    #[test]
    fn close_codes_say_whether_to_connect_again() {
        for (code, reconnect) in [(1000, false), (1006, true), (1012, true), (4001, false), (4010, true), (4999, true)]
        {
            assert_eq!(Farewell::of_code(code, "").reconnect, reconnect, "{code}");
        }
    }
}
