//! The port that tells which logs have moved.
//!
//! A room's document lists the consumers that are behind there, and their places. Who appends first raises the head, then
//! reads who the consumers are and puts them behind, then inserts. Who advances is taken off the list in one update that
//! demands the head to be where they are. So whichever comes first: an append that a consumer has not seen leaves it behind.
//! And who begins to follow first says so, then puts itself behind in all rooms: it is seen by those who append, or sees
//! the heads they raised.
//!
//! A head may be above the log, when a writer was slow or is gone. So what is given as behind is compared with the log.

use async_trait::async_trait;
use chat_core::{
    RoomId, Seq, StoreError,
    store::{Behind, Consumer, Feed},
};
use mongodb::bson::doc;

use crate::{
    MongoStore,
    database::Database,
    error::{all, ask, attempt},
    row::{FeedRow, PlacesRow, binary, bytes},
};

#[async_trait]
impl Feed for MongoStore {
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
        let behind = self.0.behind(consumer.as_str(), limit).await?;
        if !behind.is_empty() || self.0.is_ready(consumer.as_str()).await? {
            return Ok(behind);
        }
        self.0.follow(consumer.as_str()).await?;
        self.0.behind(consumer.as_str(), limit).await
    }

    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        if !self.0.is_ready(consumer.as_str()).await? {
            return Ok(());
        }
        for (room, seq) in places {
            self.0.advance(consumer.as_str(), *room, *seq).await?;
        }
        Ok(())
    }

    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
        let what = "forget who followed all logs";
        ask(what, self.0.feeds.delete_one(doc! { "_id": consumer.as_str() })).await?;
        let off = doc! { "$pull": { "behind": consumer.as_str() }, "$unset": { place(consumer.as_str()): "" } };
        ask(what, self.0.rooms.update_many(doc! {}, off)).await.map(drop)
    }
}

impl Database {
    /// Puts all consumers behind in a room.
    pub(crate) async fn put_behind(&self, room: RoomId) -> Result<(), StoreError> {
        let consumers = all("read who follows all logs", self.feeds.find(doc! {})).await?;
        if consumers.is_empty() {
            return Ok(());
        }
        let consumers: Vec<_> = consumers.into_iter().map(|row| row.consumer).collect();
        let put = doc! { "$addToSet": { "behind": { "$each": consumers } } };
        let one = doc! { "_id": binary(room.as_bytes()) };
        ask("put consumers behind", self.rooms.update_one(one, put)).await.map(drop)
    }

    async fn behind(&self, consumer: &str, limit: u16) -> Result<Vec<Behind>, StoreError> {
        let rooms = self.rooms.clone_with_type::<PlacesRow>();
        let find = rooms.find(doc! { "behind": consumer }).limit(limit.max(1).into());
        let rows = all("read what is behind", find.projection(doc! { place(consumer): 1 })).await?;
        let mut behind = Vec::with_capacity(rows.len());
        for row in rows {
            let room = RoomId::from_bytes(bytes(&row.id)?);
            let place = Seq::from_stored(row.places.get(consumer).copied().unwrap_or_default());
            let head = self.last(room).await?.map_or(Seq::ZERO, |last| Seq::from_stored(last.seq));
            if head > place {
                behind.push(Behind { room, place, head });
            }
        }
        Ok(behind)
    }

    async fn is_ready(&self, consumer: &str) -> Result<bool, StoreError> {
        let row = ask("look up a consumer", self.feeds.find_one(doc! { "_id": consumer })).await?;
        Ok(row.is_some_and(|row| row.ready))
    }

    /// Puts a consumer behind in all rooms. What breaks off is done again: it is ready only at the end.
    async fn follow(&self, consumer: &str) -> Result<(), StoreError> {
        let what = "begin to follow all logs";
        // Refused when another process of the same consumer does the same.
        attempt(what, self.feeds.insert_one(FeedRow { consumer: consumer.to_owned(), ready: false })).await?;
        ask(what, self.rooms.update_many(doc! {}, doc! { "$addToSet": { "behind": consumer } })).await?;
        ask(what, self.feeds.update_one(doc! { "_id": consumer }, doc! { "$set": { "ready": true } })).await.map(drop)
    }

    async fn advance(&self, consumer: &str, room: RoomId, seq: Seq) -> Result<(), StoreError> {
        let Some(last) = self.last(room).await? else { return Ok(()) };
        let at = seq.to_stored().min(last.seq);
        let (one, raise) = (doc! { "_id": binary(room.as_bytes()) }, doc! { "$max": { place(consumer): at } });
        let (mut at_head, mut done) = (one.clone(), raise.clone());
        at_head.insert("head", doc! { "$lte": at });
        done.insert("$pull", doc! { "behind": consumer });
        if ask("raise a place", self.rooms.update_one(at_head, done)).await?.matched_count == 0 {
            ask("raise a place", self.rooms.update_one(one, raise)).await?;
        }
        Ok(())
    }
}

/// Returns where a consumer's place is in a room's document. Its name is a plain word.
fn place(consumer: &str) -> String {
    format!("places.{consumer}")
}
