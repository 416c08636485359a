//! A store that says nothing any more: whoever waits for it is told to try again, all of them in the same time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Code, Draft, Engine, HubError, RoomId, RoomSpec, StoreError, StoreErrorKind,
    conformance::faulty::{Call, FaultyStore, StoreFault},
    memory::MemoryStore,
    protocol::Target,
};
use common::{human, leave, limits, user};
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

/// What a driver waits for an answer; as long as a sender waits.
const DRIVER: Duration = Duration::from_secs(5);
/// What a sender waits, and a moment.
const WITHIN: Duration = Duration::from_millis(5_010);
const GUESTS: usize = 8;

/// Answers nothing as long as it is silent; drivers give up and say so.
#[derive(Default)]
struct Silence(AtomicBool);

#[async_trait]
impl StoreFault for Silence {
    async fn before(&self, _: &mut Call) -> Result<(), StoreError> {
        if self.0.load(Ordering::Relaxed) {
            sleep(DRIVER).await;
            return Err(StoreError::new(StoreErrorKind::Unavailable, "no answer"));
        }
        Ok(())
    }
}

struct House {
    engine: Engine,
    silence: Arc<Silence>,
    room: RoomId,
}

fn guest(number: usize) -> String {
    format!("guest{number}")
}

impl House {
    /// Everybody is a member of one room.
    async fn open() -> Self {
        let silence = Arc::new(Silence::default());
        let store = Arc::new(FaultyStore::new(MemoryStore::new(), silence.clone()));
        let engine = Engine::builder().store(store).limits(limits()).build().await.unwrap();
        let spec = RoomSpec::private("house").members((0..GUESTS).map(|number| user(&guest(number))));
        let room = chat_core::Hub::create(&engine.hub(human("ann")), spec).await.unwrap().id();
        Self { engine, silence, room }
    }

    /// Posts, and returns the answer and how long it took.
    async fn post(&self, who: &str, draft: Draft) -> (Option<HubError>, Duration) {
        let (hub, begin) = (self.engine.hub(human(who)), Instant::now());
        let posted = timeout(Duration::from_mins(1), hub.post_to(Target::Room(self.room), draft)).await;
        (posted.expect("an answer within a minute").err(), begin.elapsed())
    }

    async fn all_are_told(&self, posts: impl Iterator<Item = (Duration, String, Draft)>) {
        let posts = posts.map(async |(wait, who, draft)| {
            sleep(wait).await;
            self.post(&who, draft).await
        });
        for (error, took) in join_all(posts).await {
            assert_eq!(error.unwrap().code, Code::Retry);
            assert!(took <= WITHIN, "{took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn those_whose_rights_have_to_be_read_do_not_wait_for_each_other() {
    let house = House::open().await;
    house.silence.0.store(true, Ordering::Relaxed);
    house.all_are_told((0..GUESTS).map(|number| (Duration::ZERO, guest(number), Draft::text("hello")))).await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_others_wait_is_told_in_the_same_time() {
    let house = House::open().await;
    house.silence.0.store(true, Ordering::Relaxed);
    let comes = |number: usize| (Duration::from_millis(700) * u32::try_from(number).unwrap(), guest(number % GUESTS));
    let posts = (0..30).map(comes).map(|(wait, who)| (wait, who, Draft::text("hello")));
    house.all_are_told(posts).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_to_be_judged_after_a_change_of_members_does_not_wait_for_the_store() {
    let house = House::open().await;
    for who in (0..GUESTS).map(guest).chain(["ann".to_owned()]) {
        assert_eq!(house.post(&who, Draft::text("hello")).await.0, None);
    }
    house.silence.0.store(true, Ordering::Relaxed);
    let kick = (Duration::ZERO, "ann".to_owned(), leave(&guest(0)));
    let others = (1..GUESTS).map(|number| (Duration::ZERO, guest(number), Draft::text("again")));
    house.all_are_told(std::iter::once(kick).chain(others)).await;
}
