//! What stored values are read as, the same in every dialect.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

use std::{borrow::Cow, sync::Arc};

use chat_core::{
    Body, Entry, EntryId, Key, Member, Role, RoomId, RoomSummary, Seq, StoreError, StoreErrorKind, Timestamp, UserId,
    model::{BodyHash, Folded, Person, RoomRecord},
    store::Kept,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{ColumnIndex, Decode, Error, FromRow, Row, Type};

use crate::error::unreadable;

/// Is a row of the columns that make an entry.
pub(crate) struct EntryRow {
    seq: i64,
    id: Vec<u8>,
    key: Vec<u8>,
    author: String,
    name: String,
    body: String,
    shown: Option<String>,
    at: i64,
    sent_at: i64,
}

/// Is a message as later entries left it, in one column.
#[derive(Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) body: Body,
    pub(crate) folded: Box<Folded>,
}

impl EntryRow {
    /// Makes the entry as it was written.
    pub(crate) fn into_raw(self, room: RoomId) -> Result<Entry, StoreError> {
        let body = Body::decode(&self.body).map_err(|_| unreadable("body"))?;
        Ok(Entry::from_stored(
            room,
            Seq::from_stored(self.seq),
            EntryId::from_bytes(bytes(&self.id)?),
            Key::from_bytes(bytes(&self.key)?),
            user(self.author)?,
            self.name.into(),
            body,
            Timestamp(self.at),
            Timestamp(self.sent_at),
        ))
    }

    /// Makes the entry as people see it.
    pub(crate) fn into_shown(mut self, room: RoomId) -> Result<Entry, StoreError> {
        let shown: Option<Shown> = self.shown.take().map(|shown| json(&shown)).transpose()?;
        let mut entry = self.into_raw(room)?;
        if let Some(Shown { body, folded }) = shown {
            (entry.body, entry.folded) = (body, Some(folded));
        }
        Ok(entry)
    }
}

/// Is a row of an entry with all that is kept of it.
pub(crate) struct KeptRow {
    entry: EntryRow,
    hash: Option<Vec<u8>>,
}

impl KeptRow {
    pub(crate) fn into_kept(mut self, room: RoomId) -> Result<Kept, StoreError> {
        let shown: Option<Shown> = self.entry.shown.take().map(|shown| json(&shown)).transpose()?;
        let shown = shown.map(|Shown { body, folded }| (body, folded));
        Ok(Kept { entry: self.entry.into_raw(room)?, hash: hash(self.hash.as_deref())?, shown })
    }
}

/// Is where a log stands: its room's record, head, guard, first position, highest time trimmed, last activity.
pub(crate) type StateRow = (String, i64, i64, i64, Option<i64>, i64);

/// Is a row of a list of read marks.
pub(crate) struct MarkRow {
    user: String,
    read: i64,
}

impl MarkRow {
    pub(crate) fn into_mark(self) -> Result<(UserId, Seq), StoreError> {
        Ok((user(self.user)?, Seq::from_stored(self.read)))
    }
}

/// Is a row of what a user may be judged by, or of a room's summary without its last message.
pub(crate) struct RoomRow {
    record: String,
    head: i64,
    guard: i64,
    active: i64,
    role: Option<String>,
    since: Option<i64>,
    member_name: Option<String>,
    read: i64,
    unread: i64,
}

impl RoomRow {
    pub(crate) fn into_summary(self, of: Option<&UserId>) -> Result<RoomSummary, StoreError> {
        let record: RoomRecord = json(&self.record)?;
        let member = match (of, self.role, self.since, self.member_name) {
            (Some(user), Some(role), Some(since), Some(name)) => Some(member(user.clone(), name, &role, since)?),
            _ => None,
        };
        let mut summary = RoomSummary::new(record, member, Seq::from_stored(self.head), Seq::from_stored(self.guard));
        summary.active = Timestamp(self.active);
        summary.read = Seq::from_stored(self.read);
        summary.unread = self.unread.unsigned_abs();
        Ok(summary)
    }
}

/// Is how a draft's room stands, and what is stored under the draft's key: its index, head, guard, highest time trimmed,
/// the author's name, and the position, id and hash of the entry.
pub(crate) type KnownRow = (i64, i64, i64, Option<i64>, Option<String>, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>);

/// Is where a room stands: its index, head, the id there, guard, first position.
pub(crate) type HeadRow = (i64, i64, Vec<u8>, i64, i64);

/// Is a room in which a consumer is behind: its id, the place, the head. Without id: the consumer is behind nowhere.
pub(crate) type BehindRow = (Option<Vec<u8>>, i64, i64);

/// Is a row of a list of members.
pub(crate) struct MemberRow {
    user: String,
    name: String,
    role: String,
    since: i64,
}

impl MemberRow {
    pub(crate) fn into_member(self) -> Result<Member, StoreError> {
        member(user(self.user)?, self.name, &self.role, self.since)
    }
}

/// Is a room's summary with its last message, if it has one, and with the other one in a room of two.
pub(crate) struct SummaryRow {
    room: RoomRow,
    with: Option<(String, String)>,
    last: Option<EntryRow>,
}

impl SummaryRow {
    pub(crate) fn into_summary(self, of: Option<&UserId>) -> Result<RoomSummary, StoreError> {
        let mut summary = self.room.into_summary(of)?;
        summary.with = self.with.map(|(id, name)| Ok::<_, StoreError>(Person::new(user(id)?, name))).transpose()?;
        summary.last = self.last.map(|last| last.into_shown(summary.room.id)).transpose()?;
        Ok(summary)
    }
}

fn member(user: UserId, name: String, role: &str, since: i64) -> Result<Member, StoreError> {
    let role: Role = serde_json::from_value(role.into()).map_err(|_| unreadable("role"))?;
    Ok(Member::new(user, name, role, Seq::from_stored(since)))
}

/// Writes rows as a JSON array, which a statement takes apart: any number of rows in one parameter.
pub(crate) fn array(rows: impl IntoIterator<Item = impl Serialize>) -> Result<String, StoreError> {
    text(&rows.into_iter().collect::<Vec<_>>())
}

/// Returns a display name as it is stored. It is the host's own text, and PostgreSQL keeps no text with a zero in it.
pub(crate) fn display_name(name: &str) -> Cow<'_, str> {
    if name.contains('\0') { name.replace('\0', "\u{fffd}").into() } else { name.into() }
}

/// Writes 16 bytes as a text that every dialect reads back, for use in such an array.
pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

pub(crate) fn text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::new(StoreErrorKind::Other, "write JSON").with_source(error))
}

/// Writes what is one word in JSON, such as a role, without the quotes.
pub(crate) fn word(word: impl Serialize) -> String {
    serde_json::to_value(word).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn user(id: impl Into<Arc<str>>) -> Result<UserId, StoreError> {
    UserId::new(id).map_err(|_| unreadable("user id"))
}

pub(crate) fn bytes(stored: &[u8]) -> Result<[u8; 16], StoreError> {
    stored.try_into().map_err(|_| unreadable("id"))
}

pub(crate) fn hash(stored: Option<&[u8]>) -> Result<Option<BodyHash>, StoreError> {
    stored.map(|stored| bytes(stored).map(BodyHash)).transpose()
}

pub(crate) fn json<T: DeserializeOwned>(stored: &str) -> Result<T, StoreError> {
    // Without the parser's own words: they would repeat what people wrote, at any length.
    serde_json::from_str(stored).map_err(|_| unreadable("JSON column"))
}

/// Reads rows by the names of their columns, for the rows of every driver that has these types. User ids, and what may
/// come in their place, are read unchecked: MySQL keeps them as bytes, which alone it compares byte by byte.
macro_rules! from_row {
    ($type:ty, $row:ident => $make:expr) => {
        impl<'r, R: Row> FromRow<'r, R> for $type
        where
            &'static str: ColumnIndex<R>,
            i64: Decode<'r, R::Database> + Type<R::Database>,
            String: Decode<'r, R::Database> + Type<R::Database>,
            Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
        {
            fn from_row($row: &'r R) -> Result<Self, Error> {
                Ok($make)
            }
        }
    };
}

from_row!(EntryRow, row => Self {
    seq: row.try_get("seq")?,
    id: row.try_get("id")?,
    key: row.try_get("key")?,
    author: row.try_get_unchecked("author")?,
    name: row.try_get_unchecked("name")?,
    body: row.try_get("body")?,
    shown: row.try_get("shown")?,
    at: row.try_get("at")?,
    sent_at: row.try_get("sent_at")?,
});

from_row!(KeptRow, row => Self { entry: EntryRow::from_row(row)?, hash: row.try_get("hash")? });

from_row!(MarkRow, row => Self { user: row.try_get_unchecked("user_id")?, read: row.try_get("read")? });

from_row!(RoomRow, row => Self {
    record: row.try_get("record")?,
    head: row.try_get("head")?,
    guard: row.try_get("guard")?,
    active: row.try_get("active")?,
    role: row.try_get("role")?,
    since: row.try_get("since")?,
    member_name: row.try_get_unchecked("member_name")?,
    read: row.try_get("read")?,
    unread: row.try_get("unread")?,
});

from_row!(SummaryRow, row => Self {
    room: RoomRow::from_row(row)?,
    with: row.try_get_unchecked::<Option<String>, _>("with_user")?.zip(row.try_get_unchecked("with_name")?),
    last: row.try_get::<Option<i64>, _>("seq")?.map(|_| EntryRow::from_row(row)).transpose()?,
});

from_row!(MemberRow, row => Self {
    user: row.try_get_unchecked("user_id")?,
    name: row.try_get_unchecked("name")?,
    role: row.try_get("role")?,
    since: row.try_get("since")?,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_corrupt_column_does_not_repeat_it() {
        for corrupt in [r#"{"body":{"kind":"text","text":"a"},"folded":"a secret"}"#, "a secret", ""] {
            let Err(error) = json::<Shown>(corrupt) else { panic!("{corrupt:?} was read") };
            assert_eq!(error.to_string(), "read a stored JSON column: the store holds something unreadable");
            assert!(!format!("{error:?}").contains("secret"));
        }
    }
}
