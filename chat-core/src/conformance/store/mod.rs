//! The suite of [`Store`].

// What a case shows is said once: beside its name in the documentation of the port.
#![allow(missing_docs)]

mod append;
mod bodies;
mod history;
mod projection;
mod racing;
mod read;
mod rebuild;
mod rooms;
pub(super) mod setting;
mod tails;
mod trim;

use std::{any::Any, fmt, ops::Deref, sync::Arc};

pub use self::{
    append::*, bodies::*, history::*, projection::*, racing::*, read::*, rebuild::*, rooms::*, tails::*, trim::*,
};
use super::suite;
use crate::Store;

suite! {
    ($)
    /// Runs the suite of [`Store`](crate::Store): `store_conformance!(name, factory)`, where the factory gives a fresh
    /// store, or a pair of one and what must outlive it, such as a temporary folder.
    ///
    /// ```
    /// use chat_core::memory::MemoryStore;
    /// chat_core::store_conformance!(memory, || async { MemoryStore::new() });
    /// ```
    store_conformance in store:
    append_numbers_densely,
    a_batch_spans_rooms,
    a_long_share_is_stored_whole,
    a_known_key_answers_its_position,
    a_known_key_with_another_body_conflicts,
    a_retry_is_known_by_what_was_sent,
    keys_belong_to_one_room_and_author,
    an_old_guard_is_stale,
    no_guard_stores_nothing,
    a_stored_prefix,
    only_a_creation_begins_a_log,
    a_second_creation_is_refused,
    a_restriction_moves_the_guard,
    append_projects,
    concurrent_appends_keep_one_order,
    concurrent_creations_make_one_room,
    crossing_batches_do_not_block,
    readers_see_a_prefix,
    read_returns_the_log_in_order,
    every_body_comes_back_as_written,
    users_differ_by_every_byte,
    read_pages,
    a_deleted_message_reads_blank,
    a_delete_takes_the_edits_along,
    edits_of_a_message_are_read_in_order,
    history_returns_the_newest_messages_oldest_first,
    history_pages_back,
    history_pages_forward,
    history_folds_edits_deletes_and_reactions,
    an_entry_changes_only_earlier_ones,
    names_are_the_latest_seen,
    heads_follow_the_log,
    trim_forgets_the_old,
    trim_keeps_the_creation_and_the_last,
    a_trimmed_key_is_too_old,
    tails_are_what_lists_show,
    access_follows_the_log,
    a_second_join_changes_nothing,
    members_page_by_user_id,
    rooms_are_listed_by_activity,
    rooms_page_by_activity,
    unread_counts_messages_of_others,
    a_room_of_two_tells_the_other_one,
    one_room_is_listed_alone,
    memberships_are_the_access_to_each_room,
    read_marks_only_rise,
    a_read_mark_ends_at_the_head,
    projecting_twice_changes_nothing,
    projecting_needs_no_log,
    state_follows_from_the_log,
}

/// Is a fresh, empty store to be tested.
#[derive(Clone)]
pub struct StoreUnderTest {
    store: Arc<dyn Store>,
    _keep: Arc<dyn Any + Send + Sync>,
}

impl<S: Store + 'static> From<S> for StoreUnderTest {
    fn from(store: S) -> Self {
        (store, ()).into()
    }
}

impl<S: Store + 'static, K: Send + Sync + 'static> From<(S, K)> for StoreUnderTest {
    fn from((store, keep): (S, K)) -> Self {
        Self { store: Arc::new(store), _keep: Arc::new(keep) }
    }
}

impl Deref for StoreUnderTest {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl fmt::Debug for StoreUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreUnderTest").finish_non_exhaustive()
    }
}
