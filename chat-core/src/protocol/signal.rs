//! What is sent and never stored.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::model::{RoomId, Seq, UserId};

/// Is a signal on its way out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outgoing {
    /// The user begins (`true`) or stops typing. At most one a second is passed on; it expires after 4 s.
    Typing(bool),
    /// The user has read up to this position.
    Read(Seq),
    /// An application's own signal.
    Custom {
        /// Its kind; holds a dot, as in `shop.cursor`.
        kind: String,
        /// Its data, at most 4 KiB as JSON.
        data: Value,
    },
}

/// Is a signal as others receive it. It may be dropped, and the next one says it all anyway.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// Somebody types, or stopped. Forget it after 4 s.
    Typing {
        /// Where.
        room: RoomId,
        /// Who.
        user: UserId,
        /// Their display name.
        name: Arc<str>,
        /// Begins or stops.
        on: bool,
    },
    /// The user, on another device, has read up to this position.
    Read {
        /// Where.
        room: RoomId,
        /// Up to here.
        seq: Seq,
    },
    /// Somebody whose presence this session watches came or went.
    Presence {
        /// Who.
        user: UserId,
        /// Came or went.
        online: bool,
    },
    /// An answer of a command for this user's eyes only.
    Whisper {
        /// Where the command was given.
        room: RoomId,
        /// The bot that answers.
        user: UserId,
        /// The answer.
        text: String,
    },
    /// An application's own signal.
    Custom {
        /// Where.
        room: RoomId,
        /// Who sent it.
        user: UserId,
        /// Its kind.
        kind: String,
        /// Its data.
        data: Value,
    },
}

impl Signal {
    /// Returns the kind, as it stands in JSON.
    pub fn kind(&self) -> &str {
        match self {
            Self::Typing { .. } => "typing",
            Self::Read { .. } => "read",
            Self::Presence { .. } => "presence",
            Self::Whisper { .. } => "whisper",
            Self::Custom { kind, .. } => kind,
        }
    }
}

/// Writes the fields of the `signal` frame, `type` included.
impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "signal")?;
        map.serialize_entry("kind", self.kind())?;
        match self {
            Self::Typing { room, user, name, on } => {
                map.serialize_entry("room", room)?;
                map.serialize_entry("user", user)?;
                map.serialize_entry("name", name)?;
                map.serialize_entry("on", on)?;
            }
            Self::Read { room, seq } => {
                map.serialize_entry("room", room)?;
                map.serialize_entry("seq", seq)?;
            }
            Self::Presence { user, online } => {
                map.serialize_entry("user", user)?;
                map.serialize_entry("online", online)?;
            }
            Self::Whisper { room, user, text } => {
                map.serialize_entry("room", room)?;
                map.serialize_entry("user", user)?;
                map.serialize_entry("text", text)?;
            }
            Self::Custom { room, user, data, .. } => {
                map.serialize_entry("room", room)?;
                map.serialize_entry("user", user)?;
                map.serialize_entry("data", data)?;
            }
        }
        map.end()
    }
}
