//! How a body is written and read.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use super::{Body, Edit, Erase, MemberChange, Membership, Notice, RawBody, React, RoomChange, Text};
use crate::model::{Role, RoomId, RoomSpec, Seq, UserId};

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
    targets: Option<Cow<'a, [Seq]>>,
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
        let kind = kind_of(json).ok_or(not_a_body)?;
        let known = ["text", "edit", "delete", "react", "erase", "member", "room", "inbox"].contains(&&*kind);
        if !known && !kind.contains('.') {
            return Ok(Self::Unknown(RawBody(json.to_owned())));
        }
        let flat: Flat<'_> = serde_json::from_str(json).map_err(|_| "a field of the body has the wrong type")?;
        flat.into_body()
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
            Self::Erase(erase) => {
                flat.targets = Some(Cow::Borrowed(&erase.targets));
                flat.user = Some(erase.user.clone());
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
            "erase" => Body::Erase(Erase {
                user: self.user.ok_or("an erasure needs `user`")?,
                targets: self.targets.ok_or("an erasure needs `targets`")?.into_owned(),
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

/// Returns the kind of a body that is one.
pub(super) fn kind_of(json: &str) -> Option<Cow<'_, str>> {
    let Peek { kind } = serde_json::from_str(json).ok()?;
    Some(kind)
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
