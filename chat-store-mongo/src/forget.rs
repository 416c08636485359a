//! Finding and forgetting people.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chat_core::{Body, PeopleStore, RoomId, Seq, StoreError, UserId, model::Person};
use futures::future::try_join;
use mongodb::bson::{Binary, Document, doc};
use serde::Deserialize;

use crate::{
    MongoStore,
    database::Database,
    error::{all, ask, unreadable},
    row::{binary, bytes},
};

/// Is the id of a room.
#[derive(Deserialize)]
struct IdRow {
    #[serde(rename = "_id")]
    id: Binary,
}

/// Is the room of a document.
#[derive(Deserialize)]
struct OfRoom {
    room: Binary,
}

/// Is the part of an entry that may name somebody.
#[derive(Deserialize)]
struct BodyRow {
    seq: i64,
    body: String,
}

/// How many rooms, or entries, are looked at together.
const PAGE: i64 = 200;

#[async_trait]
impl PeopleStore for MongoStore {
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        if let Some(person) = self.0.people.person(user).await? {
            return Ok(Some(person));
        }
        // Who never wrote has no number, and no name but their id.
        let theirs = doc! { "user": user.as_str() };
        let member = ask("find a membership", self.0.members.find_one(theirs.clone())).await?;
        let mark = ask("find a mark", self.0.marks.find_one(theirs)).await?;
        Ok((member.is_some() || mark.is_some()).then(|| Person::new(user.clone(), user.as_str())))
    }

    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        self.0.rooms_of(user, after, limit).await
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.0.forget_in(room, user, stand_in).await
    }

    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.0.forget_inbox(RoomId::inbox(user)).await?;
        self.0.people.rename(user, stand_in).await
    }
}

impl Database {
    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        let mut last = after.map(|after| binary(after.as_bytes()));
        let mut found = Vec::new();
        loop {
            let later = last.as_ref().map_or_else(Document::new, |last| doc! { "_id": { "$gt": last } });
            let rooms = self.rooms.clone_with_type::<IdRow>();
            let find = rooms.find(later).sort(doc! { "_id": 1 }).limit(PAGE).projection(doc! { "_id": 1 });
            let ids: Vec<_> = all("find rooms", find).await?.into_iter().map(|room| room.id).collect();
            let theirs = self.theirs(user, &ids).await?;
            for id in ids.iter().filter(|id| theirs.contains(&id.bytes)) {
                found.push(RoomId::from_bytes(bytes(id)?));
            }
            if ids.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) || found.len() >= limit.into() {
                found.truncate(limit.into());
                return Ok(found);
            }
            last = ids.into_iter().next_back();
        }
    }

    /// Returns those of these rooms in which something is stored of a user. A membership is kept also after its end, so
    /// that it tells who is named by entries.
    async fn theirs(&self, user: &UserId, rooms: &[Binary]) -> Result<BTreeSet<Vec<u8>>, StoreError> {
        let here = doc! { "room": { "$in": rooms }, "user": user.as_str() };
        let (members, marks) = (self.members.clone_with_type::<OfRoom>(), self.marks.clone_with_type::<OfRoom>());
        let (members, marks) =
            try_join(all("find memberships", members.find(here.clone())), all("find marks", marks.find(here))).await?;
        let mut theirs: BTreeSet<_> = members.into_iter().chain(marks).map(|row| row.room.bytes).collect();
        let Some(author) = self.people.numbers([user]).await?.remove(user) else { return Ok(theirs) };
        for room in rooms.iter().filter(|room| !theirs.contains(&room.bytes)).cloned().collect::<Vec<_>>() {
            let entries = self.entries.clone_with_type::<OfRoom>();
            let wrote = entries.find_one(doc! { "room": room, "author": author }).projection(doc! { "room": 1 });
            theirs.extend(ask("find what somebody wrote", wrote).await?.map(|row| row.room.bytes));
        }
        Ok(theirs)
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        let id = binary(room.as_bytes());
        if let Some(last) = self.last(room).await? {
            // What is not projected yet would bring the membership back.
            self.catch_up(room, Seq::from_stored(last.seq), &[]).await?;
        }
        let mut after = 0;
        loop {
            let others = doc! { "room": id.clone(), "message": false, "seq": { "$gt": after } };
            let entries = self.entries.clone_with_type::<BodyRow>();
            let find =
                entries.find(others).sort(doc! { "seq": 1 }).limit(PAGE).projection(doc! { "seq": 1, "body": 1 });
            let page = all("find who is named", find).await?;
            for row in &page {
                self.name_another(&id, row, user, stand_in).await?;
            }
            match page.last() {
                Some(last) => after = last.seq,
                None => break,
            }
        }
        let theirs = doc! { "room": id, "user": user.as_str() };
        ask("forget a membership", self.members.delete_many(theirs.clone())).await?;
        ask("forget a mark", self.marks.delete_many(theirs)).await.map(drop)
    }

    async fn name_another(
        &self,
        room: &Binary,
        row: &BodyRow,
        user: &UserId,
        stand_in: &UserId,
    ) -> Result<(), StoreError> {
        let mut body = Body::decode(&row.body).map_err(|_| unreadable("body"))?;
        if !body.names(user) {
            return Ok(());
        }
        body.rename(user, stand_in);
        let one = doc! { "room": room.clone(), "seq": row.seq };
        let set = doc! { "$set": { "body": body.encode(), "hash": null } };
        ask("name somebody else", self.entries.update_one(one, set)).await.map(drop)
    }

    async fn forget_inbox(&self, inbox: RoomId) -> Result<(), StoreError> {
        let room = doc! { "room": binary(inbox.as_bytes()) };
        ask("forget an inbox", self.entries.delete_many(room.clone())).await?;
        ask("forget an inbox", self.members.delete_many(room.clone())).await?;
        ask("forget an inbox", self.marks.delete_many(room)).await?;
        // Last, since rooms are found by it.
        ask("forget an inbox", self.rooms.delete_one(doc! { "_id": binary(inbox.as_bytes()) })).await.map(drop)
    }
}
