//! What servers say.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use super::{Close, HubError, Signal};
use crate::{
    hub::GapReason,
    model::{Cursor, Entry, EntryId, Identity, Key, Member, RoomId, RoomSummary, Seq, Timestamp},
    protocol::Code,
};

/// Is what a server says in one frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerFrame<'a> {
    /// The answer to `hello` and `refresh`.
    Welcome {
        /// The request.
        reference: Option<u64>,
        /// Who the client is.
        identity: &'a Identity,
        /// What this server can do and what it allows.
        features: &'a Features,
        /// The server's clock, by which clients set the clock of their keys.
        now: Timestamp,
    },
    /// The authentication ends soon; refresh it.
    Expiring {
        /// When it ends.
        at: Timestamp,
    },
    /// The answer to `rooms`.
    Rooms {
        /// The request.
        reference: Option<u64>,
        /// The rooms.
        rooms: &'a [RoomSummary],
    },
    /// The answer to `members`.
    Members {
        /// The request.
        reference: Option<u64>,
        /// The room.
        room: RoomId,
        /// The members, each with whether they are online.
        members: &'a [(Member, bool)],
    },
    /// The answer to `history`.
    History {
        /// The request.
        reference: Option<u64>,
        /// The room.
        room: RoomId,
        /// The messages, oldest first.
        entries: &'a [Entry],
    },
    /// Entries of the room come from now on, after the cursor.
    Followed {
        /// The request; `None` when the server began by itself.
        reference: Option<u64>,
        /// The place after which entries come.
        cursor: Cursor,
    },
    /// Entries of the room come no more.
    Unfollowed {
        /// The request; `None` when the server ended it by itself.
        reference: Option<u64>,
        /// The room.
        room: RoomId,
        /// Why.
        why: Code,
    },
    /// A draft is in the log.
    Ack {
        /// The request.
        reference: Option<u64>,
        /// The draft's key.
        key: Key,
        /// The room; for a first private message, or a creation, the client learns it here.
        room: RoomId,
        /// The position.
        seq: Seq,
        /// The id.
        id: EntryId,
    },
    /// A command was taken; it is not stored.
    Accepted {
        /// The request.
        reference: Option<u64>,
        /// The draft's key.
        key: Key,
    },
    /// An entry, in order.
    Entry(&'a Entry),
    /// Something that is never stored.
    Signal(&'a Signal),
    /// These positions will not come.
    Gap {
        /// The room.
        room: RoomId,
        /// The first missing position.
        from: Seq,
        /// The last missing position.
        to: Seq,
        /// Why.
        why: GapReason,
    },
    /// The cursor is not of this log; what follows begins anew.
    Reset {
        /// The room.
        room: RoomId,
    },
    /// A request was not done.
    Error {
        /// The request.
        reference: Option<u64>,
        /// The draft's key, for a send.
        key: Option<Key>,
        /// Why.
        error: &'a HubError,
    },
    /// The connection ends; the last frame.
    Close(&'a Close),
}

/// Is what `welcome` tells about a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Features {
    /// The names of what this server can do beyond the first version.
    pub features: Vec<&'static str>,
    /// The slash commands, with a line of help each.
    pub commands: Vec<(String, String)>,
    /// The largest frame a client may send, in bytes.
    pub frame_bytes_max: usize,
    /// The longest text, in characters.
    pub text_chars_max: usize,
    /// The most rooms one session follows.
    pub rooms_max: usize,
}

impl Features {
    /// Makes a list with the given limits and nothing else.
    pub fn new(frame_bytes_max: usize, text_chars_max: usize, rooms_max: usize) -> Self {
        Self { features: Vec::new(), commands: Vec::new(), frame_bytes_max, text_chars_max, rooms_max }
    }
}

/// Writes a frame as JSON text.
pub fn encode(frame: &ServerFrame<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    // Cannot fail: all map keys are texts and the writer is memory.
    let _ = serde_json::to_writer(&mut out, frame);
    out
}

/// Returns what the wire says of a room in a list; also used by REST.
pub fn summary_json(summary: &RoomSummary) -> Value {
    let mut map = match to_json(&summary.room) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    map.remove("id"); // on the wire `id` is always an entry's
    map.insert("room".into(), to_json(&summary.room.id));
    if let Some(member) = &summary.member {
        map.insert("role".into(), to_json(&member.role));
        map.insert("since".into(), to_json(&member.since));
    }
    if let Some(with) = &summary.with {
        map.insert("with".into(), to_json(with));
    }
    map.insert("head".into(), to_json(&summary.head));
    map.insert("read".into(), to_json(&summary.read));
    map.insert("unread".into(), summary.unread.into());
    map.insert("active".into(), to_json(&summary.active));
    if let Some(last) = &summary.last {
        map.insert("last".into(), to_json(last));
    }
    Value::Object(map)
}

/// Turns a plain value of ours into JSON; cannot fail for those.
pub fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

impl Serialize for ServerFrame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Self::Signal(signal) = self {
            return signal.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.name())?;
        if let Some(reference) = self.reference() {
            map.serialize_entry("ref", &reference)?;
        }
        self.fields(&mut map)?;
        map.end()
    }
}

impl ServerFrame<'_> {
    /// Returns the frame's `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::Expiring { .. } => "expiring",
            Self::Rooms { .. } => "rooms",
            Self::Members { .. } => "members",
            Self::History { .. } => "history",
            Self::Followed { .. } => "followed",
            Self::Unfollowed { .. } => "unfollowed",
            Self::Ack { .. } => "ack",
            Self::Accepted { .. } => "accepted",
            Self::Entry(_) => "entry",
            Self::Signal(_) => "signal",
            Self::Gap { .. } => "gap",
            Self::Reset { .. } => "reset",
            Self::Error { .. } => "error",
            Self::Close(_) => "close",
        }
    }

    fn reference(&self) -> Option<u64> {
        match self {
            Self::Welcome { reference, .. }
            | Self::Rooms { reference, .. }
            | Self::Members { reference, .. }
            | Self::History { reference, .. }
            | Self::Followed { reference, .. }
            | Self::Unfollowed { reference, .. }
            | Self::Ack { reference, .. }
            | Self::Accepted { reference, .. }
            | Self::Error { reference, .. } => *reference,
            _ => None,
        }
    }

    fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Welcome { identity, features, now, .. } => {
                map.serialize_entry("protocol", super::NAME)?;
                map.serialize_entry("user", &identity.user)?;
                map.serialize_entry("name", &identity.name)?;
                map.serialize_entry("now", now)?;
                map.serialize_entry("features", &features.features)?;
                let commands: Vec<_> = features.commands.iter().map(CommandHelp::of).collect();
                map.serialize_entry("commands", &commands)?;
                map.serialize_entry("limits", &LimitsJson(features))
            }
            Self::Expiring { at } => map.serialize_entry("at", at),
            Self::Rooms { rooms, .. } => {
                map.serialize_entry("rooms", &rooms.iter().map(summary_json).collect::<Vec<_>>())
            }
            Self::Members { room, members, .. } => {
                map.serialize_entry("room", room)?;
                let members: Vec<_> =
                    members.iter().map(|(member, online)| MemberJson { member, online: *online }).collect();
                map.serialize_entry("members", &members)
            }
            Self::History { room, entries, .. } => {
                map.serialize_entry("room", room)?;
                map.serialize_entry("entries", entries)
            }
            Self::Followed { cursor, .. } => {
                map.serialize_entry("room", &cursor.room)?;
                map.serialize_entry("seq", &cursor.seq)?;
                cursor.id.map_or(Ok(()), |id| map.serialize_entry("id", &id))
            }
            Self::Unfollowed { room, why, .. } => {
                map.serialize_entry("room", room)?;
                map.serialize_entry("why", why)
            }
            Self::Ack { key, room, seq, id, .. } => {
                map.serialize_entry("key", key)?;
                map.serialize_entry("room", room)?;
                map.serialize_entry("seq", seq)?;
                map.serialize_entry("id", id)
            }
            Self::Accepted { key, .. } => map.serialize_entry("key", key),
            Self::Entry(entry) => entry_fields(map, entry),
            Self::Signal(_) => Ok(()),
            Self::Gap { room, from, to, why } => {
                map.serialize_entry("room", room)?;
                map.serialize_entry("from", from)?;
                map.serialize_entry("to", to)?;
                map.serialize_entry("why", why)
            }
            Self::Reset { room } => map.serialize_entry("room", room),
            Self::Error { key, error, .. } => error_fields(map, *key, error),
            Self::Close(close) => {
                map.serialize_entry("code", &(close.code as u16))?;
                map.serialize_entry("reason", close.code.reason())?;
                map.serialize_entry("reconnect", &close.code.reconnect())?;
                wait(map, close.retry_after)
            }
        }
    }
}

fn entry_fields<M: SerializeMap>(map: &mut M, entry: &Entry) -> Result<(), M::Error> {
    map.serialize_entry("room", &entry.room)?;
    map.serialize_entry("seq", &entry.seq)?;
    map.serialize_entry("id", &entry.id)?;
    map.serialize_entry("key", &entry.key)?;
    map.serialize_entry("author", &entry.author)?;
    map.serialize_entry("name", &entry.name)?;
    map.serialize_entry("body", &entry.body)?;
    map.serialize_entry("at", &entry.at)?;
    map.serialize_entry("sent_at", &entry.sent_at)?;
    entry.folded.as_ref().map_or(Ok(()), |folded| map.serialize_entry("folded", folded))
}

fn error_fields<M: SerializeMap>(map: &mut M, key: Option<Key>, error: &HubError) -> Result<(), M::Error> {
    if let Some(key) = key {
        map.serialize_entry("key", &key)?;
    }
    map.serialize_entry("code", &error.code.number())?;
    map.serialize_entry("name", error.code.name())?;
    map.serialize_entry("message", &error.message)?;
    map.serialize_entry("retryable", &error.code.is_retryable())?;
    wait(map, error.retry_after)
}

fn wait<M: SerializeMap>(map: &mut M, wait: Option<std::time::Duration>) -> Result<(), M::Error> {
    wait.map_or(Ok(()), |wait| {
        map.serialize_entry("retry_after_ms", &u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    })
}

#[derive(Serialize)]
struct CommandHelp<'a> {
    name: &'a str,
    help: &'a str,
}

impl<'a> CommandHelp<'a> {
    fn of((name, help): &'a (String, String)) -> Self {
        Self { name, help }
    }
}

#[derive(Serialize)]
struct MemberJson<'a> {
    #[serde(flatten)]
    member: &'a Member,
    online: bool,
}

struct LimitsJson<'a>(&'a Features);

impl Serialize for LimitsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("frame_bytes", &self.0.frame_bytes_max)?;
        map.serialize_entry("text_chars", &self.0.text_chars_max)?;
        map.serialize_entry("rooms", &self.0.rooms_max)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::{Body, Draft, NewEntry, Text, UserId};

    #[test]
    fn an_entry_is_written_type_first() {
        let user = UserId::new("ann").unwrap();
        let key = Key::new(1_700_000_000_000, [1; 10]);
        let draft = Draft { key, body: Body::Text(Text::new("hi")) };
        let id = EntryId::new(1_700_000_000_000, [2; 10]);
        let entry = NewEntry::new(id, draft, user, "Ann".into(), Timestamp(5)).at(RoomId::named("r"), Seq::FIRST);
        let text = String::from_utf8(encode(&ServerFrame::Entry(&entry))).unwrap();
        assert!(text.starts_with(r#"{"type":"entry","room":""#), "{text}");
        assert!(
            text.contains(r#""seq":1,"#) && text.ends_with(r#""body":{"kind":"text","text":"hi"},"at":5,"sent_at":5}"#)
        );
    }

    #[test]
    fn an_error_carries_number_name_and_whether_to_retry() {
        let error = HubError::from(Code::RateLimited).after(std::time::Duration::from_millis(250));
        let text =
            String::from_utf8(encode(&ServerFrame::Error { reference: Some(4), key: None, error: &error })).unwrap();
        assert_eq!(
            text,
            r#"{"type":"error","ref":4,"code":1102,"name":"rate_limited","message":"too fast, please wait a moment","retryable":true,"retry_after_ms":250}"#
        );
    }
}
