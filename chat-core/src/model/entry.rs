//! One position of a log, before and after it has one.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Body, EntryId, Key, RoomId, Seq, Timestamp, UserId, id::first_16};

/// Is what somebody wants to post: content under an idempotency key.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Under which it is stored once, however often it is sent.
    pub key: Key,
    /// The content.
    pub body: Body,
}

impl Draft {
    /// Makes a draft under a fresh key.
    pub fn new(body: Body) -> Self {
        Self { key: Key::generate(), body }
    }

    /// Makes a draft of a plain text under a fresh key.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Body::Text(super::Text::new(text)))
    }
}

/// Is a fingerprint of a body: the first 16 bytes of SHA-256 of its encoding. Of an entry it is that of the body which was
/// sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyHash(pub [u8; 16]);

impl BodyHash {
    /// Computes the fingerprint of a body.
    pub fn of(body: &Body) -> Self {
        Self::of_encoded(&body.encode())
    }

    /// Computes the fingerprint of a body's stored encoding.
    pub fn of_encoded(body: &str) -> Self {
        Self(first_16(&Sha256::digest(body.as_bytes())))
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyHash({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Is an entry on its way into a store, which gives it its position.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewEntry {
    /// Its lasting id.
    pub id: EntryId,
    /// The sender's key.
    pub key: Key,
    /// Who wrote it.
    pub author: UserId,
    /// The author's display name as of now; kept once per user, not with the entry.
    pub name: Arc<str>,
    /// The content.
    pub body: Body,
    /// The fingerprint of the body as the author sent it, by which a retry is known: `body` may be what the host's
    /// [screening](crate::Policy::screen) made of it, and that may be something else the next time.
    pub hash: BodyHash,
    /// When it is handed to the store.
    pub at: Timestamp,
    /// When the author sent it; differs from `at` for imports.
    pub sent_at: Timestamp,
}

impl NewEntry {
    /// Makes an entry that was sent now.
    pub fn new(id: EntryId, draft: Draft, author: UserId, name: Arc<str>, at: Timestamp) -> Self {
        let sent = BodyHash::of(&draft.body);
        Self::of_sent(sent, id, draft, author, name, at)
    }

    /// Makes an entry of a draft whose body may have been changed since it was sent.
    pub(crate) fn of_sent(
        hash: BodyHash,
        id: EntryId,
        draft: Draft,
        author: UserId,
        name: Arc<str>,
        at: Timestamp,
    ) -> Self {
        let Draft { key, body } = draft;
        Self { id, key, author, name, body, hash, at, sent_at: at }
    }

    /// Returns the entry as it stands in `room` at `seq`.
    pub fn at(&self, room: RoomId, seq: Seq) -> Entry {
        self.clone().into_entry(room, seq)
    }

    /// Turns into the entry as it stands in `room` at `seq`.
    pub fn into_entry(self, room: RoomId, seq: Seq) -> Entry {
        let Self { id, key, author, name, body, at, sent_at, .. } = self;
        Entry { room, seq, id, key, author, name, body, at, sent_at, folded: None }
    }
}

/// Is one position of a room's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// The room.
    pub room: RoomId,
    /// The position.
    pub seq: Seq,
    /// The lasting id.
    pub id: EntryId,
    /// The key under which the author sent it.
    pub key: Key,
    /// Who wrote it.
    pub author: UserId,
    /// The author's latest display name, looked up when the entry is read.
    pub name: Arc<str>,
    /// The content. In [`LogStore::history`](crate::LogStore::history) with later edits and deletes applied;
    /// in [`LogStore::read`](crate::LogStore::read) as written, blanked when deleted.
    pub body: Body,
    /// When it was committed.
    pub at: Timestamp,
    /// When the author sent it.
    pub sent_at: Timestamp,
    /// What later entries did to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<Box<Folded>>,
}

impl Entry {
    /// Puts an entry together from what an adapter stored. `folded` is set apart.
    #[allow(clippy::too_many_arguments)] // one parameter per stored column, in the order of the fields
    pub fn from_stored(
        room: RoomId,
        seq: Seq,
        id: EntryId,
        key: Key,
        author: UserId,
        name: Arc<str>,
        body: Body,
        at: Timestamp,
        sent_at: Timestamp,
    ) -> Self {
        Self { room, seq, id, key, author, name, body, at, sent_at, folded: None }
    }

    /// Tells whether this gives the message at `target` another text.
    pub fn edits(&self, target: Seq) -> bool {
        matches!(&self.body, Body::Edit(edit) if edit.target == target && target < self.seq)
    }
}

/// Is what later entries did to a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Folded {
    /// When it was last edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Timestamp>,
    /// Whether it was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The reactions to it, in the order they were first used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
}

/// Is one reaction and those who gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The reaction.
    pub emoji: String,
    /// Who gave it, in order.
    pub users: Vec<UserId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Text;

    #[test]
    fn a_hash_is_pinned_since_it_is_stored() {
        let hash = BodyHash::of(&Body::Text(Text::new("hello")));
        assert_eq!(hash, BodyHash::of_encoded(r#"{"kind":"text","text":"hello"}"#));
        assert_eq!(u128::from_be_bytes(hash.0), 94_120_293_030_407_272_668_423_003_190_779_451_069);
    }
}
