//! Where a session begins in a room, and the readings that all share who come at once.

use std::sync::Arc;

use tokio::sync::MutexGuard;

use super::{Inner, repair::PAGE};
use crate::{
    fanout::{Class, LiveRoom, Seat},
    hub::Event,
    model::{Cursor, EntryId, Seq},
    protocol::{HubError, ServerFrame},
    store::Access,
};

impl Inner {
    /// Lets a room that nobody followed begin where the log stands; returns where new followers begin.
    pub(super) async fn begin(&self, live: &Arc<LiveRoom>, access: &Access) -> Result<Cursor, HubError> {
        if let Some(head) = live.head(access.as_of).await {
            return Ok(head);
        }
        if live.reached().await.is_some_and(|reached| reached < access.as_of) {
            self.repair(live).await?; // a hint is late
        }
        let _turn = self.turn(live).await;
        if let Some(head) = live.head(access.as_of).await {
            return Ok(head); // whoever had the turn before has found it out
        }
        // First the place, then the read: what is committed in between is either delivered or read.
        live.begin(access.as_of, None, access.guard).await;
        let tail = self.read_log(live.id(), access.as_of.prev()).await?;
        let id = tail.first().filter(|entry| entry.seq == access.as_of).map(|entry| entry.id);
        if let Some(id) = id {
            live.identify(access.as_of, id).await;
        }
        live.feed(access.as_of, tail.into_iter().filter(|entry| entry.seq > access.as_of).map(Arc::new).collect())
            .await;
        Ok(live.head(access.as_of).await.unwrap_or(Cursor::new(live.id(), access.as_of, id)))
    }

    /// Brings a room's ring back to where a client left off, if that is near and others are in the room: one reading for
    /// all who come at once.
    pub(super) async fn reach_back(&self, live: &LiveRoom, at: Seq) -> Result<(), HubError> {
        let at = at.max(Seq::FIRST);
        if !self.rooms.is_shared(live.id()) || !live.falls_short_of(at, PAGE.into()).await {
            return Ok(());
        }
        let turn = self.turn(live).await;
        if turn.is_some() && live.falls_short_of(at, PAGE.into()).await {
            let era = self.era();
            let entries = self.read_log(live.id(), at.prev()).await?;
            if self.era() == era {
                live.reach_back(at, entries).await;
            }
        }
        Ok(())
    }

    /// Waits for the turn to read a room's log. There is none while a call has failed: nobody waits for others then, and
    /// what was remembered is not relied on.
    pub(super) async fn turn<'a>(&self, live: &'a LiveRoom) -> Option<MutexGuard<'a, ()>> {
        if self.doubts_store() {
            return None;
        }
        let turn = live.repairing().await;
        (!self.doubts_store()).then_some(turn)
    }

    /// Checks a client's cursor by the id at its position. One that is not of this log is answered `reset`, and the
    /// session begins at the head.
    pub(super) async fn checked(
        &self,
        seat: &Seat,
        live: &LiveRoom,
        cursor: Cursor,
        head: Cursor,
    ) -> Result<Cursor, HubError> {
        if cursor.seq == Seq::ZERO || (cursor.seq == head.seq && cursor.id == head.id && cursor.id.is_some()) {
            return Ok(cursor);
        }
        if !self.doubts_store() && live.holds(cursor).await {
            return Ok(cursor);
        }
        let found =
            self.store.read(cursor.room, cursor.seq.prev(), 1).await.map_err(|error| self.store_failed(&error))?;
        match found.first() {
            Some(entry) if entry.seq == cursor.seq && Some(entry.id) == cursor.id => Ok(cursor),
            Some(entry) if entry.seq > cursor.seq => Ok(cursor), // trimmed: paging tells the gap
            _ => {
                let room = cursor.room;
                tracing::warn!(%room, seq = %cursor.seq, "a client's cursor is not of this log");
                metrics::counter!("chat_resets_total").increment(1);
                seat.push(Class::Answer, &ServerFrame::Reset { room }, Some(Event::Reset(room)));
                Ok(head)
            }
        }
    }

    /// Returns the id at a place, so that the client can resume from it.
    pub(super) async fn id_at(&self, live: &LiveRoom, at: Cursor, head: Cursor) -> Result<Option<EntryId>, HubError> {
        if at.id.is_some() || at.seq == Seq::ZERO {
            return Ok(at.id);
        }
        if at.seq == head.seq {
            return Ok(head.id);
        }
        if let Some(id) = live.id_before(at.seq.next()).await {
            return Ok(Some(id));
        }
        let found = self.store.read(at.room, at.seq.prev(), 1).await.map_err(|error| self.store_failed(&error))?;
        Ok(found.first().filter(|entry| entry.seq == at.seq).map(|entry| entry.id))
    }
}
