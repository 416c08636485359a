//! Putting right what was made of the logs.

use async_trait::async_trait;
use chat_core::{
    Entry, StoreError, StoreErrorKind,
    store::{Projected, Repair},
};
use mongodb::bson::doc;

use crate::{
    MongoStore,
    database::Database,
    error::ask,
    row::{Shown, binary, text, word},
};

#[async_trait]
impl Repair for MongoStore {
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError> {
        self.0.set_room(room).await
    }

    async fn set_message(&self, message: &Entry) -> Result<(), StoreError> {
        self.0.set_message(message).await
    }
}

impl Database {
    /// Makes a room this, unless its log is here and says otherwise about its own end. The members come first: until the
    /// room's document follows, it is found to differ, and what broke off is done again.
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError> {
        let (what, id) = ("set a room", binary(room.record.id.as_bytes()));
        let head = room.head.to_stored();
        if self.last(room.record.id).await?.is_some_and(|last| last.seq != head) {
            return Err(StoreError::new(StoreErrorKind::Contended, "set a room whose log goes on"));
        }
        let gone = doc! { "$set": { "gone": true, "seq": head } };
        ask(what, self.members.update_many(doc! { "room": id.clone() }, gone)).await?;
        for member in &room.members {
            let one = doc! { "room": id.clone(), "user": member.user.as_str() };
            let (role, since) = (word(member.role), member.since.to_stored());
            let there = doc! { "$set": { "gone": false, "role": role, "since": since, "seq": head } };
            ask(what, self.members.update_one(one, there).upsert(true)).await?;
        }
        let set = doc! {
            "as_of": head,
            "head_id": binary(room.head_id.as_bytes()),
            "guard": room.guard.to_stored(),
            "active": room.active.0,
            "visibility": word(room.record.visibility),
            "record": text(&room.record)?,
        };
        let update = doc! { "$set": set, "$max": { "head": head } };
        ask(what, self.rooms.update_one(doc! { "_id": id }, update).upsert(true)).await.map(drop)
    }

    async fn set_message(&self, message: &Entry) -> Result<(), StoreError> {
        let one = doc! { "room": binary(message.room.as_bytes()), "seq": message.seq.to_stored(), "message": true };
        let update = if let Some(folded) = message.folded.clone() {
            doc! { "$set": { "shown": text(&Shown { body: message.body.clone(), folded })? } }
        } else {
            doc! { "$unset": { "shown": "" } }
        };
        ask("set a message", self.entries.update_one(one, update)).await.map(drop)
    }
}
