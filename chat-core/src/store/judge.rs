//! What becomes of a share: the one place that says which entries are stored and where.
//!
//! Every store reads how a room stands and which keys it knows, in the transaction that will write, and asks here.

use std::collections::HashMap;

use super::{Append, Outcome};
use crate::model::{Body, BodyHash, EntryId, Key, NewEntry, RoomChange, Seq, UserId};

/// Is how a room stands before a share is judged, and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The last position; `ZERO`: there is no log.
    pub head: Seq,
    /// The position of the last entry that took a right away.
    pub guard: Seq,
    /// The highest time in a key that was trimmed away, in ms; `None` when nothing was trimmed.
    pub trimmed_ms: Option<i64>,
}

/// Is what is stored under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its position.
    pub seq: Seq,
    /// Its id.
    pub id: EntryId,
    /// The fingerprint of its body; `None` once the body was deleted.
    pub hash: Option<BodyHash>,
}

impl Known {
    fn answer(self, hash: BodyHash) -> Outcome {
        match self.hash {
            Some(stored) if stored != hash => Outcome::Conflict,
            _ => Outcome::Duplicate(self.seq, self.id),
        }
    }
}

impl Standing {
    /// Decides about each entry of a share, in order, and moves on to how the room stands afterwards.
    ///
    /// `known` looks up what the log holds under an entry's author and key. What is answered as
    /// [`Outcome::Stored`] is for the caller to store, at exactly that position.
    pub fn judge(&mut self, share: &Append, known: impl Fn(&NewEntry) -> Option<Known>) -> Vec<Outcome> {
        let mut fresh: HashMap<(&UserId, Key), Known> = HashMap::new();
        let judged = share.entries.iter().map(|entry| {
            let name = (&entry.author, entry.key);
            if let Some(known) = fresh.get(&name).copied().or_else(|| known(entry)) {
                return known.answer(entry.hash);
            }
            if let Some(refused) = self.refuse(share.guard, entry) {
                return refused;
            }
            self.head = self.head.next();
            if entry.body.restricts() {
                self.guard = self.head;
            }
            fresh.insert(name, Known { seq: self.head, id: entry.id, hash: Some(entry.hash) });
            Outcome::Stored(self.head)
        });
        judged.collect()
    }

    /// Says why an entry under an unknown key cannot be stored. `TooOld` comes first: it alone means "perhaps it was
    /// stored", and any other answer would let a caller tell a sender that it certainly was not. A creation is never
    /// trimmed, so its key is not unknown by age.
    fn refuse(&self, guard: Option<Seq>, entry: &NewEntry) -> Option<Outcome> {
        let creates = matches!(entry.body, Body::Room(RoomChange::Created(_)));
        let exists = self.head > Seq::ZERO;
        if !creates && self.trimmed_ms.is_some_and(|trimmed| entry.key.unix_ms() <= trimmed) {
            return Some(Outcome::TooOld);
        }
        let Some(guard) = guard else { return Some(Outcome::Stale(self.guard)) };
        match (creates, exists) {
            (true, true) => Some(Outcome::Exists),
            (false, false) => Some(Outcome::Missing),
            _ => (self.guard > guard).then_some(Outcome::Stale(self.guard)),
        }
    }
}
