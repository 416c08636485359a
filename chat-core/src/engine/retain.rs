//! Retention: from time to time forgets what rooms keep no longer.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Engine, Inner};
use crate::{
    clock,
    model::{Page, RoomId, RoomSummary},
    protocol::HubError,
    retention::trim,
    store::Listing,
};

/// How often all rooms are looked at: once an hour, so that what is kept for a day goes within 25 hours.
const EVERY: Duration = Duration::from_hours(1);
/// Rooms that are listed at once.
const ROOMS: u16 = 50;
/// Between two pages of rooms the store is left to others.
const PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Forgets what rooms keep no longer, as the node does by itself once an hour if it was built with a
    /// [retention](super::EngineBuilder::retention). Returns how many positions were forgotten.
    pub async fn retain(&self) -> Result<u64, HubError> {
        self.inner().retain().await
    }
}

impl Inner {
    async fn retain(&self) -> Result<u64, HubError> {
        let mut trimmed = 0;
        let mut place = Place { before: None, seen: BTreeSet::new(), limit: ROOMS };
        loop {
            let rooms = self.store.rooms(&Listing::All, &place.page()).await;
            let rooms = rooms.map_err(|error| self.store_failed(&error))?;
            let full = rooms.len() == usize::from(place.limit) && place.limit < u16::MAX;
            for summary in place.fresh(rooms) {
                trimmed += self.retain_in(&summary).await?;
            }
            if !full {
                return Ok(trimmed);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn retain_in(&self, summary: &RoomSummary) -> Result<u64, HubError> {
        let retention = (self.retention)(&summary.room);
        let trimmed = trim(&*self.store, summary.room.id, retention, self.clock.now()).await;
        let trimmed = trimmed.map_err(|error| self.store_failed(&error))?;
        metrics::counter!("chat_trimmed_entries_total").increment(trimmed);
        Ok(trimmed)
    }
}

/// Is a place in the list of all rooms, which are listed by when they were last active: many at the same moment, if they
/// were imported.
struct Place {
    before: Option<u64>,
    /// The rooms of that moment that were seen already.
    seen: BTreeSet<RoomId>,
    limit: u16,
}

impl Place {
    fn page(&self) -> Page {
        let page = Page { limit: self.limit, ..Page::default() };
        if let Some(before) = self.before { page.before(before) } else { page }
    }

    /// Moves on behind these rooms, and returns those of them that were not seen before.
    fn fresh(&mut self, mut rooms: Vec<RoomSummary>) -> Vec<RoomSummary> {
        let active = |summary: &RoomSummary| u64::try_from(summary.active.0).unwrap_or_default();
        let Some(last) = rooms.last().map(active) else { return rooms };
        let of_this_moment: BTreeSet<_> =
            rooms.iter().filter(|summary| active(summary) == last).map(|summary| summary.room.id).collect();
        rooms.retain(|summary| !self.seen.contains(&summary.room.id));
        // The last moment once more, in which there may be more rooms: with space for those that were seen.
        let before = Some(last.saturating_add(1));
        if self.before == before {
            self.limit = self.limit.saturating_mul(2);
            self.seen.extend(of_this_moment);
        } else {
            (self.before, self.limit, self.seen) = (before, ROOMS, of_this_moment);
        }
        rooms
    }
}

/// Forgets until the task is aborted with the engine. The first round begins at a random time, so that nodes that were
/// started together do not all ask for the same rooms.
pub(super) async fn run(engine: Arc<Inner>) {
    let random: [u8; 4] = clock::bytes(&*engine.entropy);
    tokio::time::sleep(EVERY.mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))).await;
    loop {
        match engine.retain().await {
            Ok(trimmed) => tracing::info!(trimmed, "what is kept no longer was forgotten"),
            Err(error) => tracing::warn!(%error, "what is kept no longer could not be forgotten now"),
        }
        tokio::time::sleep(EVERY).await;
    }
}
