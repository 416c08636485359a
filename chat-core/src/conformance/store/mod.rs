//! What every [`Store`] does. Run it with [`store_conformance!`](crate::store_conformance).

// What a case shows is said once: beside its name in the documentation of the port.
#![allow(missing_docs)]

mod append;
mod bodies;
mod history;
mod projection;
mod racing;
mod read;
mod rooms;
mod setting;
mod trim;

use std::{future::Future, sync::Arc};

pub use self::{append::*, bodies::*, history::*, projection::*, racing::*, read::*, rooms::*, trim::*};
use crate::Store;

/// Is what a factory of stores may return: a store, or a pair of a store and what must outlive it, such as a
/// temporary directory.
pub trait Fresh {
    /// Takes it apart.
    fn into_parts(self) -> (Arc<dyn Store>, impl Sized);
}

impl<S: Store + 'static> Fresh for S {
    fn into_parts(self) -> (Arc<dyn Store>, impl Sized) {
        (Arc::new(self), ())
    }
}

impl<S: Store + 'static, K> Fresh for (S, K) {
    fn into_parts(self) -> (Arc<dyn Store>, impl Sized) {
        (Arc::new(self.0), self.1)
    }
}

/// Makes a fresh store and runs one case on it.
pub async fn case<M, S, C>(factory: impl FnOnce() -> M, case: impl FnOnce(Arc<dyn Store>) -> C)
where
    M: Future<Output = S>,
    S: Fresh,
    C: Future<Output = ()>,
{
    let (store, _keep) = factory().await.into_parts();
    case(store).await;
}

/// Makes a test of each behaviour of a store: `store_conformance!(name_of_the_module, factory)`.
///
/// The factory is called once per test and returns a future of a fresh, empty [`Store`](crate::Store), or of a pair of
/// one and what must outlive it, such as a temporary directory.
///
/// ```
/// use chat_core::memory::MemoryStore;
/// chat_core::store_conformance!(memory, || async { MemoryStore::new() });
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($module:ident, $factory:expr $(,)?) => {
        $crate::__store_cases!(tests $module, $factory, store);
    };
}

/// Lists the cases, in the order of the port's documentation.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    ($($wanted:tt)*) => {
        $crate::__conformance! { $($wanted)*;
            append_numbers_densely
            a_batch_spans_rooms
            a_long_share_is_stored_whole
            a_known_key_answers_its_position
            a_known_key_with_another_body_conflicts
            keys_belong_to_one_room_and_author
            an_old_guard_is_stale
            no_guard_stores_nothing
            a_stored_prefix
            only_a_creation_begins_a_log
            a_second_creation_is_refused
            a_restriction_moves_the_guard
            append_projects
            concurrent_appends_keep_one_order
            concurrent_creations_make_one_room
            crossing_batches_do_not_block
            readers_see_a_prefix
            read_returns_the_log_in_order
            every_body_comes_back_as_written
            users_differ_by_every_byte
            read_pages
            a_deleted_message_reads_blank
            a_delete_takes_the_edits_along
            history_returns_the_newest_messages_oldest_first
            history_pages_back
            history_pages_forward
            history_folds_edits_deletes_and_reactions
            an_entry_changes_only_earlier_ones
            names_are_the_latest_seen
            heads_follow_the_log
            trim_forgets_the_old
            trim_keeps_the_creation_and_the_last
            a_trimmed_key_is_too_old
            access_follows_the_log
            a_second_join_changes_nothing
            members_page_by_user_id
            rooms_are_listed_by_activity
            rooms_page_by_activity
            unread_counts_messages_of_others
            read_marks_only_rise
            a_read_mark_ends_at_the_head
            projecting_twice_changes_nothing
            projecting_needs_no_log
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_bullet_of_the_port_is_a_case_and_every_case_a_bullet() {
        let cases: &[&str] = crate::__store_cases!(names);
        let port = include_str!("../../store.rs");
        let bullets: Vec<_> = port.lines().filter_map(|line| line.trim().strip_prefix("/// * `")).collect();
        let bullets: Vec<_> = bullets.into_iter().filter_map(|line| Some(line.split_once('`')?.0)).collect();
        assert_eq!(cases, bullets);
    }
}
