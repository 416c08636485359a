//! The suite of [`Hub`] and [`Room`].

mod breaks;
mod events;
mod posts;
mod reads;
mod rooms;
mod setting;

use std::{fmt, sync::Arc};

use futures::{FutureExt, future::BoxFuture};

use self::setting::user;
pub use self::{breaks::*, events::*, posts::*, reads::*, rooms::*};
use super::suite;
use crate::{
    hub::{Hub, Room},
    model::RoomSpec,
};

suite! {
    ($)
    /// Runs the suite of [`Hub`](crate::Hub) and [`Room`](crate::Room): `hub_conformance!(name, factory)`, where the
    /// factory gives a [`HubUnderTest`](crate::conformance::hub::HubUnderTest).
    hub_conformance in hub:
    a_named_room_is_created_once,
    a_room_of_others_is_not_found,
    a_private_room_is_created_by_its_first_post,
    rooms_lists_the_most_recently_active_first,
    hub_events_bring_all_rooms_and_new_ones,
    a_room_that_ones_own_post_creates_comes_from_its_beginning,
    hub_events_resume_after_their_cursors,
    a_cursor_of_a_room_of_others_is_unfollowed,
    a_post_is_answered_with_its_place,
    the_same_draft_again_has_its_old_place,
    a_refused_post_says_why,
    posts_of_one_sender_keep_their_order,
    a_dropped_post_goes_on,
    history_shows_messages_as_they_read_now,
    history_has_pages,
    members_are_listed_by_user,
    events_from_the_head_bring_what_comes,
    events_from_the_oldest_bring_everything,
    events_after_a_cursor_bring_the_rest,
    streams_of_one_room_do_not_disturb_each_other,
    a_cursor_of_another_log_is_reset,
    what_was_before_joining_is_a_gap,
    who_is_removed_is_unfollowed,
    a_room_of_others_is_unfollowed,
    a_receiver_that_falls_behind_misses_nothing,
    signals_reach_the_others,
}

type HubFor = Arc<dyn Fn(&str) -> BoxFuture<'static, Arc<dyn Hub>> + Send + Sync>;

/// Is a kind of hub to be tested: all hubs of one chat that nobody else uses.
///
/// The engine behind it has the limits of [`Limits::load_profile`](crate::Limits::load_profile), and
/// [lets people name rooms](crate::Members::people_name_rooms).
#[derive(Clone)]
pub struct HubUnderTest {
    hub: HubFor,
}

impl fmt::Debug for HubUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubUnderTest").finish_non_exhaustive()
    }
}

impl HubUnderTest {
    /// Takes a function that gives the hub of the person with this name, each time a new one.
    pub fn new<H>(hub: impl Fn(&str) -> H + Send + Sync + 'static) -> Self
    where
        H: Future<Output = Arc<dyn Hub>> + Send + 'static,
    {
        Self { hub: Arc::new(move |name| hub(name).boxed()) }
    }

    async fn hub(&self, name: &str) -> Arc<dyn Hub> {
        (self.hub)(name).await
    }

    /// Returns ann's hub and a public room of hers in which bob is a member.
    async fn room(&self) -> (Arc<dyn Hub>, Arc<dyn Room>) {
        let ann = self.hub("ann").await;
        let room = ann.create(RoomSpec::public("tea").members([user("bob")])).await.expect("create a room");
        (ann, room)
    }
}
