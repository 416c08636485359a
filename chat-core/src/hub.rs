//! What applications, REST handlers and bots program against.
//!
//! [`Hub`] is the chat as one user has it, [`Room`] one room of it. There are two implementations: the engine's own
//! ([`Engine::hub`](crate::Engine::hub)) and the WebSocket client, so the same code runs inside the server and outside.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    model::{Cursor, Draft, Entry, EntryId, Member, Page, RoomId, RoomSpec, RoomSummary, Seq, UserId},
    protocol::{Code, HubError, Outgoing, Signal},
};

/// Says what became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Posted {
    /// It is in the log.
    Stored {
        /// At this position.
        seq: Seq,
        /// Under this id.
        id: EntryId,
    },
    /// It was a command, which is carried out and not stored.
    Accepted,
}

/// Says from where to receive a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// What comes from now on.
    Head,
    /// Everything that is kept and may be read.
    Oldest,
    /// What comes after this.
    After(Cursor),
}

/// Says why positions are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapReason {
    /// They are not kept any more.
    Retention,
    /// They are not for this user.
    NotVisible,
}

/// Is something that happens in a room.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An entry, in order, once.
    Entry(Arc<Entry>),
    /// Something that is never stored.
    Signal(Signal),
    /// These positions will not come.
    Gap {
        /// The room.
        room: RoomId,
        /// The first missing position.
        from: Seq,
        /// The last missing position.
        to: Seq,
        /// Why.
        why: GapReason,
    },
    /// The cursor is not of this log: forget what you have of the room and begin anew.
    Reset(RoomId),
    /// Entries of this room come from now on, after this position.
    Followed {
        /// The room.
        room: RoomId,
        /// The position after which entries come.
        head: Seq,
    },
    /// Entries of this room come no more.
    Unfollowed {
        /// The room.
        room: RoomId,
        /// Why.
        why: Code,
    },
    /// The stream ends; this is its last item.
    Closed(HubError),
}

/// Is the chat as one user has it.
///
/// # Behavior
/// Each bullet, also those of [`Room`], is a case of the suite `hub` of `conformance`:
///
/// * `a_named_room_is_created_once`: who may find it gets the same room again; whose name is taken gets a conflict.
/// * `a_room_of_others_is_not_found`, like one that does not exist.
/// * `a_private_room_is_created_by_its_first_post`, for both, under the id that either of them derives.
/// * `rooms_lists_the_most_recently_active_first`, each with the reader's role, the head, the last message and what is unread.
/// * `hub_events_bring_all_rooms_and_new_ones`.
/// * `a_room_that_ones_own_post_creates_comes_from_its_beginning`, however quickly the post was acknowledged.
/// * `hub_events_resume_after_their_cursors`: what was missed comes once, in order, then what is new.
/// * `a_cursor_of_a_room_of_others_is_unfollowed`, not passed over.
#[async_trait]
pub trait Hub: Send + Sync {
    /// Creates a room, or returns the one that already has this name.
    async fn create(&self, spec: RoomSpec) -> Result<Arc<dyn Room>, HubError>;

    /// Returns a room that the user may read.
    async fn room(&self, id: RoomId) -> Result<Arc<dyn Room>, HubError>;

    /// Returns the private room with another user. No I/O: the first post creates it, unless the host
    /// [knows nobody](crate::Policy::screen) of that name.
    fn direct(&self, with: &UserId) -> Arc<dyn Room>;

    /// Lists the user's rooms, the most recently active first.
    async fn rooms(&self, page: Page) -> Result<Vec<RoomSummary>, HubError>;

    /// Receives all rooms of the user, new ones included: those with a cursor from there, the others from now on.
    fn events(&self, resume: Vec<Cursor>) -> BoxStream<'static, Event>;
}

/// Is one room as one user has it.
///
/// # Behavior
/// * `a_post_is_answered_with_its_place`: the position and id that everybody else sees.
/// * `the_same_draft_again_has_its_old_place`, at once or later; another body under its key is a conflict.
/// * `a_refused_post_says_why`, and nothing of it is stored.
/// * `posts_of_one_sender_keep_their_order`, also when they do not wait for each other.
/// * `a_dropped_post_goes_on`.
/// * `history_shows_messages_as_they_read_now`: edits, deletes and reactions are applied.
/// * `history_has_pages`: the newest, what stands before a position, what stands after it.
/// * `members_are_listed_by_user`, in pages.
/// * `events_from_the_head_bring_what_comes`, after [`Event::Followed`], which says from where.
/// * `events_from_the_oldest_bring_everything`.
/// * `events_after_a_cursor_bring_the_rest`, once and in order, then what is new.
/// * `streams_of_one_room_do_not_disturb_each_other`, whenever they begin and from wherever.
/// * `a_cursor_of_another_log_is_reset`: [`Event::Reset`], then what comes from now on.
/// * `what_was_before_joining_is_a_gap` where the room hides it.
/// * `who_is_removed_is_unfollowed`, and receives neither the entry that says so nor what comes after it.
/// * `a_room_of_others_is_unfollowed`: a stream of it says so at once.
/// * `a_receiver_that_falls_behind_misses_nothing`.
/// * `signals_reach_the_others`.
#[async_trait]
pub trait Room: Send + Sync {
    /// Returns the room's id.
    fn id(&self) -> RoomId;

    /// Posts a draft: text, join, leave, a new title, everything that lasts.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the draft back. Post it again under the same key to learn what became of it.
    async fn post(&self, draft: Draft) -> Result<Posted, HubError>;

    /// Sends something that is never stored. `Ok` does not say that anybody saw it.
    async fn signal(&self, signal: Outgoing) -> Result<(), HubError>;

    /// Reads messages, oldest first, edits and deletes applied; with a default page, the newest 50.
    async fn history(&self, page: Page) -> Result<Vec<Entry>, HubError>;

    /// Lists the members.
    async fn members(&self, page: Page) -> Result<Vec<Member>, HubError>;

    /// Receives the room. [`Event::Followed`] comes first, unless the room cannot be received; [`Event::Closed`] last.
    fn events(&self, start: Start) -> BoxStream<'static, Event>;
}
