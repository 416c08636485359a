//! Who follows all logs, and how far each of them is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{RoomId, Seq},
    store::Consumer,
};

#[derive(Default)]
pub(super) struct Feeds(BTreeMap<Consumer, Places>);

#[derive(Default)]
struct Places {
    done: BTreeMap<RoomId, Seq>,
    behind: BTreeSet<RoomId>,
}

impl Feeds {
    /// Notes that a room has moved. Called under the room's lock, as is [`advance`](Self::advance): whoever comes second sees
    /// what the first did.
    pub(super) fn moved(&mut self, room: RoomId) {
        for places in self.0.values_mut() {
            places.behind.insert(room);
        }
    }

    /// Returns the rooms that a consumer may be behind in, with its places; for a new one these are `all`.
    pub(super) fn behind<'a>(
        &mut self,
        consumer: &Consumer,
        all: impl Iterator<Item = &'a RoomId>,
    ) -> Vec<(RoomId, Seq)> {
        let known = self.0.entry(consumer.clone());
        let places = known.or_insert_with(|| Places { behind: all.copied().collect(), ..Places::default() });
        places.behind.iter().map(|room| (*room, places.done.get(room).copied().unwrap_or_default())).collect()
    }

    /// Raises the place in a room whose log ends at `head`.
    pub(super) fn advance(&mut self, consumer: &Consumer, room: RoomId, seq: Seq, head: Seq) {
        let Some(places) = self.0.get_mut(consumer) else { return };
        let place = places.done.entry(room).or_default();
        *place = seq.min(head).max(*place);
        if *place == head {
            places.behind.remove(&room);
        }
    }

    /// Drops the places in a room that is no more: one of the same id begins anew.
    pub(super) fn gone(&mut self, room: RoomId) {
        for places in self.0.values_mut() {
            places.done.remove(&room);
            places.behind.remove(&room);
        }
    }

    pub(super) fn forget(&mut self, consumer: &Consumer) {
        self.0.remove(consumer);
    }
}
