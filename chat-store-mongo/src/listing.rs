//! Reading the projection.

use std::{collections::HashMap, sync::Arc};

use chat_core::{
    Entry, Member, Page, RoomId, RoomSummary, Seq, StoreError, Timestamp, UserId,
    model::{Person, RoomRecord, Visibility},
    store::{Access, Listing, Tail},
};
use futures::future::try_join_all;
use mongodb::bson::{Document, doc};

use crate::{
    database::Database,
    error::{all, ask, attempt, unreadable},
    read::{position, shown},
    row::{MarkRow, MemberRow, RoomRow, binary, word},
};

impl Database {
    /// Returns what a user may be judged by, after catching up with the log. The room is read before the membership: what
    /// the membership knows of later entries is revoked by none that the guard does not tell of.
    pub(crate) async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        let mut state = self.room(room).await?;
        if let Some(last) = self.last(room).await?
            && Seq::from_stored(last.seq) > state.as_of()
        {
            state = self.catch_up(room, Seq::from_stored(last.seq), &[]).await?;
        }
        let Some(record) = state.record()? else { return Ok(None) };
        let member = self.members_where(doc! { "room": state.id.clone(), "user": user.as_str() }, 1).await?.pop();
        Ok(Some(Access { room: record, member, guard: state.guard(), as_of: state.as_of() }))
    }

    pub(crate) async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        let after = page.after_user.as_ref().map_or("", UserId::as_str);
        self.members_where(doc! { "room": binary(room.as_bytes()), "user": { "$gt": after } }, page.limit).await
    }

    async fn members_where(&self, filter: Document, limit: u16) -> Result<Vec<Member>, StoreError> {
        let rows = self.member_rows(filter, doc! { "user": 1 }, Some(limit)).await?;
        let users = rows.iter().map(MemberRow::user).collect::<Result<Vec<_>, _>>()?;
        let names = self.people.names(&users).await?;
        rows.into_iter().zip(users).map(|(row, user)| row.into_member(name(&names, &user))).collect()
    }

    async fn member_rows(
        &self,
        mut filter: Document,
        order: Document,
        limit: Option<u16>,
    ) -> Result<Vec<MemberRow>, StoreError> {
        filter.insert("gone", false);
        let find = self.members.find(filter).sort(order);
        let find = if let Some(limit) = limit { find.limit(limit.max(1).into()) } else { find };
        all("read members", find).await
    }

    /// Raises a user's read mark, as far as there is something to read.
    pub(crate) async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        let state = self.room(room).await?;
        let read = read.min(state.as_of());
        if read == Seq::ZERO {
            return Ok(());
        }
        let one = doc! { "room": state.id, "user": user.as_str() };
        let max = doc! { "$max": { "read": read.to_stored() } };
        if !attempt("mark as read", self.marks.update_one(one.clone(), max.clone()).upsert(true)).await? {
            // Another session of the same user made the mark at the same moment.
            ask("mark as read", self.marks.update_one(one, max)).await?;
        }
        Ok(())
    }

    pub(crate) async fn list(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        let rows = self.listed(which, page).await?;
        let asking = match which {
            Listing::Of(user) | Listing::Public(user) | Listing::One(_, user) => Some(self.asking(user, &rows).await?),
            _ => None,
        };
        try_join_all(rows.iter().map(|row| self.summary(row, asking.as_ref()))).await
    }

    /// Returns what a user may be judged by in each of its rooms: as in [`access`](Self::access), the rooms are read before
    /// the memberships that count.
    pub(crate) async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        let mut page = Page::default();
        page.limit = rooms_max;
        let rows = self.listed(&Listing::Of(user.clone()), &page).await?;
        let mut members = self.memberships_in(user, &rows).await?;
        let access = |row: RoomRow| {
            let (member, guard, as_of) = (members.remove(&row.id.bytes), row.guard(), row.as_of());
            Ok(Access { room: row.record()?.ok_or_else(|| unreadable("room"))?, member, guard, as_of })
        };
        rows.into_iter().map(access).collect()
    }

    /// Reads the rooms on a page.
    async fn listed(&self, which: &Listing, page: &Page) -> Result<Vec<RoomRow>, StoreError> {
        let active = doc! { "$lt": position(page.before, i64::MAX), "$gt": position(page.after, i64::MIN) };
        let mut filter = doc! { "as_of": { "$gte": 1_i64 }, "active": active };
        let listed = doc! { "$ne": word(Visibility::Inbox) };
        match which {
            Listing::Of(user) => {
                let rows = self.member_rows(doc! { "user": user.as_str() }, doc! { "room": 1 }, None).await?;
                let rooms: Vec<_> = rows.into_iter().map(|row| row.room).collect();
                filter.extend(doc! { "_id": { "$in": rooms }, "visibility": listed });
            }
            Listing::Public(_) => drop(filter.insert("visibility", word(Visibility::Public))),
            Listing::One(room, _) => drop(filter.insert("_id", binary(room.as_bytes()))),
            _ => drop(filter.insert("visibility", listed)),
        }
        let find = self.rooms.find(filter).sort(doc! { "active": -1, "_id": 1 }).limit(page.limit.max(1).into());
        all("list rooms", find).await
    }

    /// Reads what concerns the user who asks.
    async fn asking(&self, user: &UserId, rows: &[RoomRow]) -> Result<Asking, StoreError> {
        let members = self.memberships_in(user, rows).await?;
        let marks: Vec<MarkRow> = all("read marks", self.marks.find(here(user, rows))).await?;
        let marks = marks.into_iter().map(|row| (row.room.bytes, Seq::from_stored(row.read))).collect();
        Ok(Asking { members, marks })
    }

    /// Reads a user's memberships in these rooms.
    async fn memberships_in(&self, user: &UserId, rows: &[RoomRow]) -> Result<HashMap<Vec<u8>, Member>, StoreError> {
        let rows = self.member_rows(here(user, rows), doc! { "room": 1 }, None).await?;
        let names = self.people.names([user]).await?;
        rows.into_iter().map(|row| Ok((row.room.bytes.clone(), row.into_member(name(&names, user))?))).collect()
    }

    async fn summary(&self, row: &RoomRow, asking: Option<&Asking>) -> Result<RoomSummary, StoreError> {
        let record = row.record()?.ok_or_else(|| unreadable("room"))?;
        let member = asking.and_then(|asking| asking.members.get(&row.id.bytes)).cloned();
        let read = asking.and_then(|asking| asking.marks.get(&row.id.bytes)).copied().unwrap_or_default();
        let (last, with, unread) = (
            self.last_message(record.id, row.first()).await?,
            self.other(&record, member.as_ref()).await?,
            match &member {
                Some(member) => self.unread(row, Some(&member.user), read.max(member.since)).await?,
                None => 0,
            },
        );
        let mut summary = RoomSummary::new(record, member, row.as_of(), row.guard());
        summary.active = row.active.map_or(summary.active, Timestamp);
        (summary.last, summary.with, summary.read, summary.unread) = (last, with, read, unread);
        Ok(summary)
    }

    /// Returns how the end of a log looks to a user.
    pub(crate) async fn tail(&self, user: Option<&UserId>, room: RoomId, after: Seq) -> Result<Tail, StoreError> {
        let row = self.room(room).await?;
        let last = self.last_message(room, row.first()).await?;
        let is_read = last.as_ref().is_none_or(|last| last.seq <= after);
        let unread = if is_read { 0 } else { self.unread(&row, user, after).await? };
        Ok(Tail { last, unread })
    }

    async fn last_message(&self, room: RoomId, first: Seq) -> Result<Option<Entry>, StoreError> {
        let rows = self.messages(room, doc! { "$gte": first.to_stored() }, -1, 1).await?;
        let people = self.authors(&rows).await?;
        rows.into_iter().next().map(|row| shown(room, row, &people)).transpose()
    }

    /// Returns the other one in a room of two.
    async fn other(&self, room: &RoomRecord, member: Option<&Member>) -> Result<Option<Person>, StoreError> {
        let Some(member) = member.filter(|_| room.visibility == Visibility::Direct) else { return Ok(None) };
        let others = doc! { "room": binary(room.id.as_bytes()), "user": { "$ne": member.user.as_str() } };
        let other = self.members_where(others, 1).await?.pop();
        Ok(other.map(|other| Person::new(other.user, other.name)))
    }

    /// Counts the messages of others than a user after a position.
    async fn unread(&self, row: &RoomRow, user: Option<&UserId>, after: Seq) -> Result<u64, StoreError> {
        let after = after.max(row.first().prev());
        let mut filter = doc! { "room": row.id.clone(), "message": true, "seq": { "$gt": after.to_stored() } };
        if let Some(own) = self.people.numbers(user).await?.into_values().next() {
            filter.insert("author", doc! { "$ne": own });
        }
        ask("count unread messages", self.entries.count_documents(filter)).await
    }
}

/// Is what concerns the user who asks, by room.
struct Asking {
    members: HashMap<Vec<u8>, Member>,
    marks: HashMap<Vec<u8>, Seq>,
}

fn here(user: &UserId, rows: &[RoomRow]) -> Document {
    let rooms: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    doc! { "room": { "$in": rooms }, "user": user.as_str() }
}

fn name(names: &HashMap<UserId, Arc<str>>, user: &UserId) -> Arc<str> {
    names.get(user).cloned().unwrap_or_else(|| user.as_str().into())
}
