//! The port that tells which logs have moved: an outbox without a second write.
//!
//! Whoever must hear of everything that is written (a search index, webhooks, a projection in another database) keeps
//! one place per room here, and goes on where it stopped. Nothing is written for it beside the log, so nothing can
//! be lost between the two: what was committed while it was away is behind its place when it comes back.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use chat_core::{LogStore, memory::MemoryStore, store::{Consumer, Feed}};
//!
//! let (store, search) = (MemoryStore::new(), Consumer::new("search").unwrap());
//! for room in store.behind(&search, 100).await? {
//!     for entry in store.read(room.room, room.place, 100).await? {
//!         // … index it under (entry.room, entry.seq), so that the second time is harmless …
//!         store.advance(&search, &[(entry.room, entry.seq)]).await?;
//!     }
//! }
//! # Ok::<(), chat_core::StoreError>(()) }).unwrap();
//! ```
//!
//! Each entry is given **at least once**: who stops between handling an entry and advancing gets it again.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::StoreError;
use crate::model::{RoomId, Seq};

/// Names somebody who follows all logs.
///
/// ```
/// use chat_core::store::Consumer;
/// assert_eq!(Consumer::new("search-2").unwrap().as_str(), "search-2");
/// assert!(Consumer::new("Search!").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Consumer(Arc<str>);

/// Says that a text does not name a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a consumer's name is 1 to 32 of a-z, 0-9, _ and -")]
pub struct InvalidConsumer;

impl Consumer {
    /// Checks a name: 1 to 32 of `a-z 0-9 _ -`, which every store can use as it is.
    pub fn new(name: &str) -> Result<Self, InvalidConsumer> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let fits = (1..=32).contains(&name.len()) && name.bytes().all(allowed);
        if fits { Ok(Self(name.into())) } else { Err(InvalidConsumer) }
    }

    /// Names a consumer of ours.
    pub(super) fn known(name: &'static str) -> Self {
        Self(name.into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Consumer").field(&self.as_str()).finish()
    }
}

/// Is a room in which a consumer is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The room.
    pub room: RoomId,
    /// The last position the consumer is done with; `ZERO` at first. Read the log after it.
    pub place: Seq,
    /// Where the log ended when this was read.
    pub head: Seq,
}

/// Keeps the places of consumers in all logs.
///
/// # Contract
///
/// An entry that is committed is behind every consumer's place from that moment on, whatever is called at the same time,
/// until the consumer advances to it. When nothing is behind, asking costs one look into an index, however many rooms
/// there are.
///
/// Several processes may ask under one name; they get the same rooms and share the places. What was trimmed before a
/// consumer came to it is not read any more: the log goes on at its `first` position.
#[async_trait]
pub trait Feed: Send + Sync {
    /// Returns rooms in which this consumer is behind, at most `limit`. Who asks for the first time is behind in all.
    ///
    /// # Behavior
    /// * `a_new_consumer_is_behind_in_every_room`: from the beginning, inboxes too.
    /// * `a_room_is_behind_until_its_head_is_reached`: and tells the place and the head.
    /// * `what_is_appended_puts_a_room_behind_again`: in rooms that are made later, too.
    /// * `each_consumer_has_its_own_places`: what one is done with is behind for another.
    /// * `no_more_rooms_than_asked_for`: the others follow when these are done.
    /// * `nothing_is_missed_while_others_write`: whoever advances while others append, and begins while others create
    ///   rooms, gets everything in the end.
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError>;

    /// Says that this consumer is done up to these positions.
    ///
    /// # Behavior
    /// * `places_only_rise`: a lower one changes nothing.
    /// * `a_place_ends_at_the_head`: nobody can be done with what is not written yet.
    /// * `who_never_asked_has_no_place`: such a consumer is behind in all rooms when they ask; so are rooms unknown.
    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError>;

    /// Forgets a consumer and its places, as if it had never asked. Do so with those that are gone for good: until then
    /// every room keeps a mark for them.
    ///
    /// # Behavior
    /// * `who_is_forgotten_begins_anew`: and nobody else does.
    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError>;
}
