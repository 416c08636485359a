//! Giving whole logs away, and taking them.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use chat_core::{
    RoomId, Seq, StoreError, UserId,
    store::{Kept, LogState, Part, Restore},
};
use mongodb::bson::{Document, doc, oid::ObjectId};

use crate::{
    MongoStore,
    database::Database,
    error::{all, ask, attempt, unreadable},
    people::author,
    row::{EntryRow, LastRow, MarkRow, MemberRow, binary, bytes, text, word},
};

#[async_trait]
impl Restore for MongoStore {
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        self.0.logs(after, limit).await
    }

    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError> {
        let Some(LastRow { seq, .. }) = self.0.last(room).await? else { return Ok(None) };
        let head = Seq::from_stored(seq);
        self.0.catch_up(room, head, &[]).await?.state(head)
    }

    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError> {
        let first = self.0.room(room).await?.first().to_stored();
        let kept = [doc! { "seq": 1 }, doc! { "seq": { "$gte": first } }];
        let filter = doc! { "room": binary(room.as_bytes()), "seq": { "$gt": after.to_stored() }, "$or": kept };
        let find = self.0.entries.find(filter).sort(doc! { "seq": 1 }).limit(limit.max(1).into());
        let rows = all("read what is kept", find).await?;
        let people = self.0.authors(&rows).await?;
        rows.into_iter().map(|row| row_of(row, room, &people)).collect()
    }

    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError> {
        let after = after.map_or("", UserId::as_str);
        let filter = doc! { "room": binary(room.as_bytes()), "user": { "$gt": after } };
        let find = self.0.marks.find(filter).sort(doc! { "user": 1 }).limit(limit.max(1).into());
        all("list read marks", find).await?.into_iter().map(MarkRow::into_mark).collect()
    }

    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        self.0.restore(part).await
    }
}

fn row_of(
    row: EntryRow,
    room: RoomId,
    people: &HashMap<ObjectId, chat_core::model::Person>,
) -> Result<Kept, StoreError> {
    let person = author(people, row.author)?;
    row.into_kept(room, person)
}

impl Database {
    async fn logs(&self, mut after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        loop {
            let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": binary(after.as_bytes()) } });
            let find = self.rooms.find(filter).sort(doc! { "_id": 1 }).limit(limit.max(1).into());
            let rows = all("list logs", find).await?;
            let Some(last) = rows.last() else { return Ok(Vec::new()) };
            after = Some(RoomId::from_bytes(bytes(&last.id)?));
            let mut logs = Vec::with_capacity(rows.len());
            for row in &rows {
                let room = RoomId::from_bytes(bytes(&row.id)?);
                // A room's document is there before its creation is, and for ever if that was never stored.
                if row.as_of() > Seq::ZERO || self.last(room).await?.is_some() {
                    logs.push(room);
                }
            }
            if !logs.is_empty() {
                return Ok(logs);
            }
        }
    }

    /// Puts a part of a log where it stood in another store. The room's document moves before the entries are inserted:
    /// what is cut off between the two leaves a head above the log, which goes on where the log ends.
    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        let room = part.state.room.id;
        let fresh = part.after(self.last(room).await?.map_or(Seq::ZERO, |last| Seq::from_stored(last.seq)))?;
        let numbers = self.meet(fresh, part).await?;
        self.stand(fresh, part).await?;
        self.put_behind(room).await?;
        let rows = fresh.iter().map(|kept| {
            let author = numbers.get(&kept.entry.author).ok_or_else(|| unreadable("author"))?;
            EntryRow::restored(kept, &part.state, *author)
        });
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        if !rows.is_empty() {
            ask("restore entries", self.entries.insert_many(rows)).await?;
        }
        // As of the last entry: what changes a member from now on comes later.
        let member = |member| MemberRow { seq: part.state.head.to_stored(), ..MemberRow::new(room, member) };
        let members: Vec<_> = part.members.iter().map(member).collect();
        if !members.is_empty() {
            // Who is a member already stays as they are.
            attempt("restore members", self.members.insert_many(members).ordered(false)).await?;
        }
        Ok(())
    }

    /// Learns who is spoken of. A member who is called by their id was never seen.
    async fn meet(&self, fresh: &[Kept], part: &Part) -> Result<HashMap<UserId, ObjectId>, StoreError> {
        let seen = part.members.iter().filter(|member| *member.name != *member.user.as_str());
        let mut people: BTreeMap<_, _> = seen.map(|member| (&member.user, member.name.clone())).collect();
        people.extend(fresh.iter().map(|Kept { entry, .. }| (&entry.author, entry.name.clone())));
        self.people.see(&people).await
    }

    /// Says how the log stands, of which these entries are the last.
    async fn stand(&self, fresh: &[Kept], part: &Part) -> Result<(), StoreError> {
        let LogState { room: record, guard, first, trimmed_ms, active, .. } = &part.state;
        let mut set = doc! {
            "guard": guard.to_stored(),
            "first": first.to_stored(),
            "trimmed_ms": *trimmed_ms,
            "active": active.0,
            "visibility": word(record.visibility),
            "record": text(record)?,
        };
        if let Some(Kept { entry, .. }) = fresh.last() {
            let seq = entry.seq.to_stored();
            set.extend(doc! { "as_of": seq, "head": seq, "head_id": binary(entry.id.as_bytes()) });
        }
        let one = doc! { "_id": binary(record.id.as_bytes()) };
        ask("restore a room", self.rooms.update_one(one, doc! { "$set": set }).upsert(true)).await.map(drop)
    }
}
