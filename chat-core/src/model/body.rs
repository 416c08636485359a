//! What an entry says.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use super::{Role, RoomId, RoomSpec, Seq, UserId};

/// Is the content of one entry.
///
/// On the wire and in stores a body is one JSON object whose `kind` says how to read it:
///
/// ```
/// use chat_core::{Body, Text};
/// let body = Body::Text(Text::new("hello"));
/// assert_eq!(body.encode(), r#"{"kind":"text","text":"hello"}"#);
/// assert_eq!(Body::decode(&body.encode()).unwrap(), body);
/// ```
///
/// Kinds with a dot in their name belong to applications ([`Body::Custom`]) and are stored and delivered untouched.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// `text`: what people write.
    Text(Text),
    /// `edit`: another text for an earlier message.
    Edit(Edit),
    /// `delete`: the message at this position is blanked; its place in the log stays.
    Delete(Seq),
    /// `react`: a reaction to an earlier message, set or taken back.
    React(React),
    /// `member`: someone joined, left or got another role.
    Member(MemberChange),
    /// `room`: the room was created or changed.
    Room(RoomChange),
    /// `inbox`: what concerns one user, in that user's inbox log only.
    Inbox(Notice),
    /// An application's own kind.
    Custom {
        /// The kind; holds a dot, as in `shop.order`.
        kind: String,
        /// What a client shows that does not know the kind.
        text: String,
        /// The application's data.
        data: Value,
    },
    /// A kind that a newer version wrote; kept as it is.
    Unknown(RawBody),
}

/// Is what people write.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Text {
    /// The text itself.
    pub text: String,
    /// The position of the message this answers.
    pub reply_to: Option<Seq>,
    /// The application's data; `Null` when there is none.
    pub data: Value,
}

impl Text {
    /// Makes a plain text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Marks the text as an answer to the message at `seq`.
    #[must_use]
    pub fn reply_to(mut self, seq: Seq) -> Self {
        self.reply_to = Some(seq);
        self
    }
}

/// Gives an earlier message another text.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The message.
    pub target: Seq,
    /// Its new text.
    pub text: String,
}

/// Sets or takes back a reaction.
#[derive(Clone, Debug, PartialEq)]
pub struct React {
    /// The message.
    pub target: Seq,
    /// The reaction, at most 32 bytes.
    pub emoji: String,
    /// Set (`true`) or taken back.
    pub on: bool,
}

/// Changes who is a member.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberChange {
    /// Whom it concerns; the author themselves, or somebody they act on.
    pub user: UserId,
    /// What happens to them.
    pub change: Membership,
}

/// Is what can happen to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership {
    /// Becomes a member; without effect on who already is one.
    Join,
    /// Is a member no more: left, or was removed by another author.
    Leave,
    /// Gets another role.
    Role(Role),
}

/// Creates or changes a room.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RoomChange {
    /// The first entry of every log: the room with its first members. The author is the owner.
    Created(RoomSpec),
    /// Other values for what is set; the rest stays.
    Set {
        /// Another title.
        title: Option<Arc<str>>,
        /// Another topic.
        topic: Option<Arc<str>>,
        /// Other data.
        data: Option<Value>,
    },
}

/// Tells a user's sessions on every node what concerns them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The user became a member of a room.
    Joined(RoomId),
    /// The user is no more a member of a room.
    Left(RoomId),
    /// Authentication was taken back: of one login, or of all.
    Revoked {
        /// The login; `None` means all of them.
        login: Option<Arc<str>>,
    },
}

impl Notice {
    /// Tells whether this takes the authentication of a session of this login back.
    pub fn revokes(&self, login: &str) -> bool {
        matches!(self, Self::Revoked { login: revoked } if revoked.as_deref().is_none_or(|revoked| revoked == login))
    }
}

/// Is a body of a kind this version does not know, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBody(String);

impl RawBody {
    /// Returns the JSON object.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// All fields any kind has, in the order they are written. One flat struct instead of a tagged enum: it is read
/// in one pass without buffering, and a field given twice is an error for every kind.
#[derive(Default, Serialize, Deserialize)]
struct Flat<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    change: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<Seq>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    emoji: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<Cow<'a, RoomSpec>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room: Option<RoomId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, Value>>,
}

impl Body {
    /// Returns the kind, as it stands in JSON.
    pub fn kind(&self) -> Cow<'_, str> {
        match self {
            Self::Text(_) => "text".into(),
            Self::Edit(_) => "edit".into(),
            Self::Delete(_) => "delete".into(),
            Self::React(_) => "react".into(),
            Self::Member(_) => "member".into(),
            Self::Room(_) => "room".into(),
            Self::Inbox(_) => "inbox".into(),
            Self::Custom { kind, .. } => kind.into(),
            Self::Unknown(raw) => serde_json::from_str(&raw.0).map_or("unknown".into(), |Peek { kind }| kind),
        }
    }

    /// Writes the stored encoding: compact JSON with the fields in a fixed order, the same in every version.
    pub fn encode(&self) -> String {
        match self {
            Self::Unknown(raw) => raw.0.clone(),
            known => serde_json::to_string(&known.flat()).unwrap_or_default(), // maps have text keys only: cannot fail
        }
    }

    /// Reads a body. The error says in plain words what is wrong and never repeats the input.
    pub fn decode(json: &str) -> Result<Self, &'static str> {
        let not_a_body = "a body is an object with a text `kind`";
        // A list would do, too, as the fields in their order: an encoding that nobody has promised.
        if !json.trim_ascii_start().starts_with('{') {
            return Err(not_a_body);
        }
        let Peek { kind } = serde_json::from_str(json).map_err(|_| not_a_body)?;
        let known = ["text", "edit", "delete", "react", "member", "room", "inbox"].contains(&&*kind);
        if !known && !kind.contains('.') {
            return Ok(Self::Unknown(RawBody(json.to_owned())));
        }
        let flat: Flat<'_> = serde_json::from_str(json).map_err(|_| "a field of the body has the wrong type")?;
        flat.into_body()
    }

    /// Returns what people read of this body, if it is a message.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(Text { text, .. }) | Self::Custom { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Tells whether this is a message that history shows: a text or an application's own kind.
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Custom { .. })
    }

    /// Tells whether an entry with this body takes a right away from somebody, so that it moves the room's guard.
    ///
    /// Joins do not; every other change of members or of the room counts, whether or not it did in fact.
    pub fn restricts(&self) -> bool {
        match self {
            Self::Member(change) => change.change != Membership::Join,
            Self::Room(RoomChange::Set { .. }) => true,
            _ => false,
        }
    }

    /// Returns the earlier position this body changes.
    pub fn target(&self) -> Option<Seq> {
        match self {
            Self::Edit(edit) => Some(edit.target),
            Self::Delete(target) => Some(*target),
            Self::React(react) => Some(react.target),
            _ => None,
        }
    }

    /// Removes everything that a person wrote: what stores do to a deleted message and to its edits.
    pub fn blank(&mut self) {
        match self {
            Self::Text(text) => *text = Text::default(),
            Self::Edit(edit) => edit.text.clear(),
            Self::Custom { text, data, .. } => (*text, *data) = (String::new(), Value::Null),
            _ => {}
        }
    }

    fn flat(&self) -> Flat<'_> {
        let mut flat = Flat { kind: self.kind(), ..Flat::default() };
        match self {
            Self::Text(text) => {
                flat.text = Some(Cow::Borrowed(text.text.as_str()));
                flat.reply_to = text.reply_to;
                flat.data = present(&text.data);
            }
            Self::Edit(edit) => (flat.target, flat.text) = (Some(edit.target), Some(Cow::Borrowed(edit.text.as_str()))),
            Self::Delete(target) => flat.target = Some(*target),
            Self::React(react) => {
                flat.target = Some(react.target);
                flat.emoji = Some(Cow::Borrowed(react.emoji.as_str()));
                flat.on = Some(react.on);
            }
            Self::Member(member) => {
                flat.user = Some(member.user.clone());
                flat.change = Some(match member.change {
                    Membership::Join => "join".into(),
                    Membership::Leave => "leave".into(),
                    Membership::Role(role) => {
                        flat.role = Some(role);
                        "role".into()
                    }
                });
            }
            Self::Room(RoomChange::Created(spec)) => {
                (flat.change, flat.spec) = (Some("created".into()), Some(Cow::Borrowed(spec)));
            }
            Self::Room(RoomChange::Set { title, topic, data }) => {
                flat.change = Some("set".into());
                (flat.title, flat.topic) = (title.clone(), topic.clone());
                flat.data = data.as_ref().map(Cow::Borrowed);
            }
            Self::Inbox(notice) => {
                flat.change = Some(match notice {
                    Notice::Joined(room) => {
                        flat.room = Some(*room);
                        "joined".into()
                    }
                    Notice::Left(room) => {
                        flat.room = Some(*room);
                        "left".into()
                    }
                    Notice::Revoked { login } => {
                        flat.login.clone_from(login);
                        "revoked".into()
                    }
                });
            }
            Self::Custom { text, data, .. } => {
                (flat.text, flat.data) = (Some(Cow::Borrowed(text.as_str())), present(data));
            }
            Self::Unknown(_) => {}
        }
        flat
    }
}

fn present(data: &Value) -> Option<Cow<'_, Value>> {
    (!data.is_null()).then_some(Cow::Borrowed(data))
}

impl Flat<'_> {
    fn into_body(self) -> Result<Body, &'static str> {
        let text = self.text.map(Cow::into_owned);
        let data = self.data.map(Cow::into_owned);
        let change = self.change.as_deref();
        Ok(match &*self.kind {
            "text" => Body::Text(Text {
                text: text.ok_or("a text needs `text`")?,
                reply_to: self.reply_to,
                data: data.unwrap_or_default(),
            }),
            "edit" => Body::Edit(Edit {
                target: self.target.ok_or("an edit needs `target`")?,
                text: text.ok_or("an edit needs `text`")?,
            }),
            "delete" => Body::Delete(self.target.ok_or("a delete needs `target`")?),
            "react" => Body::React(React {
                target: self.target.ok_or("a reaction needs `target`")?,
                emoji: self.emoji.ok_or("a reaction needs `emoji`")?.into_owned(),
                on: self.on.unwrap_or(true),
            }),
            "member" => Body::Member(MemberChange {
                user: self.user.ok_or("a member change needs `user`")?,
                change: match change {
                    Some("join") => Membership::Join,
                    Some("leave") => Membership::Leave,
                    Some("role") => Membership::Role(self.role.ok_or("a change of role needs `role`")?),
                    _ => return Err("a member `change` is join, leave or role"),
                },
            }),
            "room" => Body::Room(match change {
                Some("created") => RoomChange::Created(self.spec.ok_or("a creation needs `spec`")?.into_owned()),
                Some("set") => RoomChange::Set { title: self.title, topic: self.topic, data },
                _ => return Err("a room `change` is created or set"),
            }),
            "inbox" => Body::Inbox(match change {
                Some("joined") => Notice::Joined(self.room.ok_or("a notice needs `room`")?),
                Some("left") => Notice::Left(self.room.ok_or("a notice needs `room`")?),
                Some("revoked") => Notice::Revoked { login: self.login },
                _ => return Err("an inbox `change` is joined, left or revoked"),
            }),
            kind => {
                Body::Custom { kind: kind.to_owned(), text: text.unwrap_or_default(), data: data.unwrap_or_default() }
            }
        })
    }
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown(raw) => {
                serde_json::from_str::<&RawValue>(&raw.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
            known => known.flat().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Body {
    /// Reads a body inside a larger JSON text (not from other formats).
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::decode(raw.get()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn seq(number: u64) -> Seq {
        Seq::new(number).unwrap()
    }

    #[test]
    fn every_kind_keeps_its_stored_encoding() {
        let user = UserId::new("bob").unwrap();
        let golden = [
            (
                Body::Text(Text { reply_to: Some(seq(3)), data: json!({"a": 1}), ..Text::new("hi") }),
                r#"{"kind":"text","text":"hi","reply_to":3,"data":{"a":1}}"#,
            ),
            (Body::Edit(Edit { target: seq(2), text: "ho".into() }), r#"{"kind":"edit","text":"ho","target":2}"#),
            (Body::Delete(seq(2)), r#"{"kind":"delete","target":2}"#),
            (
                Body::React(React { target: seq(2), emoji: "👍".into(), on: true }),
                r#"{"kind":"react","target":2,"emoji":"👍","on":true}"#,
            ),
            (
                Body::Member(MemberChange { user: user.clone(), change: Membership::Role(Role::Moderator) }),
                r#"{"kind":"member","change":"role","user":"bob","role":"moderator"}"#,
            ),
            (
                Body::Member(MemberChange { user, change: Membership::Leave }),
                r#"{"kind":"member","change":"leave","user":"bob"}"#,
            ),
            (
                Body::Room(RoomChange::Created(RoomSpec::public("general").named("general"))),
                r#"{"kind":"room","change":"created","spec":{"name":"general","title":"general","visibility":"public","history":"all"}}"#,
            ),
            (
                Body::Room(RoomChange::Set { title: None, topic: Some("tea".into()), data: None }),
                r#"{"kind":"room","change":"set","topic":"tea"}"#,
            ),
            (
                Body::Inbox(Notice::Revoked { login: Some("l1".into()) }),
                r#"{"kind":"inbox","change":"revoked","login":"l1"}"#,
            ),
            (
                Body::Custom { kind: "shop.order".into(), text: "an order".into(), data: json!([1]) },
                r#"{"kind":"shop.order","text":"an order","data":[1]}"#,
            ),
        ];
        for (body, encoded) in golden {
            assert_eq!(body.encode(), encoded);
            assert_eq!(serde_json::to_string(&body).unwrap(), encoded);
            assert_eq!(Body::decode(encoded).unwrap(), body);
        }
    }

    #[test]
    fn a_kind_of_a_newer_version_is_kept_as_it_is() {
        let newer = r#"{"kind":"poll","options":["a","b"]}"#;
        let body = Body::decode(newer).unwrap();
        assert_eq!((body.encode().as_str(), &*body.kind()), (newer, "poll"));
        assert_eq!(serde_json::to_string(&body).unwrap(), newer);
    }

    #[test]
    fn what_is_no_body_is_refused_without_repeating_it() {
        for bad in [
            "null",
            "[]",
            r#"["shop.order"]"#,
            r#"["text",null,"hi"]"#,
            "1",
            "{}",
            r#"{"kind":1}"#,
            r#"{"kind":"text"}"#,
            r#"{"kind":"text","text":1}"#,
            r#"{"kind":"text","text":"a","text":"b"}"#,
            r#"{"kind":"edit","text":"a","target":-1}"#,
        ] {
            assert!(Body::decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_in_data_are_written_as_they_were_read() {
        let body = Body::decode(r#"{"kind":"shop.order","data":18615446744073759511605}"#).unwrap();
        assert_eq!(Body::decode(&body.encode()).unwrap(), body);
    }

    #[test]
    fn only_what_takes_a_right_away_moves_the_guard() {
        let user = UserId::new("bob").unwrap();
        let member = |change| Body::Member(MemberChange { user: user.clone(), change });
        assert!(!member(Membership::Join).restricts());
        assert!(member(Membership::Leave).restricts() && member(Membership::Role(Role::Member)).restricts());
        assert!(!Body::Room(RoomChange::Created(RoomSpec::default())).restricts());
    }
}
