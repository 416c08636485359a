//! Reading the logs.

use std::collections::HashMap;

use chat_core::{Entry, EntryId, Page, RoomId, Seq, StoreError, model::Person, store::Head};
use mongodb::bson::{Document, doc, oid::ObjectId};

use crate::{
    database::Database,
    error::{all, ask},
    people::author,
    row::{EntryRow, RoomRow, binary, bytes},
};

impl Database {
    pub(crate) async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new()); // which to MongoDB means: without limit
        }
        let from = self.room(room).await?.first().max(after.next());
        let filter = doc! { "room": binary(room.as_bytes()), "seq": { "$gte": from.to_stored() } };
        let find = self.entries.find(filter).sort(doc! { "seq": 1 }).limit(limit.into());
        let mut rows = all("read a log", find).await?;
        // What is trimmed while it is read leaves a hole behind. The next page begins after it.
        let dense =
            rows.iter().zip(rows.first().map_or(0, |row| row.seq)..).take_while(|(row, seq)| row.seq == *seq).count();
        rows.truncate(dense);
        self.raw(room, rows).await
    }

    pub(crate) async fn edits(
        &self,
        room: RoomId,
        target: Seq,
        after: Seq,
        limit: u16,
    ) -> Result<Vec<Entry>, StoreError> {
        let from = self.room(room).await?.first().max(after.max(target).next());
        let edits =
            doc! { "room": binary(room.as_bytes()), "edits": target.to_stored(), "seq": { "$gte": from.to_stored() } };
        let find = self.entries.find(edits).sort(doc! { "seq": 1 }).limit(limit.max(1).into());
        self.raw(room, all("read edits", find).await?).await
    }

    pub(crate) async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        let first = self.room(room).await?.first().to_stored();
        let after = position(page.after, 0).max(first - 1);
        let seq = doc! { "$gt": after, "$lt": position(page.before, i64::MAX) };
        let order = if page.after.is_some() { 1 } else { -1 };
        let rows = self.messages(room, seq, order, page.limit).await?;
        let people = self.authors(&rows).await?;
        let shown = rows.into_iter().map(|row| shown(room, row, &people));
        let mut shown = shown.collect::<Result<Vec<_>, _>>()?;
        if page.after.is_none() {
            shown.reverse();
        }
        Ok(shown)
    }

    /// Reads messages in this order of their positions.
    pub(crate) async fn messages(
        &self,
        room: RoomId,
        seq: Document,
        order: i32,
        limit: u16,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let filter = doc! { "room": binary(room.as_bytes()), "message": true, "seq": seq };
        let find = self.entries.find(filter).sort(doc! { "seq": order }).limit(limit.max(1).into());
        all("read the history of a room", find).await
    }

    pub(crate) async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        let ids: Vec<_> = rooms.iter().map(|room| binary(room.as_bytes())).collect();
        let find = self.rooms.find(doc! { "_id": { "$in": ids } });
        // Not the record, which is long and not needed.
        let rows = all("read heads", find.projection(doc! { "record": 0 })).await?;
        let heads = rows.into_iter().map(|row| Ok((bytes(&row.id)?, head(&row)?)));
        let heads: HashMap<_, _> = heads.collect::<Result<_, StoreError>>()?;
        Ok(rooms.iter().map(|room| heads.get(room.as_bytes()).copied().unwrap_or_default()).collect())
    }

    /// Returns the document of a room.
    pub(crate) async fn room(&self, room: RoomId) -> Result<RoomRow, StoreError> {
        let found = ask("read a room", self.rooms.find_one(doc! { "_id": binary(room.as_bytes()) })).await?;
        Ok(found.unwrap_or_else(|| RoomRow::none(room)))
    }

    pub(crate) async fn raw(&self, room: RoomId, rows: Vec<EntryRow>) -> Result<Vec<Entry>, StoreError> {
        let people = self.authors(&rows).await?;
        let entries = rows.into_iter().map(|row| {
            let author = author(&people, row.author)?;
            row.into_raw(room, author)
        });
        entries.collect()
    }

    pub(crate) async fn authors(&self, rows: &[EntryRow]) -> Result<HashMap<ObjectId, Person>, StoreError> {
        self.people.with_numbers(rows.iter().map(|row| row.author)).await
    }
}

/// Makes a message as people see it.
pub(crate) fn shown(room: RoomId, row: EntryRow, people: &HashMap<ObjectId, Person>) -> Result<Entry, StoreError> {
    let author = author(people, row.author)?;
    row.into_shown(room, author)
}

fn head(row: &RoomRow) -> Result<Head, StoreError> {
    let seq = Seq::from_stored(row.head).max(row.as_of());
    let id = row.head_id.as_ref().filter(|_| seq == row.as_of()).map(bytes).transpose()?;
    Ok(Head { seq, id: id.map(EntryId::from_bytes), guard: row.guard(), first: row.first() })
}

/// Returns a bound as the database compares it; what is above its integers is above every position too.
pub(crate) fn position(given: Option<u64>, otherwise: i64) -> i64 {
    given.map_or(otherwise, |position| i64::try_from(position).unwrap_or(i64::MAX))
}
