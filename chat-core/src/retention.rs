//! How long messages are kept.
//!
//! A room keeps everything unless its host says otherwise: by age, by count, or both, for all rooms or for each by its
//! record ([`EngineBuilder::retention`](crate::EngineBuilder::retention)). What is older is
//! [trimmed](crate::LogStore::trim): clients whose cursor points there are told a gap, and what is sent under a key of that
//! time is answered `too_old`, since whether it was stored is not known any more.

use std::{sync::Arc, time::Duration};

use crate::{
    model::{Entry, RoomId, RoomRecord, Seq, Timestamp},
    store::{LogStore, StoreError},
};

/// Entries that are read and forgotten at once: few enough that nobody waits for it.
const STEP: u16 = 500;

/// Says what a room keeps. Without a limit, that is everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Entries older than this are forgotten.
    pub age: Option<Duration>,
    /// All but so many of the latest entries are forgotten.
    pub count: Option<u64>,
}

impl Retention {
    /// Whatever else is said, an entry is kept until the time in its key is so long past: an hour.
    ///
    /// A room answers `too_old` to every unknown key up to the latest that was trimmed. So this is how long a sender may
    /// try again, and how far a sender's clock may be behind. It also settles what a clock that is ahead does: its
    /// entries (the engine takes keys from up to a day ahead) are kept for longer, and with them what follows; had they
    /// been trimmed, nobody could write to the room until the clocks of all others had come that far.
    pub const KEYS_KEPT_FOR: Duration = Duration::from_hours(1);

    /// Keeps everything.
    pub const fn forever() -> Self {
        Self { age: None, count: None }
    }

    /// Forgets what is older than this.
    #[must_use]
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Forgets all but so many of the latest entries; joins, edits and reactions are entries, too.
    #[must_use]
    pub const fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Tells whether an entry has served its time, in a room whose log ends at `head`.
    fn is_over(self, entry: &Entry, head: Seq, now: Timestamp) -> bool {
        let past = |time: i64, limit: Duration| now.0.saturating_sub(time) > ms(limit);
        let old = self.age.is_some_and(|age| past(entry.at.0, age));
        let many = self.count.is_some_and(|count| head.get().saturating_sub(entry.seq.get()) >= count);
        // The key of a creation is never forgotten.
        (old || many) && (entry.seq == Seq::FIRST || past(entry.key.unix_ms(), Self::KEYS_KEPT_FOR))
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Is what says how long each room keeps its entries.
pub(crate) type Rule = Arc<dyn Fn(&RoomRecord) -> Retention + Send + Sync>;

/// Forgets what a room keeps no longer, in small steps, and returns how many positions that were.
///
/// Several nodes may do so at once: each forgets what is left. The last entry always stays.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use chat_core::{Retention, RoomId, Timestamp, memory::MemoryStore, retention::trim};
/// let tea = RoomId::named("tea");
/// assert_eq!(trim(&MemoryStore::new(), tea, Retention::forever().count(100), Timestamp(0)).await.unwrap(), 0);
/// # });
/// ```
pub async fn trim<S: LogStore + ?Sized>(
    store: &S,
    room: RoomId,
    retention: Retention,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut trimmed = 0;
    if retention == Retention::forever() {
        return Ok(trimmed);
    }
    let Some(head) = store.heads(&[room]).await?.first().map(|head| head.seq) else { return Ok(trimmed) };
    loop {
        let page = store.read(room, Seq::ZERO, STEP).await?;
        let over = page.iter().take_while(|entry| entry.seq < head && retention.is_over(entry, head, now));
        let over: Vec<_> = over.map(|entry| entry.seq).collect();
        if let Some(last) = over.last() {
            store.trim(room, *last).await?;
            trimmed += over.len() as u64;
        }
        if over.len() < usize::from(STEP) {
            return Ok(trimmed);
        }
    }
}
