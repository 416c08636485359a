//! Who may receive what of a room, by position.
//!
//! A member sees the entry that made them one and what comes after it, up to the entry before the one that removed
//! them. Rooms in which members may also read what is older begin with all their members, or are not judged by this.

use std::collections::HashMap;

use crate::history::{Change, Membership};

/// Holds the memberships of one room: per user, changes by position.
#[derive(Debug, Default)]
pub(super) struct Members<'h>(HashMap<&'h str, Vec<(u64, Change)>>);

impl<'h> Members<'h> {
    pub(super) fn of(changes: impl Iterator<Item = &'h Membership>) -> Self {
        let mut users = HashMap::<_, Vec<_>>::new();
        for change in changes {
            users.entry(&*change.user).or_default().push((change.seq, change.change));
        }
        for changes in users.values_mut() {
            changes.sort_by_key(|(seq, _)| *seq);
        }
        Self(users)
    }

    /// Tells whether a user may receive the entry at `seq`.
    pub(super) fn may_receive(&self, user: &str, seq: u64) -> bool {
        self.last_change(user, |at| at <= seq) == Some(Change::In)
    }

    /// Tells whether the entry at `seq` may be a user's. The one that ends a membership may be theirs, too: they left.
    pub(super) fn may_send(&self, user: &str, seq: u64) -> bool {
        self.may_receive(user, seq) || self.last_change(user, |at| at < seq) == Some(Change::In)
    }

    /// Tells whether a user may receive any of the positions from `a` to `b`.
    pub(super) fn may_receive_any(&self, user: &str, a: u64, b: u64) -> bool {
        let within = |(at, change): &(u64, Change)| (a..=b).contains(at) && *change == Change::In;
        self.may_receive(user, a) || self.0.get(user).is_some_and(|changes| changes.iter().any(within))
    }

    /// Tells whether the entry at `seq` made somebody a member who was none.
    pub(super) fn joins(&self, user: &str, seq: u64) -> bool {
        !self.may_receive(user, seq - 1) && self.may_receive(user, seq)
    }

    /// Returns the positions that made a user a member who was none.
    pub(super) fn joins_of(&self, user: &str) -> impl Iterator<Item = u64> {
        let changes = self.0.get(user).map_or(&[][..], Vec::as_slice);
        changes.iter().map(|(at, _)| *at).filter(|at| self.joins(user, *at))
    }

    fn last_change(&self, user: &str, before: impl Fn(u64) -> bool) -> Option<Change> {
        let changes = self.0.get(user)?;
        let count = changes.partition_point(|(at, _)| before(*at));
        changes.get(count.checked_sub(1)?).map(|(_, change)| *change)
    }
}
