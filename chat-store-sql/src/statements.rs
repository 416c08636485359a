//! The statements that each dialect has to say in its own way.
//!
//! All others are written once, beside the code that uses them, in what the dialects have in common:
//! [`Prefix::fill`](crate::prefix::Prefix::fill) lists what is spelled differently.

/// Is what a dialect says in its own way. `?1` is a JSON array of rows, whose columns are listed here: any number of
/// rows in one parameter, so that a statement is prepared once. Ids of 16 bytes are written in hex.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statements {
    /// Locks rooms, in the order of their ids: `"room"`. `None` where only one connection writes.
    pub(crate) lock: Option<&'static str>,
    /// Learns users and display names: `["user", name]`; a name that is null leaves the one that is known.
    pub(crate) see: &'static str,
    /// Creates a room without entries: ?1 id, ?2 id of its entry, ?3 active, ?4 record, ?5 visibility.
    pub(crate) create: &'static str,
    /// Adds members who are not members yet to room ?2 since position ?3: `["user", "role"]`.
    pub(crate) join: &'static str,
    /// Raises the read mark in room ?1 of user ?2 to ?3.
    pub(crate) mark: &'static str,
    /// The index and the head of each room that exists: `"room"`.
    pub(crate) heads: &'static str,
    /// Raises the places of consumer ?2, as far as the rooms' heads: `["room", place]`.
    pub(crate) places: &'static str,
    /// Makes those who create rooms and those who begin to follow all rooms wait for each other: the first of the two is
    /// for who creates. `None` where only one connection writes.
    pub(crate) gate: Option<[&'static str; 2]>,
}

impl Statements {
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<&'static str> {
        let Self { lock, see, create, join, mark, heads, places, gate } = *self;
        let all = [see, create, join, mark, heads, places];
        all.into_iter().chain(lock).chain(gate.into_iter().flatten()).collect()
    }
}
