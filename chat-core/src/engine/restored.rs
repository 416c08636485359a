//! When the log goes back: the store was restored from a backup, or a standby took over that was not told of everything.
//!
//! What a node remembers may then be of entries that are no more: what has passed, who may do what, who follows which
//! rooms. It is found out by the ids of entries: whenever a room is read on from where it stands, by each head poll, and
//! when this node itself stores at a position that has passed. A node forgets all then, and sends everybody away to come
//! again, here or elsewhere: whose cursor is not of the log is answered `reset`.
//!
//! Another log cannot come without some call failing first, so after a failure nothing passes unread until a head poll
//! has found every room as it was.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Inner;
use crate::{
    model::{Cursor, RoomId},
    store::{Head, StoreError, StoreErrorKind},
};

/// Counts what casts doubt on what this node remembers.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Calls of the store that failed.
    failures: AtomicU64,
    /// How many of them came before the latest poll that found all as it was.
    settled: AtomicU64,
    /// How often the log has gone back.
    era: AtomicU64,
}

impl Inner {
    /// Notes that a call of the store failed. One that gave way to somebody else is of the same store.
    pub(super) fn doubt_store(&self, error: &StoreError) {
        if matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Timeout) {
            self.doubts.failures.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Tells whether the log may have gone back since it was last looked at.
    pub(super) fn doubts_store(&self) -> bool {
        self.failures() != self.doubts.settled.load(Ordering::Acquire)
    }

    pub(super) fn failures(&self) -> u64 {
        self.doubts.failures.load(Ordering::Acquire)
    }

    /// Notes that all was found as it was, after so many failures.
    pub(super) fn settle_doubts(&self, failures: u64) {
        self.doubts.settled.store(failures, Ordering::Release);
    }

    /// Returns how often the log has gone back: what was remembered in another era is void.
    pub(super) fn era(&self) -> u64 {
        self.doubts.era.load(Ordering::Acquire)
    }

    /// Forgets everything and sends everybody away to come again.
    pub(super) async fn begin_anew(&self, room: RoomId) {
        tracing::error!(%room, "the log has gone back, as after a restore; all clients are asked to come again");
        metrics::counter!("chat_restores_total").increment(1);
        self.doubts.era.fetch_add(1, Ordering::AcqRel);
        for room in self.rooms.all() {
            room.forget().await;
        }
        let seats = self.seats();
        for seat in &seats {
            seat.close(self.goodbye(seats.len()));
        }
    }
}

/// Tells whether a log that ended at `stood`, or later, ends somewhere else now.
pub(super) fn has_gone_back(stood: Cursor, head: &Head) -> bool {
    let differs = stood.id.zip(head.id).is_some_and(|(stood, head)| stood != head);
    head.seq < stood.seq || (head.seq == stood.seq && differs)
}
