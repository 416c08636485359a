//! The port that keeps the truth: room logs, and what is read off them.
//!
//! # Contract
//!
//! A store keeps one append-only log per room. Positions are dense (1, 2, 3…) and assigned by the store in the
//! commit that stores the entry. Whoever reads, whenever, sees a prefix of the log without holes.
//!
//! Rooms, members and message texts are a *projection*: they follow from the logs through
//! [`changes`](crate::model::changes) and [`fold`](crate::model::fold), and can be made anew at any time.
//!
//! # Implementing
//!
//! Implement [`LogStore`] and [`RoomStore`]; [`Store`] follows. What becomes of an append is decided by
//! [`Standing::judge`]: an adapter reads how the room stands and which keys are known, asks, and writes the answer, all
//! in one transaction. Then run the suite (feature `conformance`):
//!
//! ```ignore
//! chat_core::store_conformance!(my_store, || async { MyStore::open_empty().await });
//! ```
//!
//! Every bullet under a *Behavior* heading below is a case of that suite.

mod feed;
pub mod fsck;
mod hybrid;
mod judge;
mod people;
mod repair;
mod restore;
mod tail;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    error::{Error, ErrorKind},
    model::{Entry, EntryId, Member, NewEntry, Page, RoomId, RoomRecord, RoomSummary, Seq, UserId},
};

pub use feed::{Behind, Consumer, Feed, InvalidConsumer};
pub use hybrid::Hybrid;
pub use judge::{Known, Standing};
pub use people::{PeopleStore, Personal};
pub use repair::{Projected, Repair};
pub use restore::{Kept, LogState, Part, Restore, copy_log};

/// Is what went wrong in a store.
pub type StoreError = Error<StoreErrorKind>;

/// Says what went wrong in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached, is starting, or is out of connections.
    Unavailable,
    /// The store did not answer in time. What was being written may be stored.
    Timeout,
    /// The store gave way to somebody else (deadlock, lock wait, busy). Nothing of this call is stored.
    Contended,
    /// The store has no room left.
    Full,
    /// What was read is not what a store of ours holds.
    Corrupt,
    /// The schema is missing, older or newer than this version.
    Schema,
    /// This store cannot do this.
    Unsupported,
    /// Anything else, such as a wrong password or a statement the server refused.
    Other,
}

impl ErrorKind for StoreErrorKind {
    fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout | Self::Contended | Self::Full)
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the store cannot be reached",
            Self::Timeout => "the store did not answer in time",
            Self::Contended => "the store gave way to another writer",
            Self::Full => "the store has no room left",
            Self::Corrupt => "the store holds something unreadable",
            Self::Schema => "the schema does not fit this version",
            Self::Unsupported => "this store cannot do this",
            Self::Other => "the store refused",
        })
    }
}

/// Is one room's share of a batch.
#[derive(Clone, Debug)]
pub struct Append {
    /// The room.
    pub room: RoomId,
    /// The guard under which the author's right was judged. `None` stores nothing new: it only asks whether
    /// the keys are stored already.
    pub guard: Option<Seq>,
    /// What to append, in order. An entry that [restricts](crate::Body::restricts) is the last of its share.
    pub entries: Vec<NewEntry>,
}

/// Is what became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Stored at this position by this call.
    Stored(Seq),
    /// Stored earlier under this key, at this position and under this id.
    Duplicate(Seq, EntryId),
    /// Another body is stored under this key.
    Conflict,
    /// Not stored: a right was taken away at this position, above the guard given. Read the access again.
    Stale(Seq),
    /// Not stored: the room does not exist, and this does not create it.
    Missing,
    /// Not stored: the room exists, and this would create it.
    Exists,
    /// Not stored: the key is older than what was trimmed, so whether it was stored is not known any more.
    TooOld,
}

/// Is where a log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last position; never below the log, in some stores above it for a moment. `ZERO`: no such room.
    pub seq: Seq,
    /// The id of the entry at `seq`, where the store knows it without looking further.
    pub id: Option<EntryId>,
    /// The position of the last entry that took a right away.
    pub guard: Seq,
    /// The first position that is still kept.
    pub first: Seq,
}

/// Is how the end of a log looks to a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tail {
    /// The last message that people read (text or custom), with edits and deletes applied.
    pub last: Option<Entry>,
    /// How many messages of others follow the position asked about.
    pub unread: u64,
}

/// Is what one user may be judged by in one room.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The room.
    pub room: RoomRecord,
    /// The user's membership, if there is one.
    pub member: Option<Member>,
    /// The position of the last entry that took a right away: what is judged now holds until this moves.
    pub guard: Seq,
    /// The last position that is taken into account here.
    pub as_of: Seq,
}

impl From<RoomSummary> for Access {
    fn from(RoomSummary { room, member, guard, head, .. }: RoomSummary) -> Self {
        Self { room, member, guard, as_of: head }
    }
}

/// Selects rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listing {
    /// The rooms this user is a member of; inboxes are left out.
    Of(UserId),
    /// The public rooms, with the membership and read mark of this user.
    Public(UserId),
    /// All rooms except inboxes.
    All,
    /// This room alone, with the membership and read mark of this user.
    One(RoomId, UserId),
}

/// Keeps the logs.
#[async_trait]
pub trait LogStore: Send + Sync {
    /// Appends to several rooms. The answer has one outcome per entry, in the order of the batch.
    ///
    /// An error means that the outcome is unknown; the caller repeats the same batch, which the keys make harmless.
    /// A room stands at most once in a batch.
    ///
    /// # Behavior
    /// * `append_numbers_densely`: entries of a room get the positions after its head, in order.
    /// * `a_batch_spans_rooms`: each share is answered for itself, in the order of the batch, and may be empty.
    /// * `a_long_share_is_stored_whole`: 512 entries in one share are no special case.
    /// * `a_known_key_answers_its_position`: same author, key and body: [`Outcome::Duplicate`], also within one
    ///   share, also when the guard is old, also for a deleted message.
    /// * `a_known_key_with_another_body_conflicts`: [`Outcome::Conflict`], and nothing changes.
    /// * `a_retry_is_known_by_what_was_sent`: by the entry's `hash`, which need not be that of the body to be stored.
    /// * `keys_belong_to_one_room_and_author`: the same key elsewhere is another key.
    /// * `an_old_guard_is_stale`: when the room's guard is above the one given, unknown keys are not stored:
    ///   [`Outcome::Stale`].
    /// * `no_guard_stores_nothing`: without a guard unknown keys are answered [`Outcome::Stale`].
    /// * `a_stored_prefix`: after one entry of a share is [`Outcome::Stale`] no later one is stored. What is refused
    ///   for good (conflict, missing, exists, too old) holds nobody up.
    /// * `only_a_creation_begins_a_log`: other entries are [`Outcome::Missing`] in a room without log; the rest of
    ///   a share follows its creation.
    /// * `a_second_creation_is_refused`: [`Outcome::Exists`] under another key, and nothing changes.
    /// * `a_restriction_moves_the_guard`: to its own position, in the same commit.
    /// * `append_projects`: when the call returns, [`RoomStore::access`] takes what was stored into account.
    /// * `concurrent_appends_keep_one_order`: writers racing in one room leave a dense log without doubles.
    /// * `concurrent_creations_make_one_room`: one creation is stored, the others are [`Outcome::Exists`].
    /// * `crossing_batches_do_not_block`: batches that hold the same rooms in another order all end.
    /// * `readers_see_a_prefix`: whoever reads while others append never sees a hole.
    ///
    /// # Cancel safety
    /// The engine runs this in a task of its own and never drops it; an adapter must still leave nothing behind
    /// that a later call would find (an open transaction, a held lock).
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError>;

    /// Reads the raw log after a position, at most `limit` entries, oldest first. An unknown room reads as empty.
    ///
    /// # Behavior
    /// * `read_returns_the_log_in_order`: exactly what was appended, bodies unchanged by later edits.
    /// * `every_body_comes_back_as_written`: every kind, every character, kinds of newer versions, times before 1970.
    /// * `users_differ_by_every_byte`: by case, accents and trailing spaces too; user ids sort by their bytes.
    /// * `read_pages`: `after` and `limit` cut the same log into pages.
    /// * `a_deleted_message_reads_blank`: its position stays, its text is gone.
    /// * `a_delete_takes_the_edits_along`: the texts of its edits are gone too, also of those that come later.
    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError>;

    /// Reads the raw edits of the message at `target`, oldest first: those after a position, at most `limit`.
    ///
    /// A store that finds them by an index should; without, the log behind the message is looked through.
    ///
    /// # Behavior
    /// * `edits_of_a_message_are_read_in_order`: in pages, with what each of them said, and of no other message.
    async fn edits(&self, room: RoomId, target: Seq, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        people::edits_by_scan(self, room, target, after, limit).await
    }

    /// Reads messages as people see them: texts and custom kinds, edits, deletes and reactions applied, oldest
    /// first. `page.before` and `page.after` are positions; without `after` the newest messages are meant.
    ///
    /// # Behavior
    /// * `history_returns_the_newest_messages_oldest_first`: without joins, edits and other entries.
    /// * `history_pages_back`: `before` gives the messages before that position.
    /// * `history_pages_forward`: `after` gives the messages that follow that position.
    /// * `history_folds_edits_deletes_and_reactions`: in place, with the fold kept beside the body.
    /// * `an_entry_changes_only_earlier_ones`: and only messages of its room; anything else it names stays as it is.
    /// * `names_are_the_latest_seen`: entries and members carry the display name their user was last seen with.
    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError>;

    /// Returns where the logs of these rooms stand, in the same order.
    ///
    /// # Behavior
    /// * `heads_follow_the_log`: never below what was answered as stored; unknown rooms have the default head.
    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError>;

    /// Forgets everything up to and including `through`, but never the creation, and never the last entry.
    ///
    /// # Behavior
    /// * `trim_forgets_the_old`: reads begin after `through`, the head stays, `first` says where the log begins,
    ///   members stay.
    /// * `trim_keeps_the_creation_and_the_last`: the key of the creation stays known, although it is read no more.
    /// * `a_trimmed_key_is_too_old`: an unknown key older than what was trimmed is [`Outcome::TooOld`],
    ///   under any guard.
    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError>;

    /// Returns how the ends of these logs look to a user, in the same order: what a list of rooms shows that another store
    /// keeps. What is given here pages through the history; a store that can count does better.
    ///
    /// # Behavior
    /// * `tails_are_what_lists_show`: the last message, and how many messages of others follow a position.
    async fn tails(&self, user: Option<&UserId>, after: &[(RoomId, Seq)]) -> Result<Vec<Tail>, StoreError> {
        tail::read(self, user, after).await
    }
}

/// Reads the projection of the logs.
#[async_trait]
pub trait RoomStore: Send + Sync {
    /// Returns what a user may be judged by in a room; `None` when the room does not exist. The guard returned is
    /// never below the log's.
    ///
    /// # Behavior
    /// * `access_follows_the_log`: joins, leaves, roles, title and topic, and the position they are of.
    /// * `a_second_join_changes_nothing`: the member keeps role and `since`.
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError>;

    /// Lists the members of a room by user id.
    ///
    /// # Behavior
    /// * `members_page_by_user_id`: with the latest display name seen of each.
    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError>;

    /// Lists rooms, the most recently active first; `page.before` is the `active` time of the last room of the page before.
    ///
    /// # Behavior
    /// * `rooms_are_listed_by_activity`: of a user, or public, with head, last message, read mark and unread count.
    /// * `rooms_page_by_activity`: a clock that goes back changes no order; equal times are ordered by room id.
    /// * `unread_counts_messages_of_others`: after the read mark, own messages and joins not counted; for a member
    ///   who joined later, from their join on.
    /// * `a_room_of_two_tells_the_other_one`: to each of the two, with the latest display name seen.
    /// * `one_room_is_listed_alone`: whatever it is, as any list shows it; an unknown one gives an empty list.
    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError>;

    /// Returns what a user may be judged by in each of its rooms: what every login asks for. The most recently active come
    /// first, at most so many, which may be more than a page holds. What is given here lists the rooms; a store that leaves
    /// out last messages and counts is faster.
    ///
    /// # Behavior
    /// * `memberships_are_the_access_to_each_room`: to those that a list of the user's rooms shows, in its order.
    async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        let page = Page { limit: rooms_max, ..Page::default() };
        Ok(self.rooms(&Listing::Of(user.clone()), &page).await?.into_iter().map(Access::from).collect())
    }

    /// Raises a user's read mark in a room; a lower one changes nothing.
    ///
    /// # Behavior
    /// * `read_marks_only_rise`: each user's own.
    /// * `a_read_mark_ends_at_the_head`: what is not written yet cannot be marked as read.
    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError>;

    /// Applies entries, in order and without holes, to the projection. Stores that project inside `append` also
    /// accept this, for logs that another store keeps.
    ///
    /// # Behavior
    /// * `projecting_twice_changes_nothing`: what the projection holds already is passed over.
    /// * `projecting_needs_no_log`: rooms and members follow from the entries alone.
    /// * `state_follows_from_the_log`: a state that was read at any time, with the entries since folded into it, is the
    ///   state that is read afterwards.
    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError>;
}

/// Is everything a deployment's database does: the logs and their projection.
pub trait Store: LogStore + RoomStore {}

impl<T: LogStore + RoomStore + ?Sized> Store for T {}

/// Is a store with all that is optional, too: what operators' tools and a [`Hybrid`] need.
pub trait FullStore: Personal + Restore + Feed + Repair {}

impl<T: Personal + Restore + Feed + Repair + ?Sized> FullStore for T {}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<T: LogStore + ?Sized> LogStore for $pointer<T> {
            async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
                (**self).append(batch).await
            }
            async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
                (**self).read(room, after, limit).await
            }
            async fn edits(&self, room: RoomId, target: Seq, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
                (**self).edits(room, target, after, limit).await
            }
            async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
                (**self).history(room, page).await
            }
            async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
                (**self).heads(rooms).await
            }
            async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
                (**self).trim(room, through).await
            }
            async fn tails(&self, user: Option<&UserId>, after: &[(RoomId, Seq)]) -> Result<Vec<Tail>, StoreError> {
                (**self).tails(user, after).await
            }
        }

        #[async_trait]
        impl<T: RoomStore + ?Sized> RoomStore for $pointer<T> {
            async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
                (**self).access(room, user).await
            }
            async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
                (**self).members(room, page).await
            }
            async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
                (**self).rooms(which, page).await
            }
            async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
                (**self).memberships(user, rooms_max).await
            }
            async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
                (**self).mark(user, room, read).await
            }
            async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
                (**self).project(entries).await
            }
        }

        #[async_trait]
        impl<T: Feed + ?Sized> Feed for $pointer<T> {
            async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
                (**self).behind(consumer, limit).await
            }
            async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
                (**self).advance(consumer, places).await
            }
            async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
                (**self).leave(consumer).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
