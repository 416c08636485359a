//! The suite of [`Feed`].

// What a case shows is said once: beside its name in the documentation of the port.
#![allow(missing_docs)]

mod places;
mod racing;

use std::{fmt, sync::Arc};

pub use self::{places::*, racing::*};
use super::{
    store::{
        StoreUnderTest,
        setting::{Setting, seq},
    },
    suite,
};
use crate::{
    Store,
    model::RoomId,
    store::{Consumer, Feed},
};

suite! {
    ($)
    /// Runs the suite of [`Feed`](crate::store::Feed): `feed_conformance!(name, factory)`, where the factory gives what that of
    /// [`store_conformance!`](crate::store_conformance) gives.
    ///
    /// ```
    /// use chat_core::memory::MemoryStore;
    /// chat_core::feed_conformance!(memory, || async { MemoryStore::new() });
    /// ```
    feed_conformance in feed:
    a_new_consumer_is_behind_in_every_room,
    a_room_is_behind_until_its_head_is_reached,
    what_is_appended_puts_a_room_behind_again,
    each_consumer_has_its_own_places,
    no_more_rooms_than_asked_for,
    nothing_is_missed_while_others_write,
    places_only_rise,
    a_place_ends_at_the_head,
    who_never_asked_has_no_place,
    who_is_forgotten_begins_anew,
}

/// Is a fresh, empty store to be tested.
#[derive(Clone)]
pub struct FeedUnderTest {
    store: StoreUnderTest,
    feed: Arc<dyn Feed>,
}

impl<S: Store + Feed + 'static> From<S> for FeedUnderTest {
    fn from(store: S) -> Self {
        (store, ()).into()
    }
}

impl<S: Store + Feed + 'static, K: Send + Sync + 'static> From<(S, K)> for FeedUnderTest {
    fn from((store, keep): (S, K)) -> Self {
        let store = Arc::new(store);
        Self::new((store.clone(), keep), store)
    }
}

impl FeedUnderTest {
    /// Tests a feed that is not the store itself, but about it.
    pub fn new(store: impl Into<StoreUnderTest>, feed: Arc<dyn Feed>) -> Self {
        Self { store: store.into(), feed }
    }

    async fn room(&self, name: &str) -> Setting {
        let room = Setting::at(&self.store, name);
        room.create("ann", crate::RoomSpec::private(name)).await;
        room
    }

    /// Returns the rooms a consumer is behind in, by id, each with its place and head.
    async fn behind(&self, consumer: &str) -> Vec<(RoomId, u64, u64)> {
        self.behind_up_to(consumer, 100).await
    }

    async fn behind_up_to(&self, consumer: &str, limit: u16) -> Vec<(RoomId, u64, u64)> {
        let behind = self.feed.behind(&called(consumer), limit).await.unwrap();
        let mut rooms: Vec<_> = behind.iter().map(|it| (it.room, it.place.get(), it.head.get())).collect();
        rooms.sort_unstable();
        rooms
    }

    async fn advance(&self, consumer: &str, room: RoomId, place: u64) {
        self.feed.advance(&called(consumer), &[(room, seq(place))]).await.unwrap();
    }
}

impl fmt::Debug for FeedUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedUnderTest").finish_non_exhaustive()
    }
}

fn called(consumer: &str) -> Consumer {
    Consumer::new(consumer).unwrap()
}
