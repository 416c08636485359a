//! Comparing what a store says of its rooms with what their logs say, and putting it right.
//!
//! Rooms, members and the texts that people see follow from the logs. [`fsck`] makes them anew from the beginning of each
//! log, in memory, and compares. A store that was never interrupted in a bad moment has no findings; nor should one that was.
//!
//! **Trimmed rooms.** What was trimmed cannot be read any more. Compared is what the kept entries say: the head, the
//! guard if one of them moved it, the title and topic if one of them set it, everybody whom one of them added, removed or
//! gave a role, and all messages. Members from before, and what was set before, are taken as the store has them.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use chat_core::{memory::MemoryStore, store::fsck};
//! let done = fsck::fsck(&MemoryStore::new(), false, |room| eprintln!("{}: {:?}", room.room, room.findings)).await?;
//! assert!(done.is_clean());
//! # Ok::<(), chat_core::StoreError>(()) }).unwrap();
//! ```

mod compare;
mod expected;

use std::fmt;

use super::{FullStore, StoreError, StoreErrorKind};
use crate::model::{RoomId, Seq, UserId};

/// How many rooms are listed at once.
const ROOMS: u16 = 200;

/// How often a room is looked at again that somebody writes to meanwhile.
const TRIES_MAX: u32 = 5;

/// Is a difference between a room and its log. It names no texts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The log is there, and the room is not.
    NoRoom,
    /// The room is not there, and what was trimmed of its log would be needed to make it. Cannot be repaired.
    Lost,
    /// A position of the log is missing. Cannot be repaired.
    Hole(Seq),
    /// Title, topic, visibility or another part of the room's record differs.
    Record,
    /// The room is as of another position than the end of its log.
    Head(Seq),
    /// The position of the last entry that took a right away differs.
    Guard(Seq),
    /// The time of the last entry differs.
    Active,
    /// This user is a member and should not be, or should be and is not, or has another role or beginning.
    Member(UserId),
    /// History shows this message otherwise than its log has it.
    Message(Seq),
    /// Somebody wrote to the room all the time, so that it could not be compared.
    Busy,
}

impl Finding {
    /// Tells whether it can be put right from the log.
    pub fn is_repairable(&self) -> bool {
        !matches!(self, Self::Lost | Self::Hole(_) | Self::Busy)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => f.write_str("there is a log and no room"),
            Self::Lost => f.write_str("there is no room, and its log is trimmed"),
            Self::Hole(seq) => write!(f, "position {seq} of the log is missing"),
            Self::Record => f.write_str("title, topic or another part of the record differs"),
            Self::Head(seq) => write!(f, "it is as of position {seq}, which is not the end of the log"),
            Self::Guard(seq) => write!(f, "the guard {seq} is not that of the log"),
            Self::Active => f.write_str("the time of the last entry differs"),
            Self::Member(user) => write!(f, "the membership of {user} differs"),
            Self::Message(seq) => write!(f, "the message at {seq} is shown otherwise than it was left"),
            Self::Busy => f.write_str("it was written to all the time, and was not compared"),
        }
    }
}

/// Is what became of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// The room.
    pub room: RoomId,
    /// How many entries its log has.
    pub entries: u64,
    /// What differed.
    pub findings: Vec<Finding>,
    /// What still differs: all of it, unless it was repaired.
    pub left: Vec<Finding>,
}

/// Is what became of all rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many rooms there are.
    pub rooms: u64,
    /// How many entries.
    pub entries: u64,
    /// In how many rooms something differed.
    pub found: u64,
    /// In how many rooms something still differs.
    pub left: u64,
}

impl Summary {
    /// Tells whether every room is now as its log says.
    pub fn is_clean(&self) -> bool {
        self.left == 0
    }
}

/// Compares all rooms with their logs, repairs them if told to, and tells of each.
///
/// It may run while the store is used: a room that is written to meanwhile is looked at again. Memory is taken for one room
/// at a time, by its members and by its messages that were edited, deleted or reacted to.
pub async fn fsck(
    store: &dyn FullStore,
    repair: bool,
    mut each: impl FnMut(&Checked) + Send,
) -> Result<Summary, StoreError> {
    let (mut summary, mut after) = (Summary::default(), None);
    loop {
        let rooms = store.logs(after, ROOMS).await?;
        let Some(last) = rooms.last() else { return Ok(summary) };
        after = Some(*last);
        for room in rooms {
            let checked = fsck_room(store, room, repair).await?;
            summary.rooms += 1;
            summary.entries += checked.entries;
            summary.found += u64::from(!checked.findings.is_empty());
            summary.left += u64::from(!checked.left.is_empty());
            each(&checked);
        }
    }
}

/// Compares one room with its log, and repairs it if told to.
pub async fn fsck_room(store: &dyn FullStore, room: RoomId, repair: bool) -> Result<Checked, StoreError> {
    let compared = compare::room(store, room).await?;
    let mut checked = Checked {
        room,
        entries: compared.entries,
        left: compared.findings.clone(),
        findings: compared.findings.clone(),
    };
    if repair && compared.findings.iter().any(Finding::is_repairable) {
        match compared.put_right(store).await {
            // Somebody writes to it: whoever is told of what is left may try again.
            Err(error) if error.kind() == StoreErrorKind::Contended => {}
            put_right => put_right?,
        }
        checked.left = compare::room(store, room).await?.findings;
    }
    Ok(checked)
}
