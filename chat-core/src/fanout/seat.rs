//! One session's place in the rooms it follows.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;

use super::{Class, Encoding, Frame, Lease, Outbox, Push};
use crate::{
    hub::Event,
    model::{Cursor, Identity, Notice, RoomId, Timestamp},
    protocol::{Close, CloseCode, ServerFrame},
};

/// Is what the rooms know of a session: whom it belongs to, where its frames go, and where it was left behind.
pub(crate) struct Seat {
    /// Unique on this node.
    pub(crate) number: u64,
    pub(crate) identity: Arc<Identity>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) encoding: Arc<dyn Encoding>,
    /// When the authentication ends, and whether the client was told that it ends soon.
    expires: Mutex<(Option<Timestamp>, bool)>,
    places: Mutex<Places>,
    notices: Box<dyn Fn(Notice) + Send + Sync>,
}

#[derive(Default)]
struct Places {
    /// The rooms this session follows; the lease keeps each of them live on this node.
    follows: BTreeMap<RoomId, Lease>,
    /// Where it stopped in rooms whose entries its full outbox did not take.
    parked: BTreeMap<RoomId, Cursor>,
}

impl Seat {
    /// Makes a seat. `notices` is called with each notice that passes in the user's inbox; it must not block.
    pub(crate) fn new(
        number: u64,
        identity: Arc<Identity>,
        outbox: Arc<dyn Outbox>,
        encoding: Arc<dyn Encoding>,
        notices: Box<dyn Fn(Notice) + Send + Sync>,
    ) -> Self {
        let expires = Mutex::new((identity.expires, false));
        Self { number, identity, outbox, encoding, expires, places: Mutex::default(), notices }
    }

    /// Sets another end of the authentication.
    pub(crate) fn prolong(&self, expires: Option<Timestamp>) {
        *self.expires.lock() = (expires, false);
    }

    /// Warns once before the authentication ends, and closes when it has.
    pub(crate) fn expire(&self, now: Timestamp, warn_ms: i64) {
        let mut expires = self.expires.lock();
        let Some(at) = expires.0 else { return };
        if at <= now {
            self.close(CloseCode::Expired.into());
        } else if at.ms_since(now) <= warn_ms && !std::mem::replace(&mut expires.1, true) {
            self.answer(&ServerFrame::Expiring { at });
        }
    }

    /// Encodes for this session alone and pushes.
    pub(crate) fn push(&self, class: Class, frame: &ServerFrame<'_>, event: Option<Event>) -> Push {
        self.outbox.push(&Frame::new(class, self.encoding.encode(frame), event))
    }

    pub(crate) fn answer(&self, frame: &ServerFrame<'_>) {
        self.push(Class::Answer, frame, None);
    }

    pub(crate) fn close(&self, why: Close) {
        self.outbox.close(why);
    }

    /// Pushes an entry's frame. When the outbox is full, the place after `before` is kept for later.
    ///
    /// The second try under the lock closes a race: the outbox may have drained, and [`Seat::unpark`] may have found
    /// nothing, between a first refusal and the parking.
    pub(crate) fn deliver(&self, frame: &Frame, before: Cursor) -> Push {
        match self.outbox.push(frame) {
            Push::Full => {
                let mut places = self.places.lock();
                let again = self.outbox.push(frame);
                if again == Push::Full {
                    places.parked.insert(before.room, before);
                    metrics::counter!("chat_parked_total").increment(1);
                }
                again
            }
            other => other,
        }
    }

    /// Takes the places where this session was left behind.
    pub(crate) fn unpark(&self) -> BTreeMap<RoomId, Cursor> {
        std::mem::take(&mut self.places.lock().parked)
    }

    /// Notes that the session follows a room. Returns `false` if it did already, or if it would be more than `max`.
    pub(crate) fn follow(&self, lease: Lease, max: usize) -> Followed {
        let mut places = self.places.lock();
        if places.follows.contains_key(&lease.room().id()) {
            return Followed::Already;
        }
        if places.follows.len() >= max {
            return Followed::TooMany;
        }
        places.follows.insert(lease.room().id(), lease);
        Followed::New
    }

    /// Notes that the session follows a room no more. Returns whether it did.
    pub(crate) fn unfollow(&self, room: RoomId) -> bool {
        let lease = {
            let mut places = self.places.lock();
            places.parked.remove(&room);
            places.follows.remove(&room)
        };
        lease.is_some() // dropped here, outside the lock: a lease's end takes another one
    }

    pub(crate) fn follows(&self, room: RoomId) -> bool {
        self.places.lock().follows.contains_key(&room)
    }

    /// Ends all following; the leases are the caller's to drop.
    pub(crate) fn leave_all(&self) -> BTreeMap<RoomId, Lease> {
        let mut places = self.places.lock();
        places.parked.clear();
        std::mem::take(&mut places.follows)
    }

    pub(crate) fn notice(&self, notice: Notice) {
        (self.notices)(notice);
    }
}

/// Is the answer to [`Seat::follow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    New,
    Already,
    TooMany,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("number", &self.number).field("user", &self.identity.user).finish_non_exhaustive()
    }
}
