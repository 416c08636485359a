//! The rooms that somebody on this node follows.

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;

use super::LiveRoom;
use crate::model::RoomId;

/// Is told which rooms begin and cease to be live, so that hints can be asked for; must not block.
pub(crate) type Watch = Box<dyn Fn(RoomId, bool) + Send + Sync>;

/// Holds all live rooms of this node. Nobody walks it on the path of a message.
pub(crate) struct Rooms {
    live: Mutex<HashMap<RoomId, (Arc<LiveRoom>, usize)>>,
    ring_entries: usize,
    watch: Watch,
}

impl Rooms {
    pub(crate) fn new(ring_entries: usize, watch: Watch) -> Arc<Self> {
        Arc::new(Self { live: Mutex::default(), ring_entries, watch })
    }

    /// Returns a room if it is live.
    pub(crate) fn get(&self, room: RoomId) -> Option<Arc<LiveRoom>> {
        self.live.lock().get(&room).map(|(room, _)| room.clone())
    }

    /// Tells whether a room is kept live by more than one lease.
    pub(crate) fn is_shared(&self, room: RoomId) -> bool {
        self.live.lock().get(&room).is_some_and(|(_, leases)| *leases > 1)
    }

    /// Keeps a room live for as long as the lease is held.
    pub(crate) fn lease(self: &Arc<Self>, id: RoomId) -> Lease {
        let mut live = self.live.lock();
        let (room, begins) = match live.entry(id) {
            Slot::Occupied(mut slot) => {
                slot.get_mut().1 += 1;
                (slot.get().0.clone(), false)
            }
            Slot::Vacant(slot) => (slot.insert((Arc::new(LiveRoom::new(id, self.ring_entries)), 1)).0.clone(), true),
        };
        if begins {
            // Under the lock, so that beginnings and ends of one room are told in order.
            (self.watch)(id, true);
        }
        Lease { rooms: self.clone(), room }
    }

    /// Returns the live rooms in a fixed order, so that a run can be repeated.
    pub(crate) fn all(&self) -> Vec<Arc<LiveRoom>> {
        let mut all: Vec<_> = self.live.lock().values().map(|(room, _)| room.clone()).collect();
        all.sort_unstable_by_key(|room| room.id());
        all
    }

    fn release(&self, id: RoomId) {
        let mut live = self.live.lock();
        if let Slot::Occupied(mut slot) = live.entry(id) {
            slot.get_mut().1 -= 1;
            if slot.get().1 == 0 {
                slot.remove();
                (self.watch)(id, false);
            }
        }
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("live", &self.live.lock().len()).finish_non_exhaustive()
    }
}

/// Keeps one room live.
#[derive(Debug)]
pub(crate) struct Lease {
    rooms: Arc<Rooms>,
    room: Arc<LiveRoom>,
}

impl Lease {
    pub(crate) fn room(&self) -> &Arc<LiveRoom> {
        &self.room
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.rooms.release(self.room.id());
    }
}
