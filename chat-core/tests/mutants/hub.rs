//! Hubs with one defect each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Code, Cursor, Draft, Engine, Entry, Event, Hub, Identity, Key, Limits, LocalHub, Member, Outgoing, Page, Posted,
    Room, RoomId, RoomSpec, RoomSummary, Seq, Start, UserId, conformance::hub::HubUnderTest, protocol::HubError,
};
use futures::{StreamExt, future::ready, stream::BoxStream};
use tokio::sync::OnceCell;

use super::mutants;

mutants! {
    hub, under_test;
    a_named_room_is_created_once: IgnoresNames,
    a_room_of_others_is_not_found: FindsAnyRoom,
    a_private_room_is_created_by_its_first_post: MixesUpWhom,
    rooms_lists_the_most_recently_active_first: ListsBackwards,
    hub_events_bring_all_rooms_and_new_ones: MissesNewRooms,
    a_room_that_ones_own_post_creates_comes_from_its_beginning: MissesNewRooms,
    hub_events_resume_after_their_cursors: BeginsAtHead,
    a_cursor_of_a_room_of_others_is_unfollowed: HidesUnfollowed,
    a_post_is_answered_with_its_place: AnswersAnotherPlace,
    the_same_draft_again_has_its_old_place: MakesFreshKeys,
    a_refused_post_says_why: KnowsOneCode,
    posts_of_one_sender_keep_their_order: DawdlesAtTimes,
    a_dropped_post_goes_on: DawdlesAtTimes,
    history_shows_messages_as_they_read_now: ForgetsWhatWasFolded,
    history_has_pages: IgnoresPages,
    members_are_listed_by_user: ListsBackwards,
    events_from_the_head_bring_what_comes: BeginsAtOldest,
    events_from_the_oldest_bring_everything: BeginsAtHead,
    events_after_a_cursor_bring_the_rest: LosesAnEntry,
    streams_of_one_room_do_not_disturb_each_other: HasOneStream,
    a_cursor_of_another_log_is_reset: HidesResets,
    what_was_before_joining_is_a_gap: HidesGaps,
    who_is_removed_is_unfollowed: HidesUnfollowed,
    a_room_of_others_is_unfollowed: HidesUnfollowed,
    a_receiver_that_falls_behind_misses_nothing: LosesAnEntry,
    signals_reach_the_others: DropsSignals,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    IgnoresNames,
    FindsAnyRoom,
    MixesUpWhom,
    ListsBackwards,
    MissesNewRooms,
    BeginsAtHead,
    BeginsAtOldest,
    HidesUnfollowed,
    HidesResets,
    HidesGaps,
    AnswersAnotherPlace,
    MakesFreshKeys,
    KnowsOneCode,
    DawdlesAtTimes,
    ForgetsWhatWasFolded,
    IgnoresPages,
    LosesAnEntry,
    HasOneStream,
    DropsSignals,
}

fn under_test(defect: Defect) -> HubUnderTest {
    let engine = Arc::new(OnceCell::new());
    HubUnderTest::new(move |name| {
        let (engine, identity) = (engine.clone(), Identity::human(UserId::new(name).unwrap(), name));
        async move {
            let engine: &Engine = engine
                .get_or_init(|| async { Engine::builder().limits(Limits::load_profile()).build().await.unwrap() })
                .await;
            Arc::new(Broken { hub: engine.hub(identity), defect, streams: Arc::default() }) as Arc<dyn Hub>
        }
    })
}

struct Broken {
    hub: LocalHub,
    defect: Defect,
    streams: Arc<AtomicUsize>,
}

struct BrokenRoom {
    room: Arc<dyn Room>,
    defect: Defect,
    streams: Arc<AtomicUsize>,
}

impl Broken {
    fn room(&self, room: Arc<dyn Room>) -> Arc<dyn Room> {
        Arc::new(BrokenRoom { room, defect: self.defect, streams: self.streams.clone() })
    }
}

/// Hides what the defect hides.
fn spoil(events: BoxStream<'static, Event>, defect: Defect, streams: &Arc<AtomicUsize>) -> BoxStream<'static, Event> {
    let streams = streams.clone();
    let number = streams.fetch_add(1, Ordering::SeqCst) + 1;
    let shows = move |event: &Event| match (defect, event) {
        (Defect::HasOneStream, _) => streams.load(Ordering::SeqCst) == number,
        (Defect::MissesNewRooms, Event::Followed { head, .. }) => *head > Seq::ZERO,
        (Defect::LosesAnEntry, Event::Entry(entry)) => entry.seq.get() != 150,
        (Defect::HidesUnfollowed, Event::Unfollowed { .. })
        | (Defect::HidesResets, Event::Reset(_))
        | (Defect::HidesGaps, Event::Gap { .. }) => false,
        _ => true,
    };
    events.filter(move |event| ready(shows(event))).boxed()
}

#[async_trait]
impl Hub for Broken {
    async fn create(&self, mut spec: RoomSpec) -> Result<Arc<dyn Room>, HubError> {
        if self.defect == Defect::IgnoresNames {
            spec.name = None;
        }
        Ok(self.room(self.hub.create(spec).await?))
    }

    async fn room(&self, id: RoomId) -> Result<Arc<dyn Room>, HubError> {
        match self.hub.room(id).await {
            Err(_) if self.defect == Defect::FindsAnyRoom => Ok(self.direct(&UserId::system())),
            found => Ok(self.room(found?)),
        }
    }

    fn direct(&self, with: &UserId) -> Arc<dyn Room> {
        let nobody = UserId::system();
        self.room(self.hub.direct(if self.defect == Defect::MixesUpWhom { &nobody } else { with }))
    }

    async fn rooms(&self, page: Page) -> Result<Vec<RoomSummary>, HubError> {
        let mut rooms = self.hub.rooms(page).await?;
        if self.defect == Defect::ListsBackwards {
            rooms.reverse();
        }
        Ok(rooms)
    }

    fn events(&self, resume: Vec<Cursor>) -> BoxStream<'static, Event> {
        let resume = if self.defect == Defect::BeginsAtHead { Vec::new() } else { resume };
        spoil(self.hub.events(resume), self.defect, &self.streams)
    }
}

#[async_trait]
impl Room for BrokenRoom {
    fn id(&self) -> RoomId {
        self.room.id()
    }

    async fn post(&self, mut draft: Draft) -> Result<Posted, HubError> {
        match self.defect {
            Defect::MakesFreshKeys => draft.key = Key::generate(),
            Defect::DawdlesAtTimes if draft.body.text() != Some("1") => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            _ => {}
        }
        match self.room.post(draft).await {
            Ok(Posted::Stored { seq, id }) if self.defect == Defect::AnswersAnotherPlace => {
                Ok(Posted::Stored { seq: seq.prev(), id })
            }
            Err(_) if self.defect == Defect::KnowsOneCode => Err(Code::Denied.into()),
            posted => posted,
        }
    }

    async fn signal(&self, signal: Outgoing) -> Result<(), HubError> {
        if self.defect == Defect::DropsSignals { Ok(()) } else { self.room.signal(signal).await }
    }

    async fn history(&self, page: Page) -> Result<Vec<Entry>, HubError> {
        let page = if self.defect == Defect::IgnoresPages { Page::newest(page.limit) } else { page };
        let mut entries = self.room.history(page).await?;
        if self.defect == Defect::ForgetsWhatWasFolded {
            for entry in &mut entries {
                entry.folded = None;
            }
        }
        Ok(entries)
    }

    async fn members(&self, page: Page) -> Result<Vec<Member>, HubError> {
        let mut members = self.room.members(page).await?;
        if self.defect == Defect::ListsBackwards {
            members.reverse();
        }
        Ok(members)
    }

    fn events(&self, start: Start) -> BoxStream<'static, Event> {
        let start = match (self.defect, start) {
            (Defect::BeginsAtOldest, Start::Head) => Start::Oldest,
            (Defect::BeginsAtHead, Start::Oldest) => Start::Head,
            (_, start) => start,
        };
        spoil(self.room.events(start), self.defect, &self.streams)
    }
}
