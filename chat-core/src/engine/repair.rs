//! Feeding a room from its log, when hints have not brought everything.

use std::sync::Arc;

use super::Inner;
use crate::{
    fanout::{LiveRoom, Standing},
    model::{Entry, RoomId, Seq},
    protocol::HubError,
};

/// One read of a log: a few hundred frames fit an outbox, and a slow store is not held up.
pub(super) const PAGE: u16 = 256;

impl Inner {
    /// Feeds a live room from the log. Whoever finds another at it waits, and finds the work done.
    pub(super) async fn repair(&self, live: &Arc<LiveRoom>) -> Result<(), HubError> {
        let before = live.reached().await;
        let _turn = self.turn(live).await;
        if live.reached().await > before {
            return Ok(());
        }
        while let Some(stands) = live.stands().await {
            // From the entry that passed last: it must still be the one.
            let mut page = self.read_log(live.id(), stands.seq.prev()).await?;
            metrics::counter!("chat_repairs_total").increment(1);
            let full = page.len() == usize::from(PAGE);
            if let Some(last) = page.first().filter(|entry| entry.seq == stands.seq) {
                if stands.id.is_some_and(|id| id != last.id) {
                    self.begin_anew(live.id()).await;
                    break;
                }
                page.remove(0);
            }
            live.feed(stands.seq, page.into_iter().map(Arc::new).collect()).await;
            if !full {
                break;
            }
        }
        Ok(())
    }

    /// Takes entries that are in the log and lets them pass. What came too early waits a moment for the rest.
    pub(super) async fn let_pass(self: &Arc<Self>, room: RoomId, entries: Vec<Arc<Entry>>) {
        let Some(live) = self.rooms.get(room) else { return };
        if self.doubts_store() {
            return self.repair_or_log(&live).await; // what is before them may be another log by now
        }
        match live.deliver(entries).await {
            Standing::Whole => {}
            Standing::Behind => self.repair_later(live),
            Standing::Forked => self.begin_anew(room).await,
        }
    }

    /// Repairs a room after the time in which hints usually arrive by themselves.
    pub(super) fn repair_later(self: &Arc<Self>, live: Arc<LiveRoom>) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(engine.limits.reorder_wait).await;
            if live.deliver(Vec::new()).await == Standing::Behind {
                engine.repair_or_log(&live).await;
            }
        });
    }

    /// Repairs a room; a failure is left to the next head poll.
    pub(super) async fn repair_or_log(&self, live: &Arc<LiveRoom>) {
        if let Err(error) = self.repair(live).await {
            tracing::warn!(room = %live.id(), %error, "a room could not be read; the next poll tries again");
        }
    }

    pub(super) async fn read_log(&self, room: RoomId, after: Seq) -> Result<Vec<Entry>, HubError> {
        self.store.read(room, after, PAGE).await.map_err(|error| self.store_failed(&error))
    }
}
