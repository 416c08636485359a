//! Broken feeds: each is the one in memory with one defect.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use chat_core::{
    RoomId, Seq, StoreError,
    conformance::feed::FeedUnderTest,
    memory::MemoryStore,
    store::{Behind, Consumer, Feed},
};
use parking_lot::Mutex;

use super::mutants;

mutants! { feed, broken;
    a_new_consumer_is_behind_in_every_room: BeginsAtTheHead,
    a_room_is_behind_until_its_head_is_reached: IsDoneAtOnce,
    what_is_appended_puts_a_room_behind_again: TellsOnce,
    each_consumer_has_its_own_places: OnePlaceForAll,
    no_more_rooms_than_asked_for: IgnoresTheLimit,
    nothing_is_missed_while_others_write: IsDoneAtOnce,
    places_only_rise: PlacesFall,
    a_place_ends_at_the_head: RunsAhead,
    who_never_asked_has_no_place: CountsAnyway,
    who_is_forgotten_begins_anew: ForgetsNobody,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    BeginsAtTheHead,
    IsDoneAtOnce,
    TellsOnce,
    OnePlaceForAll,
    IgnoresTheLimit,
    PlacesFall,
    RunsAhead,
    CountsAnyway,
    ForgetsNobody,
}
use Defect::*;

struct Broken {
    inner: Arc<MemoryStore>,
    defect: Defect,
    asked: Mutex<BTreeSet<Consumer>>,
    done: Mutex<BTreeMap<RoomId, Seq>>,
}

fn broken(defect: Defect) -> FeedUnderTest {
    let inner = Arc::new(MemoryStore::new());
    let feed = Broken { inner: inner.clone(), defect, asked: Mutex::default(), done: Mutex::default() };
    FeedUnderTest::new(inner, Arc::new(feed))
}

impl Broken {
    fn consumer(&self, consumer: &Consumer) -> Consumer {
        if self.defect == OnePlaceForAll { Consumer::new("all").unwrap() } else { consumer.clone() }
    }

    fn is_done(&self, behind: &Behind) -> bool {
        self.done.lock().get(&behind.room).is_some_and(|done| match self.defect {
            TellsOnce => true,
            RunsAhead => *done >= behind.head,
            _ => false,
        })
    }
}

#[async_trait]
impl Feed for Broken {
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
        let consumer = self.consumer(consumer);
        let limit = if self.defect == IgnoresTheLimit { u16::MAX } else { limit };
        let mut behind = self.inner.behind(&consumer, limit).await?;
        if self.asked.lock().insert(consumer.clone()) && self.defect == BeginsAtTheHead {
            let heads: Vec<_> = behind.drain(..).map(|room| (room.room, room.head)).collect();
            self.inner.advance(&consumer, &heads).await?;
        }
        behind.retain(|room| !self.is_done(room));
        Ok(behind)
    }

    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        let consumer = self.consumer(consumer);
        match self.defect {
            PlacesFall => self.inner.leave(&consumer).await?,
            RunsAhead | TellsOnce => self.done.lock().extend(places.iter().copied()),
            _ => {}
        }
        if matches!(self.defect, PlacesFall | CountsAnyway) {
            self.inner.behind(&consumer, 1).await?;
        }
        let done = if self.defect == IsDoneAtOnce { Seq::new(u64::from(u32::MAX)) } else { None };
        let places: Vec<_> = places.iter().map(|(room, seq)| (*room, done.unwrap_or(*seq))).collect();
        self.inner.advance(&consumer, &places).await
    }

    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
        if self.defect == ForgetsNobody { Ok(()) } else { self.inner.leave(consumer).await }
    }
}
