//! One session's place in the rooms it follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Class, Encoding, Frame, Lease, Outbox, Push};
use crate::{
    hub::Event,
    model::{Body, Cursor, Entry, Identity, Notice, RoomId, Seq, Timestamp},
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
    nudges: Box<dyn Fn(Nudge) + Send + Sync>,
}

/// Is something a session has to act on by itself.
#[derive(Clone, Debug)]
pub(crate) enum Nudge {
    /// This stands in the user's inbox.
    Notice(Notice),
    /// A room has parked the session although its outbox has room.
    Unpark,
    /// A room has detached the session, since its user was removed; they may be a member again by now.
    Expelled(RoomId),
}

#[derive(Default)]
struct Places {
    /// The session has ended: it follows nothing any more.
    closed: bool,
    /// The rooms this session follows; the lease keeps each of them live on this node.
    follows: BTreeMap<RoomId, Lease>,
    /// Where it stopped in rooms whose entries its full outbox did not take.
    parked: BTreeMap<RoomId, Cursor>,
    /// Rooms that were refused for now, as many as may be followed: the client asks for them again, from where it is.
    put_off: BTreeSet<RoomId>,
}

impl Seat {
    /// Makes a seat. `nudges` is called with what the session has to act on; it must not block.
    pub(crate) fn new(
        number: u64,
        identity: Arc<Identity>,
        outbox: Arc<dyn Outbox>,
        encoding: Arc<dyn Encoding>,
        nudges: Box<dyn Fn(Nudge) + Send + Sync>,
    ) -> Self {
        let expires = Mutex::new((identity.expires, false));
        Self { number, identity, outbox, encoding, expires, places: Mutex::default(), nudges }
    }

    /// Sets another end of the authentication. The same one again is not warned of again: a client whose source of
    /// tokens gives it the old one would ask for ever.
    pub(crate) fn prolong(&self, expires: Option<Timestamp>) {
        let mut known = self.expires.lock();
        if known.0 != expires {
            *known = (expires, false);
        }
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

    /// Leaves the session behind in a room that has to begin anew; it follows again from there.
    pub(crate) fn leave_behind(&self, at: Cursor) {
        self.places.lock().parked.insert(at.room, at);
        (self.nudges)(Nudge::Unpark);
    }

    /// Takes the places where this session was left behind.
    pub(crate) fn unpark(&self) -> BTreeMap<RoomId, Cursor> {
        std::mem::take(&mut self.places.lock().parked)
    }

    /// Notes that the session follows a room, at most `max` of them.
    pub(crate) fn follow(&self, lease: Lease, max: usize) -> Followed {
        let mut places = self.places.lock();
        if places.closed {
            return Followed::Closed;
        }
        if places.follows.contains_key(&lease.room().id()) {
            return Followed::Already;
        }
        if places.follows.len() >= max {
            return Followed::TooMany;
        }
        places.put_off.remove(&lease.room().id());
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

    /// Notes that a room was refused for now, unless `max` rooms were.
    pub(crate) fn put_off(&self, room: RoomId, max: usize) {
        let mut places = self.places.lock();
        if places.put_off.len() < max {
            places.put_off.insert(room);
        }
    }

    /// Tells whether the session neither follows a room nor is about to ask for it again.
    pub(crate) fn is_free_of(&self, room: RoomId) -> bool {
        let places = self.places.lock();
        !places.follows.contains_key(&room) && !places.put_off.contains(&room)
    }

    /// Lets the session look whether its user is a member again.
    pub(crate) fn expelled(&self, room: RoomId) {
        (self.nudges)(Nudge::Expelled(room));
    }

    /// Ends all following for good; the leases are the caller's to drop.
    pub(crate) fn leave_all(&self) -> BTreeMap<RoomId, Lease> {
        let mut places = self.places.lock();
        places.closed = true;
        places.parked.clear();
        std::mem::take(&mut places.follows)
    }

    /// Lets the session act on an entry of its user's inbox that stands after a position.
    pub(crate) fn notice_of(&self, entry: &Entry, after: Seq) {
        if let Body::Inbox(notice) = &entry.body
            && entry.seq > after
        {
            (self.nudges)(Nudge::Notice(notice.clone()));
        }
    }
}

/// Is the answer to [`Seat::follow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    New,
    Already,
    TooMany,
    /// The session has ended.
    Closed,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("number", &self.number).field("user", &self.identity.user).finish_non_exhaustive()
    }
}
