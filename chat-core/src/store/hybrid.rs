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

use std::{collections::BTreeMap, fmt, mem, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    Access, Append, Behind, Consumer, Feed, Head, Listing, LogStore, Outcome, RoomStore, StoreError, StoreErrorKind,
    Tail,
};
use crate::model::{Entry, Member, Page, RoomId, RoomSummary, Seq, UserId};

/// How many entries are projected at once.
const PAGE: u16 = 256;

/// How many rooms are caught up with at once.
const ROOMS: u16 = 256;

/// How long an append waits for the rooms to follow: 2 s, less than the 5 s that a sender waits. What is not done by then
/// is caught up with later; the entries are stored.
const FOLLOW_WITHIN: Duration = Duration::from_secs(2);

/// Keeps logs in `L`, and rooms, members, lists and read marks in `R`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use chat_core::{Engine, memory::MemoryStore, store::Hybrid};
/// use std::sync::Arc;
///
/// let store = Arc::new(Hybrid::new(MemoryStore::new(), MemoryStore::new()));
/// store.catch_up().await?; // what a crash left; then every few seconds
/// let engine = Engine::builder().store(store).build().await?;
/// # drop(engine);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct Hybrid<L, R> {
    log: L,
    rooms: R,
    /// Up to where this process has projected, for the feed to learn: one write for many appends.
    projected: Mutex<BTreeMap<RoomId, Seq>>,
    consumer: Consumer,
}

impl<L: LogStore + Feed, R: RoomStore> Hybrid<L, R> {
    /// Joins two stores. Nothing is read or written before something is asked for.
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

/// Returns what of a batch was stored, as it stands in the logs.
fn stored(batch: &[Append], answers: &[Vec<Outcome>]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (share, outcomes) in batch.iter().zip(answers) {
        for (new, outcome) in share.entries.iter().zip(outcomes) {
            if let Outcome::Stored(seq) = outcome {
                entries.push(new.at(share.room, *seq));
            }
        }
    }
    entries
}

#[async_trait]
impl<L: LogStore + Feed, R: RoomStore> LogStore for Hybrid<L, R> {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let answers = self.log.append(batch).await?;
        let stored = stored(batch, &answers);
        if !stored.is_empty() {
            self.follow(&stored).await;
        }
        Ok(answers)
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.log.read(room, after, limit).await
    }

    async fn edits(&self, room: RoomId, target: Seq, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.log.edits(room, target, after, limit).await
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.log.history(room, page).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.log.heads(rooms).await
    }

    /// Lets the room follow first: what is forgotten cannot be projected any more.
    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        for head in self.log.heads(&[room]).await? {
            self.catch_up_in(room, head.seq).await?;
        }
        self.log.trim(room, through).await
    }

    async fn tails(&self, user: Option<&UserId>, after: &[(RoomId, Seq)]) -> Result<Vec<Tail>, StoreError> {
        self.log.tails(user, after).await
    }
}

#[async_trait]
impl<L: LogStore + Feed, R: RoomStore> RoomStore for Hybrid<L, R> {
    /// Catches up first when the room is behind its log.
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        let rooms = [room];
        let (heads, access) = futures::try_join!(self.log.heads(&rooms), self.rooms.access(room, user))?;
        let head = heads.first().map_or(Seq::ZERO, |head| head.seq);
        let as_of = access.as_ref().map_or(Seq::ZERO, |access| access.as_of);
        if as_of >= head || self.catch_up_in(room, head).await? == 0 {
            return Ok(access);
        }
        self.rooms.access(room, user).await
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.rooms.members(room, page).await
    }

    /// Completes the rooms' list by what only the logs know.
    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        if let Listing::One(room, user) = which {
            self.access(*room, user).await?; // which catches up
        }
        let mut rooms = self.rooms.rooms(which, page).await?;
        let user = match which {
            Listing::Of(user) | Listing::Public(user) | Listing::One(_, user) => Some(user),
            Listing::All => None,
        };
        let after = |summary: &RoomSummary| match &summary.member {
            Some(member) => summary.read.max(member.since),
            None => summary.head, // nothing is counted for who is no member
        };
        let places: Vec<_> = rooms.iter().map(|summary| (summary.room.id, after(summary))).collect();
        let tails = self.log.tails(user, &places).await?;
        for (summary, tail) in rooms.iter_mut().zip(tails) {
            summary.unread = if summary.member.is_some() { tail.unread } else { 0 };
            summary.last = tail.last;
        }
        Ok(rooms)
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.rooms.mark(user, room, read).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.rooms.project(entries).await
    }
}

/// The feed of the log.
#[async_trait]
impl<L: LogStore + Feed, R: RoomStore> Feed for Hybrid<L, R> {
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
        self.log.behind(consumer, limit).await
    }

    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        self.log.advance(consumer, places).await
    }

    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
        self.log.leave(consumer).await
    }
}
