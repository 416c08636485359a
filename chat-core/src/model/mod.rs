//! What a chat is made of: ids, entries, bodies, rooms, people.
//!
//! Everything here is plain data. This module imports no runtime and no client library, so an adapter, a
//! client and a bot can share it.

mod body;
mod change;
mod cursor;
mod entry;
mod id;
mod identity;
mod room;
mod time;

pub use body::{Body, Edit, Erase, MemberChange, Membership, Notice, RawBody, React, RoomChange, Text};
pub use change::{Change, changes, fold};
pub use cursor::{Cursor, Page};
pub use entry::{BodyHash, Draft, Entry, Folded, NewEntry, Reaction};
pub(crate) use id::check_name;
pub use id::{EntryId, InvalidId, Key, NodeId, RoomId, Seq, UserId};
pub use identity::{Identity, Kind};
pub use room::{History, Member, Person, Role, RoomRecord, RoomSpec, RoomSummary, Visibility};
pub use time::Timestamp;
