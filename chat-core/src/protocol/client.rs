//! What clients ask.

use std::{borrow::Cow, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    Code, HubError, Outgoing,
    parts::{self, Object, missing, too_deep},
};
use crate::model::{Cursor, Draft, Key, Page, RoomId, RoomSpec, Seq, UserId};

/// Is what a client asks.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// Begin: authenticate if the transport has not, and resume from these cursors.
    Hello {
        /// The host's token, where the connection itself is not authenticated.
        token: Option<String>,
        /// Where to go on.
        cursors: Vec<Cursor>,
    },
    /// Prolong the authentication.
    Refresh {
        /// A new token of the same user.
        token: String,
    },
    /// Create a room.
    Create {
        /// The key.
        key: Key,
        /// The room.
        spec: RoomSpec,
    },
    /// List rooms.
    Rooms {
        /// Which.
        which: Which,
        /// Which part.
        page: Page,
    },
    /// List members; their presence is watched from then on.
    Members {
        /// Of this room.
        room: RoomId,
        /// Which part.
        page: Page,
    },
    /// Read messages.
    History {
        /// Of this room.
        room: RoomId,
        /// Which part.
        page: Page,
    },
    /// Receive a room.
    Follow {
        /// The room.
        room: RoomId,
        /// After this; without it, from now on.
        cursor: Option<Cursor>,
    },
    /// Receive a room no more.
    Unfollow {
        /// The room.
        room: RoomId,
    },
    /// Post.
    Send {
        /// Where.
        target: Target,
        /// What.
        draft: Draft,
    },
    /// Send something that is never stored.
    Signal {
        /// Where.
        room: RoomId,
        /// What.
        signal: Outgoing,
    },
}

impl Request {
    /// Returns the key of what would be stored.
    pub(crate) fn key(&self) -> Option<Key> {
        match self {
            Self::Create { key, .. } => Some(*key),
            Self::Send { draft, .. } => Some(draft.key),
            _ => None,
        }
    }
}

/// Says where a draft goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To this room.
    Room(RoomId),
    /// To the private room with this user, which the first message creates if the host lets it.
    User(UserId),
}

/// Says which rooms to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The user's own.
    #[default]
    Mine,
    /// All public ones.
    Public,
}

/// Is what cannot be read, with what is needed to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The request's `ref`, if that much could be read.
    pub reference: Option<u64>,
    /// What is wrong.
    pub error: HubError,
}

/// All fields any request has: read in one pass, and a field given twice is an error.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "ref")]
    reference: Option<u64>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    room: Option<RoomId>,
    to: Option<UserId>,
    token: Option<String>,
    cursors: Option<Vec<Object<Cursor>>>,
    cursor: Option<Object<At>>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "spec")]
    spec: Option<RawSpec<'a>>,
    which: Option<Which>,
    before: Option<u64>,
    after: Option<u64>,
    after_user: Option<UserId>,
    limit: Option<u16>,
    #[serde(borrow, default, rename = "signal")]
    signal: Option<Cow<'a, str>>,
    on: Option<bool>,
    seq: Option<Seq>,
    data: Option<Value>,
}

/// A cursor inside a frame that names the room already.
#[derive(Deserialize)]
struct At {
    seq: Seq,
    id: Option<crate::model::EntryId>,
}

/// Kept apart so that its error can be told from the frame's.
type RawSpec<'a> = &'a RawValue;

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    reference: Option<u64>,
}

/// Reads one frame. Returns the request's `ref` with it.
pub fn decode(bytes: &[u8]) -> Result<(Option<u64>, Request), DecodeError> {
    let invalid = |text: &'static str| DecodeError { reference: None, error: HubError::new(Code::Invalid, text) };
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("a frame is UTF-8"))?;
    if too_deep(bytes) {
        return Err(invalid("a frame is nested at most 32 deep"));
    }
    if !text.trim_start().starts_with('{') {
        return Err(invalid("a frame is one JSON object"));
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| {
        // The `ref` is read on its own, so that even a frame with a wrong field elsewhere is answered under it.
        let reference = serde_json::from_str::<Reference>(text).ok().and_then(|found| found.reference);
        DecodeError { reference, error: field_error(&error) }
    })?;
    let reference = fields.reference;
    fields.into_request().map(|request| (reference, request)).map_err(|error| DecodeError { reference, error })
}

/// Says what is wrong in words of ours: the parser's own would repeat the input.
fn field_error(error: &serde_json::Error) -> HubError {
    HubError::new(
        Code::Invalid,
        if error.is_data() {
            "a field is missing, given twice or of the wrong type"
        } else {
            "a frame is one JSON object"
        },
    )
}

impl Fields<'_> {
    fn into_request(self) -> Result<Request, HubError> {
        let page = self.page()?;
        Ok(match &*self.kind {
            "hello" => {
                let cursors = self.cursors.unwrap_or_default();
                Request::Hello {
                    token: self.token,
                    cursors: cursors.into_iter().map(|Object(cursor)| cursor).collect(),
                }
            }
            "refresh" => Request::Refresh { token: self.token.ok_or_else(|| missing("`token`"))? },
            "create" => Request::Create { key: self.key()?, spec: parts::read_spec(self.spec)? },
            "rooms" => Request::Rooms { which: self.which.unwrap_or_default(), page },
            "members" => Request::Members { room: self.room()?, page },
            "history" => Request::History { room: self.room()?, page },
            "follow" => {
                let room = self.room()?;
                Request::Follow { room, cursor: self.cursor.map(|Object(at)| Cursor::new(room, at.seq, at.id)) }
            }
            "unfollow" => Request::Unfollow { room: self.room()? },
            "send" => Request::Send {
                target: self.target()?,
                draft: Draft { key: self.key()?, body: parts::read_body(self.body)? },
            },
            "signal" => Request::Signal { room: self.room()?, signal: self.outgoing()? },
            _ => return Err(Code::UnknownType.into()),
        })
    }

    fn room(&self) -> Result<RoomId, HubError> {
        self.room.ok_or_else(|| missing("`room`"))
    }

    fn target(&self) -> Result<Target, HubError> {
        match (&self.room, &self.to) {
            (Some(room), None) => Ok(Target::Room(*room)),
            (None, Some(user)) => Ok(Target::User(user.clone())),
            _ => Err(missing("either `room` or `to`")),
        }
    }

    fn key(&self) -> Result<Key, HubError> {
        parts::read_key(self.key.as_deref())
    }

    fn page(&self) -> Result<Page, HubError> {
        parts::read_page(self.before, self.after, self.after_user.clone(), self.limit)
    }

    fn outgoing(self) -> Result<Outgoing, HubError> {
        let kind = self.signal.ok_or_else(|| missing("`signal`"))?;
        Ok(match &*kind {
            "typing" => Outgoing::Typing(self.on.unwrap_or(true)),
            "read" => Outgoing::Read(self.seq.ok_or_else(|| missing("`seq`"))?),
            kind if kind.contains('.') && kind.len() <= 64 => {
                Outgoing::Custom { kind: kind.to_owned(), data: self.data.unwrap_or_default() }
            }
            _ => return Err(HubError::new(Code::Invalid, "a signal is typing, read, or a kind with a dot in it")),
        })
    }
}

/// Checks what the host may name: kept here so that every way in uses the same words.
pub(crate) fn check_room_name(name: &Arc<str>) -> Result<(), HubError> {
    crate::model::check_name(name).map_err(|why| HubError::new(Code::InvalidBody, format!("the name of a room {why}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ROOM: &str = "11111111-1111-8111-8111-111111111111";
    const KEY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn error(frame: &str) -> (Option<u64>, Code) {
        let error = decode(frame.as_bytes()).unwrap_err();
        (error.reference, error.error.code)
    }

    #[test]
    fn a_send_is_read_with_type_anywhere() {
        let frame =
            format!(r#"{{"ref":7,"room":"{ROOM}","key":"{KEY}","body":{{"text":"hi","kind":"text"}},"type":"send"}}"#);
        let (reference, request) = decode(frame.as_bytes()).unwrap();
        assert_eq!(reference, Some(7));
        let draft = Draft { key: KEY.parse().unwrap(), body: crate::model::Body::Text(crate::model::Text::new("hi")) };
        assert_eq!(request, Request::Send { target: Target::Room(ROOM.parse().unwrap()), draft });
    }

    #[test]
    fn what_is_no_frame_is_invalid() {
        for bad in [
            "",
            " ",
            "\u{feff}{}",
            "null",
            "[]",
            "\"x\"",
            "1",
            "{",
            "{} {}",
            r#"{"type":"hello"}x"#,
            "{}",
            r#"{"type":{}}"#,
            r#"{"type":"hello","type":"hello"}"#,
        ] {
            assert_eq!(error(bad).1, Code::Invalid, "{bad}");
        }
        assert_eq!(error(r#"{"type":"dance","ref":3}"#), (Some(3), Code::UnknownType));
    }

    #[test]
    fn nesting_is_bounded_before_parsing() {
        assert_eq!(error(&"[".repeat(100_000)).1, Code::Invalid);
        let deep = |n: usize| format!(r#"{{"type":"dance","x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert_eq!(error(&deep(31)).1, Code::UnknownType);
        assert_eq!(error(&deep(32)).1, Code::Invalid);
        assert_eq!(error(&format!(r#"{{"type":"dance","x":"{}"}}"#, "[".repeat(99))).1, Code::UnknownType);
    }

    #[test]
    fn a_wrong_field_is_answered_under_its_ref() {
        assert_eq!(error(r#"{"type":"history","ref":9,"room":5}"#), (Some(9), Code::Invalid));
        assert_eq!(error(r#"{"type":"history","ref":9}"#), (Some(9), Code::Invalid));
        for number in ["-1", "1.5", "\"5\"", "9007199254740992", "18446744073709551616"] {
            let frame = format!(r#"{{"type":"follow","ref":9,"room":"{ROOM}","cursor":{{"seq":{number}}}}}"#);
            assert_eq!(error(&frame), (Some(9), Code::Invalid), "{number}");
        }
        for limit in ["0", "-1", "1000000000", "201"] {
            let frame = format!(r#"{{"type":"history","ref":9,"room":"{ROOM}","limit":{limit}}}"#);
            assert_eq!(error(&frame), (Some(9), Code::Invalid), "{limit}");
        }
    }

    #[test]
    fn a_key_of_the_wrong_version_has_its_own_code() {
        let frame =
            format!(r#"{{"type":"send","ref":1,"room":"{ROOM}","key":"x","body":{{"kind":"text","text":"a"}}}}"#);
        assert_eq!(error(&frame), (Some(1), Code::InvalidKey));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(decode(br#"{"type":"hello","sender":"root","seq":4,"bot":true}"#).is_ok());
    }
}
