//! What documents look like.

use std::{collections::HashMap, sync::Arc};

use chat_core::{
    Body, Entry, EntryId, Key, Member, Role, RoomId, Seq, StoreError, StoreErrorKind, Timestamp, UserId,
    model::{BodyHash, Folded, Person, RoomRecord},
    store::{Kept, Known, LogState},
};
use mongodb::bson::{Binary, oid::ObjectId, spec::BinarySubtype};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::unreadable;

/// Is one position of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EntryRow {
    pub(crate) room: Binary,
    pub(crate) seq: i64,
    id: Binary,
    key: Binary,
    /// The author's internal number: their id stands in one place only, where it can be erased.
    pub(crate) author: ObjectId,
    /// `None` once it was deleted.
    hash: Option<Binary>,
    /// Whether history shows it.
    message: bool,
    /// The position of the message that this entry edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edits: Option<i64>,
    /// The position, at most its own, of the last entry that took a right away.
    pub(crate) guard: i64,
    /// As written; blank once it was deleted.
    body: String,
    /// JSON: the body with later entries applied, and what they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<String>,
    /// The position of the last entry that was applied to `shown`.
    pub(crate) folded: i64,
    at: i64,
    sent_at: i64,
}

/// Is a message as later entries left it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) body: Body,
    pub(crate) folded: Box<Folded>,
}

impl EntryRow {
    pub(crate) fn new(entry: &Entry, hash: Option<BodyHash>, guard: Seq, author: ObjectId) -> Self {
        let edits = if let Body::Edit(edit) = &entry.body { Some(edit.target.to_stored()) } else { None };
        Self {
            room: binary(entry.room.as_bytes()),
            seq: entry.seq.to_stored(),
            id: binary(entry.id.as_bytes()),
            key: binary(entry.key.as_bytes()),
            author,
            hash: hash.map(|hash| binary(&hash.0)),
            message: entry.body.is_message(),
            edits,
            guard: guard.to_stored(),
            body: entry.body.encode(),
            shown: None,
            folded: 0,
            at: entry.at.0,
            sent_at: entry.sent_at.0,
        }
    }

    /// Makes the row of an entry that stood in another store, in a log that stands like this.
    pub(crate) fn restored(kept: &Kept, state: &LogState, author: ObjectId) -> Result<Self, StoreError> {
        let Kept { entry, hash, shown } = kept;
        // The guard matters in the last entry, and there it is exact.
        let mut row = Self::new(entry, *hash, state.guard.min(entry.seq), author);
        if let Some((body, folded)) = shown.clone() {
            row.shown = Some(text(&Shown { body, folded })?);
            row.folded = state.head.to_stored();
        }
        Ok(row)
    }

    /// Makes all that is kept of the entry.
    pub(crate) fn into_kept(mut self, room: RoomId, author: Person) -> Result<Kept, StoreError> {
        let shown: Option<Shown> = self.shown.take().map(|shown| json(&shown)).transpose()?;
        let shown = shown.map(|Shown { body, folded }| (body, folded));
        let hash = self.hash.as_ref().map(|hash| bytes(hash).map(BodyHash)).transpose()?;
        Ok(Kept { entry: self.into_raw(room, author)?, hash, shown })
    }

    /// Makes the entry as it was written.
    pub(crate) fn into_raw(self, room: RoomId, author: Person) -> Result<Entry, StoreError> {
        let body = Body::decode(&self.body).map_err(|_| unreadable("body"))?;
        Ok(Entry::from_stored(
            room,
            Seq::from_stored(self.seq),
            EntryId::from_bytes(bytes(&self.id)?),
            Key::from_bytes(bytes(&self.key)?),
            author.user,
            author.name,
            body,
            Timestamp(self.at),
            Timestamp(self.sent_at),
        ))
    }

    /// Makes the entry as people see it.
    pub(crate) fn into_shown(mut self, room: RoomId, author: Person) -> Result<Entry, StoreError> {
        let shown: Option<Shown> = self.shown.take().map(|shown| json(&shown)).transpose()?;
        let mut entry = self.into_raw(room, author)?;
        if let Some(Shown { body, folded }) = shown {
            (entry.body, entry.folded) = (body, Some(folded));
        }
        Ok(entry)
    }
}

/// Is the part of an entry that answers whether its key is known.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct KnownRow {
    pub(crate) seq: i64,
    id: Binary,
    key: Binary,
    pub(crate) author: ObjectId,
    hash: Option<Binary>,
}

impl KnownRow {
    pub(crate) fn key(&self) -> Result<Key, StoreError> {
        Ok(Key::from_bytes(bytes(&self.key)?))
    }

    pub(crate) fn known(&self) -> Result<Known, StoreError> {
        let hash = self.hash.as_ref().map(|hash| bytes(hash).map(BodyHash)).transpose()?;
        Ok(Known { seq: Seq::from_stored(self.seq), id: EntryId::from_bytes(bytes(&self.id)?), hash })
    }
}

/// Is where a log ends.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct LastRow {
    pub(crate) seq: i64,
    pub(crate) guard: i64,
}

/// Is a room: where its log begins and may end, and what the projection made of it up to `as_of`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RoomRow {
    #[serde(rename = "_id")]
    pub(crate) id: Binary,
    /// At least the last position of the log.
    #[serde(default)]
    pub(crate) head: i64,
    #[serde(default)]
    first: i64,
    /// The highest time in a key that was trimmed.
    pub(crate) trimmed_ms: Option<i64>,
    #[serde(default)]
    as_of: i64,
    /// The id of the entry at `as_of`.
    pub(crate) head_id: Option<Binary>,
    #[serde(default)]
    guard: i64,
    pub(crate) active: Option<i64>,
    /// JSON; `None` while the projection has not seen the creation.
    record: Option<String>,
    pub(crate) visibility: Option<String>,
}

impl RoomRow {
    /// Is a room of which there is no document.
    pub(crate) fn none(room: RoomId) -> Self {
        let (head, first, as_of, guard, id) = (0, 0, 0, 0, binary(room.as_bytes()));
        let (trimmed_ms, head_id, active, record, visibility) = (None, None, None, None, None);
        Self { id, head, first, trimmed_ms, as_of, head_id, guard, active, record, visibility }
    }

    pub(crate) fn first(&self) -> Seq {
        Seq::from_stored(self.first).max(Seq::FIRST)
    }

    pub(crate) fn as_of(&self) -> Seq {
        Seq::from_stored(self.as_of)
    }

    pub(crate) fn guard(&self) -> Seq {
        Seq::from_stored(self.guard)
    }

    /// Returns how the log stands that ends at `head`; `None` while the projection has not seen the creation.
    pub(crate) fn state(&self, head: Seq) -> Result<Option<LogState>, StoreError> {
        let Some(room) = self.record()? else { return Ok(None) };
        let (guard, first, trimmed_ms) = (self.guard(), self.first(), self.trimmed_ms);
        let active = Timestamp(self.active.unwrap_or(room.created.0));
        Ok(Some(LogState { room, head, guard, first, trimmed_ms, active }))
    }

    pub(crate) fn record(&self) -> Result<Option<RoomRecord>, StoreError> {
        self.record.as_deref().map(json).transpose()
    }
}

/// Is somebody's membership, or that it ended: what a slow node projects again must find that it was undone since.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MemberRow {
    pub(crate) room: Binary,
    pub(crate) user: String,
    pub(crate) role: String,
    pub(crate) since: i64,
    /// The position of the last entry that changed this.
    pub(crate) seq: i64,
    pub(crate) gone: bool,
}

impl MarkRow {
    pub(crate) fn into_mark(self) -> Result<(UserId, Seq), StoreError> {
        Ok((user(self.user)?, Seq::from_stored(self.read)))
    }
}

impl MemberRow {
    pub(crate) fn new(room: RoomId, member: &Member) -> Self {
        let since = member.since.to_stored();
        let (user, role) = (member.user.as_str().to_owned(), word(member.role));
        Self { room: binary(room.as_bytes()), user, role, since, seq: since, gone: false }
    }

    pub(crate) fn user(&self) -> Result<UserId, StoreError> {
        user(&*self.user)
    }

    pub(crate) fn into_member(self, name: Arc<str>) -> Result<Member, StoreError> {
        let role: Role = serde_json::from_value(self.role.into()).map_err(|_| unreadable("role"))?;
        Ok(Member::new(user(self.user)?, name, role, Seq::from_stored(self.since)))
    }
}

/// Is somebody who follows all logs. Where they are stands in the documents of the rooms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FeedRow {
    #[serde(rename = "_id")]
    pub(crate) consumer: String,
    /// Whether all rooms that were there before are marked as behind.
    pub(crate) ready: bool,
}

/// Is the part of a room that tells how far those are who follow all logs.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PlacesRow {
    #[serde(rename = "_id")]
    pub(crate) id: Binary,
    #[serde(default)]
    pub(crate) places: HashMap<String, i64>,
}

/// Is how far a user has read a room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MarkRow {
    pub(crate) room: Binary,
    pub(crate) user: String,
    pub(crate) read: i64,
}

/// Is somebody who wrote something, with the latest display name seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UserRow {
    #[serde(rename = "_id")]
    pub(crate) number: ObjectId,
    pub(crate) user: String,
    pub(crate) name: String,
}

impl UserRow {
    pub(crate) fn into_person(self) -> Result<Person, StoreError> {
        Ok(Person::new(user(self.user)?, self.name))
    }
}

pub(crate) fn user(id: impl Into<Arc<str>>) -> Result<UserId, StoreError> {
    UserId::new(id).map_err(|_| unreadable("user id"))
}

pub(crate) fn binary(bytes: &[u8; 16]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

pub(crate) fn bytes(stored: &Binary) -> Result<[u8; 16], StoreError> {
    stored.bytes.as_slice().try_into().map_err(|_| unreadable("id"))
}

/// Writes what is one word in JSON, such as a role, without the quotes.
pub(crate) fn word(word: impl Serialize) -> String {
    serde_json::to_value(word).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(crate) fn text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::new(StoreErrorKind::Other, "write JSON").with_source(error))
}

fn json<T: DeserializeOwned>(stored: &str) -> Result<T, StoreError> {
    // Without the parser's own words: they would repeat what people wrote, at any length.
    serde_json::from_str(stored).map_err(|_| unreadable("JSON text"))
}
