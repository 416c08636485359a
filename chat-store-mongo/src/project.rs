//! What entries do to rooms, members and earlier messages, after they are stored.
//!
//! Two nodes may project the same entries at the same time, and one of them late. Each effect therefore knows the position it
//! is of: a membership and a message keep the last position that changed them, and take no earlier one; a room's document
//! moves on only from the position it was read at. Everybody begins where the room's document stands, and it moves
//! only after the effects: so whoever has a later entry to apply has seen the earlier ones applied.

use std::{borrow::Cow, collections::BTreeMap};

use chat_core::{
    Body, Entry, Member, RoomId, Seq, StoreError, StoreErrorKind, UserId,
    model::{Change, Edit, RoomRecord, changes, fold},
};
use mongodb::bson::{Document, doc};

use crate::{
    database::Database,
    error::{all, ask, attempt},
    people::author,
    row::{MemberRow, RoomRow, Shown, binary, text, word},
};

/// How many entries are read at once to catch up: as many as the longest share has.
const PAGE: i64 = 512;

impl Database {
    /// Applies entries of logs that may be kept elsewhere; what is applied already is passed over.
    pub(crate) async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut rooms: BTreeMap<RoomId, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            rooms.entry(entry.room).or_default().push(entry.clone());
        }
        for (room, entries) in rooms {
            let as_of = self.room(room).await?.as_of();
            let fresh = entries.iter().filter(|entry| entry.seq > as_of);
            self.people.see(&fresh.map(|entry| (&entry.author, entry.name.clone())).collect()).await?;
            let through = entries.last().map_or(Seq::ZERO, |entry| entry.seq);
            self.catch_up(room, through, &entries).await?;
        }
        Ok(())
    }

    /// Projects a room's log up to a position, and returns the room as it is then. Entries at hand need not be read.
    pub(crate) async fn catch_up(&self, room: RoomId, through: Seq, at_hand: &[Entry]) -> Result<RoomRow, StoreError> {
        loop {
            let state = self.room(room).await?;
            let next = state.as_of().next();
            if next > through {
                return Ok(state);
            }
            let entries = match at_hand.iter().position(|entry| entry.seq == next) {
                Some(at) => Cow::from(&at_hand[at..]),
                None => self.after(room, state.as_of()).await?.into(),
            };
            let dense = entries.iter().zip(next.get()..).all(|(entry, seq)| entry.seq.get() == seq);
            if entries.is_empty() || !dense {
                let hole = format!("project position {through} after {}", state.as_of());
                return Err(StoreError::new(StoreErrorKind::Corrupt, hole));
            }
            self.apply(state, &entries).await?;
        }
    }

    async fn after(&self, room: RoomId, as_of: Seq) -> Result<Vec<Entry>, StoreError> {
        let filter = doc! { "room": binary(room.as_bytes()), "seq": { "$gt": as_of.to_stored() } };
        let rows =
            all("read what is to be projected", self.entries.find(filter).sort(doc! { "seq": 1 }).limit(PAGE)).await?;
        self.raw(room, rows).await
    }

    /// Applies entries to a room as it stands. If somebody else has moved the room on meanwhile, the same was done twice, and
    /// the caller looks where the room stands now.
    async fn apply(&self, state: RoomRow, entries: &[Entry]) -> Result<(), StoreError> {
        let Some(last) = entries.last() else { return Ok(()) };
        let (mut record, mut guard) = (state.record()?, state.guard());
        let active = entries.iter().map(|entry| entry.at.0).max().max(state.active);
        for entry in entries {
            self.apply_one(entry, &mut record).await?;
            if entry.body.restricts() {
                guard = entry.seq;
            }
        }
        let Some(record) = record else {
            return Err(StoreError::new(StoreErrorKind::Corrupt, "project a log without creation"));
        };
        if state.as_of() == Seq::ZERO {
            // Refused when somebody else does the same, which is as good.
            self.raise(last.room, last.seq).await?;
        }
        let set = doc! {
            "as_of": last.seq.to_stored(),
            "head_id": binary(last.id.as_bytes()),
            "guard": guard.to_stored(),
            "active": active,
            "visibility": word(record.visibility),
            "record": text(&record)?,
        };
        let one = doc! { "_id": state.id.clone(), "as_of": state.as_of().to_stored() };
        let update = doc! { "$set": set, "$max": { "head": last.seq.to_stored() } };
        self.call("move a room on", &self.rooms, one, update).await.map(drop)
    }

    async fn apply_one(&self, entry: &Entry, record: &mut Option<RoomRecord>) -> Result<(), StoreError> {
        let mut joined = Vec::new();
        for change in changes(entry) {
            match (change, &mut *record) {
                (Change::Create(created), none @ None) => *none = Some(created),
                (Change::Join(member), _) => joined.push(member),
                (Change::Leave(user), _) => self.change(entry, &user, doc! { "gone": true }).await?,
                (Change::Role(user, role), _) => self.change(entry, &user, doc! { "role": word(role) }).await?,
                (Change::Set { title, topic, data }, Some(record)) => {
                    record.title = title.unwrap_or_else(|| record.title.clone());
                    record.topic = topic.unwrap_or_else(|| record.topic.clone());
                    record.data = data.unwrap_or_else(|| record.data.take());
                }
                (Change::Fold(target), _) if target < entry.seq => self.fold(entry, target).await?,
                // A room is created once, and no entry changes a later one.
                _ => {}
            }
        }
        if joined.is_empty() { Ok(()) } else { self.join(entry, &joined).await }
    }

    async fn join(&self, entry: &Entry, joined: &[Member]) -> Result<(), StoreError> {
        let rows: Vec<_> = joined.iter().map(|member| MemberRow::new(entry.room, member)).collect();
        if attempt("add members", self.members.insert_many(rows.clone()).ordered(false)).await? {
            return Ok(());
        }
        // Somebody is a member, and stays as they are, or was one before and comes back.
        for row in rows {
            let left = doc! { "room": row.room, "user": row.user, "gone": true, "seq": { "$lt": row.seq } };
            let back = doc! { "gone": false, "role": row.role, "since": row.since, "seq": row.seq };
            self.call("add a member", &self.members, left, doc! { "$set": back }).await?;
        }
        Ok(())
    }

    async fn change(&self, entry: &Entry, user: &UserId, mut set: Document) -> Result<(), StoreError> {
        let seq = entry.seq.to_stored();
        let room = binary(entry.room.as_bytes());
        let member = doc! { "room": room, "user": user.as_str(), "gone": false, "seq": { "$lt": seq } };
        set.insert("seq", seq);
        self.call("change a member", &self.members, member, doc! { "$set": set }).await.map(drop)
    }

    /// Applies an edit, delete or reaction to the message it is about.
    async fn fold(&self, entry: &Entry, target: Seq) -> Result<(), StoreError> {
        let (room, at) = (binary(entry.room.as_bytes()), entry.seq.to_stored());
        loop {
            let message = doc! { "room": room.clone(), "seq": target.to_stored(), "message": true };
            let Some(row) = ask("read a message", self.entries.find_one(message.clone())).await? else { return Ok(()) };
            let before = row.folded;
            let people = self.people.with_numbers([row.author]).await?;
            let person = author(&people, row.author)?;
            let mut shown = row.into_shown(entry.room, person)?;
            let changed = before < at && fold(&mut shown, entry);
            let Some(folded) = shown.folded else { return Ok(()) };
            let deleted = folded.deleted;
            if changed {
                let mut set = doc! { "folded": at };
                if deleted {
                    set.extend(doc! { "body": shown.body.encode(), "hash": null });
                }
                set.insert("shown", text(&Shown { body: shown.body, folded })?);
                let mut as_read = message;
                as_read.insert("folded", before);
                if !self.call("change a message", &self.entries, as_read, doc! { "$set": set }).await? {
                    continue; // somebody else changed it meanwhile
                }
            }
            return if deleted { self.blank_edits(entry.room, target).await } else { Ok(()) };
        }
    }

    async fn blank_edits(&self, room: RoomId, target: Seq) -> Result<(), StoreError> {
        let edits = doc! { "room": binary(room.as_bytes()), "edits": target.to_stored() };
        let blank = Body::Edit(Edit { target, text: String::new() }).encode();
        let set = doc! { "$set": { "body": blank, "hash": null } };
        ask("blank the edits of a message", self.entries.update_many(edits, set)).await.map(drop)
    }

    /// Changes one document, and returns whether it was found.
    async fn call<T: Send + Sync>(
        &self,
        what: &str,
        collection: &mongodb::Collection<T>,
        one: Document,
        update: Document,
    ) -> Result<bool, StoreError> {
        Ok(ask(what, collection.update_one(one, update)).await?.matched_count > 0)
    }
}
