//! The port that tells which logs have moved.
//!
//! A row per consumer and room holds the place, and whether it is below the head. It is marked in the transaction that moves
//! the head, and unmarked under the room's lock, so that no commit comes between. What is behind is found by an index of the
//! marked rows alone.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_core::{
    RoomId, Seq, StoreError,
    store::{Behind, Consumer, Feed},
};

use crate::{
    SqlStore,
    backend::{Backend, Opened},
    connection::{Connection, Db, args},
    row::{BehindRow, array, bytes, hex},
    steps::lock,
    work::Work,
};

/// Gives one row without a room when the consumer is known and nowhere behind.
const BEHIND: &str = "
    SELECT r.id, coalesce(l.place, 0) AS place, coalesce(r.head, 0) AS head
    FROM {p}feeds AS f
    LEFT JOIN {p}places AS l ON l.feed = f.num AND l.behind = 1
    LEFT JOIN {p}rooms AS r ON r.num = l.room
    WHERE f.consumer = ?1 LIMIT ?2";

const CREATED: &str = "
    INSERT INTO {p}places (room, feed, place, behind)
    SELECT r.num, f.num, 0, 1 FROM {p}feeds AS f CROSS JOIN {p}rooms AS r ON r.id = ?1";

const FOLLOW: &str = "
    INSERT INTO {p}feeds (consumer)
    SELECT n.consumer FROM (SELECT ?1 AS consumer) AS n
    WHERE NOT EXISTS (SELECT 1 FROM {p}feeds AS f WHERE f.consumer = n.consumer)";

/// Walks through all rooms, once for each consumer.
const FOLLOW_ALL: &str = "
    INSERT INTO {p}places (room, feed, place, behind)
    SELECT r.num, f.num, 0, 1 FROM {p}feeds AS f CROSS JOIN {p}rooms AS r ON r.head > 0 WHERE f.consumer = ?1";

/// Walks through all places, once for each consumer that is gone.
const FORGET_PLACES: &str = "DELETE FROM {p}places WHERE feed = (SELECT num FROM {p}feeds WHERE consumer = ?1)";

const FORGET: &str = "DELETE FROM {p}feeds WHERE consumer = ?1";

#[async_trait]
impl<B: Backend> Feed for Opened<B> {
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
        let read = || self.fetch("read what is behind", BEHIND, args![consumer, limit.max(1)]);
        let mut rows: Vec<BehindRow> = read().await?;
        if rows.is_empty() {
            self.0.write(Work::Follow(consumer.clone())).await?;
            rows = read().await?;
        }
        let rooms = rows.into_iter().filter_map(|(id, place, head)| Some((id?, place, head)));
        let behind = rooms.map(|(id, place, head)| {
            let room = RoomId::from_bytes(bytes(&id)?);
            Ok(Behind { room, place: Seq::from_stored(place), head: Seq::from_stored(head) })
        });
        behind.collect()
    }

    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        self.0.write(Work::Advance(consumer.clone(), places.to_vec())).await.map(drop)
    }

    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
        self.0.write(Work::Unfollow(consumer.clone())).await.map(drop)
    }
}

#[async_trait]
impl Feed for SqlStore {
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
        self.0.behind(consumer, limit).await
    }

    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        self.0.advance(consumer, places).await
    }

    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
        self.0.leave(consumer).await
    }
}

/// Puts all consumers behind in a new room. Makes those wait who begin to follow all rooms: they would not see what is
/// being created, nor be seen.
pub(crate) async fn created<C: Connection>(db: &mut Db<'_, C>, room: RoomId) -> Result<(), StoreError> {
    let what = "tell of a new room";
    if let Some([create, _]) = C::STATEMENTS.gate {
        let _: Vec<(i64, i64)> = db.fetch(what, create, Vec::new()).await?;
    }
    db.execute(what, CREATED, args![room]).await.map(drop)
}

/// Puts a new consumer behind in all rooms; one that is known already is left alone.
pub(crate) async fn follow<C: Connection>(db: &mut Db<'_, C>, consumer: &Consumer) -> Result<(), StoreError> {
    let what = "begin to follow all logs";
    keep_from_creating(db).await?;
    if db.execute(what, FOLLOW, args![consumer]).await? > 0 {
        db.execute(what, FOLLOW_ALL, args![consumer]).await?;
    }
    Ok(())
}

pub(crate) async fn advance<C: Connection>(
    db: &mut Db<'_, C>,
    consumer: &Consumer,
    places: &[(RoomId, Seq)],
) -> Result<(), StoreError> {
    let mut highest = BTreeMap::new();
    for (room, seq) in places {
        let place = highest.entry(*room).or_insert(*seq);
        *place = (*place).max(*seq);
    }
    lock(db, highest.keys().copied().collect()).await?;
    let rows = array(highest.iter().map(|(room, place)| (hex(room.as_bytes()), place)))?;
    db.execute("raise places", C::STATEMENTS.places, args![rows, consumer]).await.map(drop)
}

pub(crate) async fn forget<C: Connection>(db: &mut Db<'_, C>, consumer: &Consumer) -> Result<(), StoreError> {
    let what = "forget who followed all logs";
    keep_from_creating(db).await?;
    db.execute(what, FORGET_PLACES, args![consumer]).await?;
    db.execute(what, FORGET, args![consumer]).await.map(drop)
}

async fn keep_from_creating<C: Connection>(db: &mut Db<'_, C>) -> Result<(), StoreError> {
    let Some([_, follow]) = C::STATEMENTS.gate else { return Ok(()) };
    let _: Vec<(i64, i64)> = db.fetch("wait for rooms that are being created", follow, Vec::new()).await?;
    Ok(())
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[BEHIND, CREATED, FORGET];
