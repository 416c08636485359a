//! Rooms and the people in them: the projection of their logs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Entry, RoomId, Seq, Timestamp, UserId};

/// Says who finds a room and may join it uninvited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Visibility {
    /// Listed, and open to everybody.
    Public,
    /// Known to its members only.
    #[default]
    Private,
    /// The private room of two.
    Direct,
    /// The log that tells one user's sessions what concerns them.
    Inbox,
}

/// Says how far back a member can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum History {
    /// From the first entry.
    #[default]
    All,
    /// From the entry that made them a member.
    SinceJoin,
}

/// Is a member's standing, lowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Reads and posts.
    #[default]
    Member,
    /// Also invites, removes members and deletes their messages.
    Moderator,
    /// Also names moderators and changes the room.
    Owner,
}

/// Describes a room to be created.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomSpec {
    /// The host's own name for the room. Creating a named room twice gives the same room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// What people see.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub title: Arc<str>,
    /// Who finds it and may join.
    #[serde(default)]
    pub visibility: Visibility,
    /// How far back members can read.
    #[serde(default)]
    pub history: History,
    /// The first members beside the creator. A member's role here is at most moderator; the creator is owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<UserId>,
    /// The application's own data about the room, at most 4 KiB as JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// An id chosen by the host; only [`Kind::System`](super::Kind::System) may set it.
    #[serde(skip)]
    pub id: Option<RoomId>,
}

impl RoomSpec {
    /// Describes a public room.
    pub fn public(title: impl Into<Arc<str>>) -> Self {
        Self { title: title.into(), visibility: Visibility::Public, ..Self::default() }
    }

    /// Describes a private group.
    pub fn private(title: impl Into<Arc<str>>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// Adds first members.
    #[must_use]
    pub fn members(mut self, members: impl IntoIterator<Item = UserId>) -> Self {
        self.members.extend(members);
        self
    }

    /// Names the room with the host's own name, by which it is found and created only once. Who may do so is the
    /// [policy](crate::Policy)'s to say: by [default](crate::Members) people may not.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets members read only what was written since they joined.
    #[must_use]
    pub fn since_join(mut self) -> Self {
        self.history = History::SinceJoin;
        self
    }
}

/// Is what is known of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RoomRecord {
    /// The room.
    pub id: RoomId,
    /// The host's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// What people see.
    pub title: Arc<str>,
    /// The subject, shown beside the title.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub topic: Arc<str>,
    /// Who finds it and may join.
    pub visibility: Visibility,
    /// How far back members can read.
    pub history: History,
    /// The application's own data about the room.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// When it was created.
    pub created: Timestamp,
}

impl RoomRecord {
    /// Makes the record of a room that is created by `spec` at `created`.
    pub fn new(id: RoomId, spec: &RoomSpec, created: Timestamp) -> Self {
        Self {
            id,
            name: spec.name.clone(),
            title: spec.title.clone(),
            topic: "".into(),
            visibility: spec.visibility,
            history: spec.history,
            data: spec.data.clone(),
            created,
        }
    }
}

/// Is one member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The user.
    pub user: UserId,
    /// The latest display name seen; the user id until one was seen.
    pub name: Arc<str>,
    /// Their standing.
    pub role: Role,
    /// The position of the entry that made them a member.
    pub since: Seq,
}

impl Member {
    /// Makes a member.
    pub fn new(user: UserId, name: impl Into<Arc<str>>, role: Role, since: Seq) -> Self {
        Self { user, name: name.into(), role, since }
    }
}

/// Is somebody, by id and by the name that people read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Person {
    /// The user.
    pub user: UserId,
    /// The latest display name seen; the user id until one was seen.
    pub name: Arc<str>,
}

impl Person {
    /// Makes a person.
    pub fn new(user: UserId, name: impl Into<Arc<str>>) -> Self {
        Self { user, name: name.into() }
    }
}

/// Is a room as a list shows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RoomSummary {
    /// The room.
    pub room: RoomRecord,
    /// The membership of the user who asked.
    pub member: Option<Member>,
    /// The other member of a [direct](Visibility::Direct) room, which has no other title; for its members alone.
    pub with: Option<Person>,
    /// The position of the last entry that took a right away.
    pub guard: Seq,
    /// The last position.
    pub head: Seq,
    /// The last message that people read (text or custom), with edits and deletes applied.
    pub last: Option<Entry>,
    /// The highest position the user has marked as read.
    pub read: Seq,
    /// How many messages of others stand after `read`.
    pub unread: u64,
    /// When the last entry was committed: the order of lists, newest first, ties by room id.
    pub active: Timestamp,
}

impl RoomSummary {
    /// Makes the summary of a room with nothing but the given facts.
    pub fn new(room: RoomRecord, member: Option<Member>, head: Seq, guard: Seq) -> Self {
        let active = room.created;
        Self { room, member, with: None, guard, head, last: None, read: Seq::ZERO, unread: 0, active }
    }
}
