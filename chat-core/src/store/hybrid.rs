//! One store made of two: the logs in one database, the rooms in another.
//!
//! Messages may belong into a database that takes many of them, and rooms, members and read marks into the one that the
//! host joins its own tables with. There is **no double write** that both have to survive: the log is the truth, and the
//! rooms are a projection of it that follows.
//!
//! ```text
//!  append ──▶ log (L) ──▶ answered ◀── nothing is answered that the log does not have
//!               │
//!               └─ project ──▶ rooms (R)    at once, and else: when somebody asks for the room,
//!                                           or by the log's feed, within seconds
//! ```
//!
//! Whoever crashes between the two leaves rooms that lag. [`access`](RoomStore::access) compares them with the head of
//! the log and catches up first, so nobody is judged by what is old; [`Hybrid::catch_up`] finds all others by the log's
//! [`Feed`], under the name `hybrid`.

mod people;
mod ports;
mod repair;
mod restore;

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::{Behind, Consumer, Feed, LogStore, RoomStore, StoreError, StoreErrorKind};
use crate::model::{Entry, RoomId, Seq, UserId};

/// How many entries are projected at once.
const PAGE: u16 = 256;

/// How many rooms are caught up with at once.
const ROOMS: u16 = 256;

/// How long an append waits for the rooms to follow: 2 s, less than the 5 s that a sender waits. What is not done by then
/// is caught up with later; the entries are stored.
const FOLLOW_WITHIN: Duration = Duration::from_secs(2);

/// How often to look for rooms that do not follow their logs: 5 s. Whoever opens such a room brings it up to date at
/// once; this is for lists.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Keeps logs in `L`, and rooms, members, lists and read marks in `R`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use chat_core::{Engine, memory::MemoryStore, store::Hybrid};
///
/// let store = Hybrid::open(MemoryStore::new(), MemoryStore::new()).await?;
/// let engine = Engine::builder().store(store).build().await?;
/// # drop(engine);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct Hybrid<L, R> {
    pub(super) log: L,
    pub(super) rooms: R,
    /// Up to where this process has projected, for the feed to learn: one write for many appends.
    projected: Mutex<BTreeMap<RoomId, Seq>>,
    consumer: Consumer,
}

impl<L: LogStore + Feed, R: RoomStore> Hybrid<L, R> {
    /// Joins two stores, catches up with what a crash left, and goes on looking for such rooms until it is dropped. Where
    /// the rooms' database is new, all logs are projected first, which takes its time.
    ///
    /// Must be called inside a tokio runtime.
    pub async fn open(log: L, rooms: R) -> Result<Arc<Self>, StoreError>
    where
        L: 'static,
        R: 'static,
    {
        let hybrid = Arc::new(Self::new(log, rooms));
        let rooms = hybrid.catch_up().await?;
        if rooms > 0 {
            tracing::info!(rooms, "rooms have caught up with their logs");
        }
        tokio::spawn(Self::look(Arc::downgrade(&hybrid)));
        Ok(hybrid)
    }

    async fn look(hybrid: Weak<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(hybrid) = hybrid.upgrade() else { return };
            if let Err(error) = hybrid.catch_up().await {
                tracing::warn!(%error, "rooms cannot follow their logs for now");
            }
        }
    }

    /// Joins two stores, and leaves it to the caller to [catch up](Self::catch_up).
    pub fn new(log: L, rooms: R) -> Self {
        Self { log, rooms, projected: Mutex::default(), consumer: Consumer::known("hybrid") }
    }

    /// Projects what is behind, and returns in how many rooms something was. To be called when the process starts and then
    /// every few seconds, by each process: appends of one that died are found by the others.
    ///
    /// A room that cannot be projected is logged, and keeps no other one waiting.
    pub async fn catch_up(&self) -> Result<u64, StoreError> {
        let projected: Vec<_> = mem::take(&mut *self.projected.lock()).into_iter().collect();
        if !projected.is_empty() {
            self.log.advance(&self.consumer, &projected).await?;
        }
        let mut caught_up = 0;
        loop {
            let behind = self.log.behind(&self.consumer, ROOMS).await?;
            let mut done = Vec::with_capacity(behind.len());
            for Behind { room, head, .. } in &behind {
                match self.catch_up_in(*room, *head).await {
                    Ok(entries) => {
                        caught_up += u64::from(entries > 0);
                        done.push((*room, *head));
                    }
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => tracing::error!(%error, %room, "the room cannot follow its log: run fsck"),
                }
            }
            self.log.advance(&self.consumer, &done).await?;
            if behind.len() < usize::from(ROOMS) || done.is_empty() {
                return Ok(caught_up);
            }
        }
    }

    /// Projects a room's log up to a position, as far as it goes, and returns how many entries were read for it.
    async fn catch_up_in(&self, room: RoomId, through: Seq) -> Result<usize, StoreError> {
        let access = self.rooms.access(room, &UserId::system()).await?;
        let mut as_of = access.map_or(Seq::ZERO, |access| access.as_of);
        let mut entries = 0;
        while as_of < through {
            let page = self.log.read(room, as_of, PAGE).await?;
            let Some(last) = page.last() else { break }; // a head may be above its log for a moment
            self.rooms.project(&page).await?;
            as_of = last.seq;
            entries += page.len();
        }
        Ok(entries)
    }

    /// Lets the rooms follow what was appended. They may fail to, or be slow: the entries are stored all the same.
    async fn follow(&self, stored: &[Entry]) {
        let projected = match timeout(FOLLOW_WITHIN, self.project_stored(stored)).await {
            Ok(projected) => projected,
            Err(_) => Err(StoreError::new(StoreErrorKind::Timeout, "project what was appended")),
        };
        match projected {
            Ok(()) => {
                let mut places = self.projected.lock();
                for entry in stored {
                    let place = places.entry(entry.room).or_default();
                    *place = entry.seq.max(*place);
                }
            }
            Err(error) => {
                metrics::counter!("chat_rooms_behind_total").increment(1);
                tracing::warn!(%error, "rooms are behind their logs, and will follow");
            }
        }
    }

    async fn project_stored(&self, stored: &[Entry]) -> Result<(), StoreError> {
        match self.rooms.project(stored).await {
            // Another node has appended in between and is not that far yet, or somebody was cut off.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                let mut heads: BTreeMap<RoomId, Seq> = BTreeMap::new();
                heads.extend(stored.iter().map(|entry| (entry.room, entry.seq)));
                for (room, head) in heads {
                    self.catch_up_in(room, head).await?;
                }
                Ok(())
            }
            projected => projected,
        }
    }
}

impl<L: fmt::Debug, R: fmt::Debug> fmt::Debug for Hybrid<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hybrid").field("log", &self.log).field("rooms", &self.rooms).finish_non_exhaustive()
    }
}
