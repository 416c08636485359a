//! Putting right what a store has made of its logs: an optional power of a store. [`fsck`](super::fsck) says what is right.

use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Entry, EntryId, Member, RoomRecord, Seq, Timestamp};

/// Is all that a log makes of its room, up to and including its last entry. Display names are not compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Projected {
    /// The room.
    pub record: RoomRecord,
    /// The members, by user id.
    pub members: Vec<Member>,
    /// The position of the last entry.
    pub head: Seq,
    /// The id of the last entry.
    pub head_id: EntryId,
    /// The position of the last entry that took a right away.
    pub guard: Seq,
    /// When the last entry was committed.
    pub active: Timestamp,
}

/// Overwrites what the store made of a log.
#[async_trait]
pub trait Repair: Send + Sync {
    /// Makes a room this, whatever it was. Read marks stay.
    ///
    /// # Behavior
    /// * `a_room_becomes_what_it_is_set_to`: its record, members, guard and time; and goes on from there.
    /// * `a_room_whose_log_goes_on_is_left_alone`: [`Contended`](super::StoreErrorKind::Contended), and nothing changes.
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError>;

    /// Makes history show a message like this: with this body, and what later entries did to it.
    ///
    /// # Behavior
    /// * `a_message_becomes_what_it_is_set_to`: also one that nothing was done to.
    async fn set_message(&self, message: &Entry) -> Result<(), StoreError>;
}

#[async_trait]
impl<T: Repair + ?Sized> Repair for Arc<T> {
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError> {
        (**self).set_room(room).await
    }
    async fn set_message(&self, message: &Entry) -> Result<(), StoreError> {
        (**self).set_message(message).await
    }
}
