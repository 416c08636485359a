//! Places in a log.

use serde::{Deserialize, Serialize};

use super::{EntryId, RoomId, Seq};

/// Is the last position a client has of a room.
///
/// The id proves that the position is of this log: after a restore from an old backup the same seq can hold
/// another entry, and the client must be told to start anew instead of being served a mixed history.
///
/// `seq` 0 with no `id` is the start of any log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cursor {
    /// The room.
    pub room: RoomId,
    /// The last position seen.
    pub seq: Seq,
    /// The id of the entry at `seq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EntryId>,
}

impl Cursor {
    /// Makes a cursor.
    pub const fn new(room: RoomId, seq: Seq, id: Option<EntryId>) -> Self {
        Self { room, seq, id }
    }

    /// Returns the cursor before a room's first entry.
    pub const fn start(room: RoomId) -> Self {
        Self { room, seq: Seq::ZERO, id: None }
    }
}

/// Selects part of a list that is too long for one answer.
///
/// `before` and `after` are positions in the list's own order, exclusive: a seq for history, an activity time
/// in ms for rooms. With neither, the newest part is meant. `after_user` pages members, which are ordered by user id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Only what stands before this position.
    pub before: Option<u64>,
    /// Only what stands after this position.
    pub after: Option<u64>,
    /// Only members whose id sorts after this one.
    pub after_user: Option<super::UserId>,
    /// At most this many; the engine clamps it to 1..=200.
    pub limit: u16,
}

impl Page {
    /// The most that one page holds.
    pub const LIMIT_MAX: u16 = 200;

    /// Selects the newest `limit` items.
    pub fn newest(limit: u16) -> Self {
        Self { before: None, after: None, after_user: None, limit: limit.clamp(1, Self::LIMIT_MAX) }
    }

    /// Selects what stands before `position`.
    #[must_use]
    pub fn before(mut self, position: u64) -> Self {
        self.before = Some(position);
        self
    }

    /// Selects what stands after `position`.
    #[must_use]
    pub fn after(mut self, position: u64) -> Self {
        self.after = Some(position);
        self
    }

    /// Selects the members whose id sorts after `user`.
    #[must_use]
    pub fn after_user(mut self, user: super::UserId) -> Self {
        self.after_user = Some(user);
        self
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::newest(50)
    }
}
