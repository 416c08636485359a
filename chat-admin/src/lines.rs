//! The lines that rooms are exported as and imported from: one JSON object each.

use std::sync::Arc;

use chat_core::{
    Body, Entry, Key, Role, RoomId, RoomSpec, Seq, Text, Timestamp, UserId, Visibility,
    model::{Edit, History, React},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Is one line of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line {
    Room(RoomLine),
    Message(MessageLine),
}

/// Is a room, to which the messages after it belong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomLine {
    /// The host's own name, or the id of a room without one.
    pub(crate) room: Arc<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(crate) title: Arc<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(crate) topic: Arc<str>,
    #[serde(default)]
    pub(crate) visibility: Visibility,
    #[serde(default)]
    pub(crate) history: History,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) data: Value,
    pub(crate) created: Timestamp,
    #[serde(default)]
    pub(crate) members: Vec<MemberLine>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberLine {
    pub(crate) user: UserId,
    #[serde(default)]
    pub(crate) role: Role,
}

/// Is a message, or what was done to one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageLine {
    /// Tells this line from the others of its room; the key of what was exported.
    pub(crate) id: String,
    pub(crate) author: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<Arc<str>>,
    pub(crate) sent_at: Timestamp,
    /// The room, if it is not that of the last room line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) room: Option<Arc<str>>,
    /// `text` if it is missing; `edit`, `delete`, `react`, or an application's own, which holds a dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// The id of the message that this one answers, edits, deletes or reacts to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) about: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) data: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) emoji: Option<String>,
    /// Whether a reaction is set or taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on: Option<bool>,
}

/// Returns the id of a room that is given by the host's own name or by the id itself, and the name in the first case.
pub(crate) fn room_of(text: &str) -> (RoomId, Option<&str>) {
    text.parse().map_or_else(|_| (RoomId::named(text), Some(text)), |id| (id, None))
}

impl RoomLine {
    /// Describes the room, and says who creates it: its first owner, if it has one.
    pub(crate) fn spec(&self) -> (RoomSpec, UserId) {
        let owner = self.members.iter().find(|member| member.role == Role::Owner);
        let author = owner.map_or_else(UserId::system, |owner| owner.user.clone());
        let mut spec = RoomSpec::private(self.title.clone());
        spec.name = room_of(&self.room).1.map(Arc::from);
        (spec.visibility, spec.history, spec.data) = (self.visibility, self.history, self.data.clone());
        let others = self.members.iter().map(|member| member.user.clone()).filter(|user| *user != author);
        (spec.members(others), author)
    }
}

impl MessageLine {
    /// Returns the key under which this line is stored once: the id itself, if it is a key, or else one that follows from it.
    pub(crate) fn key(&self) -> Key {
        self.id.parse().unwrap_or_else(|_| key("message", self.sent_at, &self.id))
    }

    /// Makes the body; `about` is the position of the message with that id.
    pub(crate) fn body(&self, about: Option<Seq>) -> Result<Body, &'static str> {
        let text = self.text.clone().ok_or("`text` is missing");
        let target = about.ok_or("`about` is missing: the id of a message");
        Ok(match self.kind.as_deref().unwrap_or("text") {
            "text" => {
                let mut body = Text::new(text?);
                (body.reply_to, body.data) = (about, self.data.clone());
                Body::Text(body)
            }
            "edit" => Body::Edit(Edit { target: target?, text: text? }),
            "delete" => Body::Delete(target?),
            "react" => {
                let emoji = self.emoji.clone().ok_or("`emoji` is missing")?;
                Body::React(React { target: target?, emoji, on: self.on.unwrap_or(true) })
            }
            own if own.contains('.') => {
                Body::Custom { kind: own.to_owned(), text: text.unwrap_or_default(), data: self.data.clone() }
            }
            _ => {
                return Err(
                    "`kind` is none of text, edit, delete, react, and without a dot it is no application's own",
                );
            }
        })
    }

    /// Makes the line of an entry, if it is a message or about one; `id` tells the id of an earlier one.
    pub(crate) fn of(entry: &Entry, id: impl Fn(Seq) -> Option<String>) -> Option<Self> {
        let line = Self {
            id: entry.key.to_string(),
            author: entry.author.to_string(),
            name: Some(entry.name.clone()),
            sent_at: entry.sent_at,
            text: entry.body.text().map(str::to_owned),
            ..Self::default()
        };
        let about = |kind: &str, target| {
            let about = Some(id(target)?); // what it was about is not there any more
            Some(Self { kind: Some(kind.to_owned()), about, ..line.clone() })
        };
        match &entry.body {
            Body::Text(text) => {
                Some(Self { about: text.reply_to.and_then(&id), data: text.data.clone(), ..line.clone() })
            }
            Body::Custom { kind, data, .. } => {
                Some(Self { kind: Some(kind.clone()), data: data.clone(), ..line.clone() })
            }
            Body::Edit(edit) => Some(Self { text: Some(edit.text.clone()), ..about("edit", edit.target)? }),
            Body::Delete(target) => about("delete", *target),
            Body::React(react) => {
                Some(Self { emoji: Some(react.emoji.clone()), on: Some(react.on), ..about("react", react.target)? })
            }
            _ => None,
        }
    }
}

/// Makes the key of something that has a name of its own, and a time.
pub(crate) fn key(what: &str, at: Timestamp, name: &str) -> Key {
    let digest = Sha256::digest(format!("chat-admin.{what}\0{name}"));
    let mut entropy = [0; 10];
    entropy.copy_from_slice(&digest[..10]);
    Key::new(at.0, entropy)
}
