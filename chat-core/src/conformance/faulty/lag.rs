//! A projection that lags behind its log, as far as a store may let it.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Answer, Call, Chance, StoreFault};
use crate::{
    memory::MemoryStore,
    model::{RoomId, Seq},
    store::{LogStore, Outcome, RoomStore, Store, StoreError},
};

/// Entries that are projected in one go.
const PAGE: u16 = 256;

/// Answers `access` from a projection that is behind the log, as in a store that projects after the append.
///
/// It lags no further than the contract allows: it takes into account what an append has answered as stored, and its
/// guard is never below the log's. So an answer to an append takes a moment in which others read the log with the new
/// entries, and an access without them.
pub struct LaggingAccess {
    log: Arc<dyn Store>,
    projection: MemoryStore,
    state: Mutex<BTreeMap<RoomId, Places>>,
    chance: Chance,
    longest: Duration,
}

/// Is how far the projection of one room is, and how far it must be.
#[derive(Clone, Copy, Default)]
struct Places {
    projected: Seq,
    answered: Seq,
}

impl LaggingAccess {
    /// Lets the projection of `log`, the store that this stands before, lag for up to `longest`; zero lets everything
    /// pass as it is.
    pub fn new(log: Arc<dyn Store>, chance: Chance, longest: Duration) -> Self {
        Self { log, projection: MemoryStore::new(), state: Mutex::default(), chance, longest }
    }

    fn places(&self, room: RoomId) -> Places {
        self.state.lock().get(&room).copied().unwrap_or_default()
    }

    /// Projects up to and including `through`.
    async fn catch_up(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        loop {
            let after = self.places(room).projected;
            if after >= through {
                return Ok(());
            }
            let mut page = self.log.read(room, after, PAGE).await?;
            page.retain(|entry| entry.seq <= through);
            let Some(last) = page.last() else { return Ok(()) };
            self.projection.project(&page).await?;
            let mut state = self.state.lock();
            let places = state.entry(room).or_default();
            places.projected = places.projected.max(last.seq);
        }
    }

    fn answered(&self, batch: &[crate::store::Append], outcomes: &[Vec<Outcome>]) {
        let mut state = self.state.lock();
        for (share, outcomes) in batch.iter().zip(outcomes) {
            let positions = outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Stored(seq) | Outcome::Duplicate(seq, _) => Some(*seq),
                _ => None,
            });
            let places = state.entry(share.room).or_default();
            places.answered = positions.fold(places.answered, Seq::max);
        }
    }
}

#[async_trait]
impl StoreFault for LaggingAccess {
    async fn before(&self, call: &mut Call) -> Result<(), StoreError> {
        // What is trimmed can be projected no more.
        if let Call::Trim { room, .. } = call {
            let head = self.log.heads(&[*room]).await?.first().copied().unwrap_or_default();
            self.catch_up(*room, head.seq).await?;
        }
        Ok(())
    }

    async fn after(&self, call: &Call, answer: &mut Answer) -> Result<(), StoreError> {
        if self.longest.is_zero() {
            return Ok(());
        }
        match (call, answer) {
            (Call::Append(batch), Answer::Append(outcomes)) => {
                tokio::time::sleep(self.chance.time(self.longest)).await;
                self.answered(batch, outcomes);
            }
            (Call::Access { room, user }, Answer::Access(access)) => {
                let Some(whole) = access.as_ref().map(|access| (access.as_of, access.guard)) else { return Ok(()) };
                let least = whole.1.max(self.places(*room).answered).max(Seq::FIRST);
                let through = if self.chance.percent(50) { least } else { whole.0 };
                self.catch_up(*room, through).await?;
                if self.places(*room).projected < through {
                    return Ok(()); // not of this log: somebody has projected entries of another
                }
                *access = self.projection.access(*room, user).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Debug for LaggingAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaggingAccess").field("longest", &self.longest).finish_non_exhaustive()
    }
}
