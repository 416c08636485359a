//! The bodies of each kind.

use std::sync::Arc;

use serde_json::Value;

use crate::model::{Role, RoomId, RoomSpec, Seq, UserId};

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
    /// The reaction, at most 32 bytes and 8 characters.
    pub emoji: String,
    /// Set (`true`) or taken back.
    pub on: bool,
}

/// Blanks what one person wrote in a room, because the person is [erased](crate::people).
///
/// It does not say who it was: what they wrote is named by its positions. Several of these may follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erase {
    /// The anonymous stand-in, which is from now on the author of what the person wrote.
    pub user: UserId,
    /// Where they wrote or are named, in order: messages are blanked, with all their edits; other entries are only
    /// somebody else's from now on.
    pub targets: Vec<Seq>,
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
pub struct RawBody(pub(super) String);

impl RawBody {
    /// Returns the JSON object.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
