//! A receiver of events: its place in each room, and the bounded buffer between the connection and a stream.
//!
//! All receivers of a hub share one connection, which may bring a room's entries again from an earlier place for
//! one of them. So each receiver has its own place in each room and takes exactly the entry after it: what is not
//! above its place it has already, and when there is a hole it waits until the room is followed again from there.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use chat_core::{Code, Cursor, Entry, Event, GapReason, HubError, RoomId, Seq, Signal};
use futures::Stream;
use parking_lot::Mutex;

use super::{
    follows::further,
    link::{Order, Orders},
};

/// Events of the kinds that are never refused may wait in this many times the places that entries have; whoever lets
/// that many lie does not read at all, and its stream ends.
const PATIENCE: usize = 8;

/// Is what one stream receives, shared by the stream and the connection.
pub(super) struct Receiver {
    /// The one room, or all.
    scope: Option<RoomId>,
    events_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    places: BTreeMap<RoomId, Place>,
    /// Entries were refused; once there is room again, the connection is told.
    full: bool,
    ended: bool,
    waker: Option<Waker>,
}

/// Is where a receiver stands in a room.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// It begins where the room is followed next, but not before what its user had posted by then.
    Head { not_before: Option<Cursor> },
    At {
        cursor: Cursor,
        /// Whether it takes what comes, or waits until the room is followed from its cursor.
        live: bool,
        /// Whether its stream was told [`Event::Followed`].
        told: bool,
        /// Whether the room was followed for it, and nothing has come since: a hole right here is in the log itself.
        tried: bool,
    },
}

impl Place {
    fn waits_at(cursor: Cursor) -> Self {
        Self::At { cursor, live: false, told: false, tried: false }
    }
}

impl Receiver {
    /// Makes a receiver of all rooms, or of one.
    pub(super) fn new(scope: Option<RoomId>, events_max: usize) -> Self {
        Self { scope, events_max: events_max.max(2), state: Mutex::default() }
    }

    pub(super) fn covers(&self, room: RoomId) -> bool {
        self.scope.is_none_or(|scope| scope == room)
    }

    /// Wants a room after a cursor.
    pub(super) fn want_after(&self, cursor: Cursor) {
        self.state.lock().places.insert(cursor.room, Place::waits_at(cursor));
    }

    /// Wants a room from now on: not from before what its user has posted.
    pub(super) fn want_head(&self, room: RoomId, not_before: Option<Cursor>) {
        self.state.lock().places.insert(room, Place::Head { not_before });
    }

    /// Returns the rooms in which it has a place.
    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.state.lock().places.keys().copied().collect()
    }

    pub(super) fn has(&self, room: RoomId) -> bool {
        self.state.lock().places.contains_key(&room)
    }

    /// Returns the cursor from which the room must be followed for this receiver, if it waits and has space.
    pub(super) fn waits(&self, room: RoomId) -> Option<Cursor> {
        let state = self.state.lock();
        match state.places.get(&room) {
            Some(Place::At { cursor, live: false, .. }) if !state.full => Some(*cursor),
            _ => None,
        }
    }

    /// Tells whether it takes the entry after this position.
    pub(super) fn takes_after(&self, room: RoomId, seq: Seq) -> bool {
        matches!(self.state.lock().places.get(&room), Some(Place::At { cursor, live: true, .. }) if cursor.seq == seq)
    }

    /// The room is followed after `from`; who has no place there begins there.
    pub(super) fn followed(&self, from: Cursor) {
        let mut state = self.state.lock();
        let room = from.room;
        let place = state.places.get(&room).copied().unwrap_or(Place::Head { not_before: None });
        let next = match place {
            Place::Head { not_before } => {
                let cursor = not_before.map_or(from, |not_before| further(Some(from), not_before));
                state.push(Event::Followed { room, head: cursor.seq });
                Place::At { cursor, live: true, told: true, tried: false }
            }
            Place::At { cursor, live: false, told, .. } if meets(cursor, from) => {
                if !told {
                    state.push(Event::Followed { room, head: from.seq });
                }
                Place::At { cursor: from, live: true, told: true, tried: true }
            }
            // What stands between its place and `from` will not come now.
            Place::At { cursor, live: true, told, .. } if cursor.seq < from.seq => {
                Place::At { cursor, live: false, told, tried: false }
            }
            stays @ Place::At { .. } => stays,
        };
        state.places.insert(room, next);
    }

    /// Takes an entry if it is the next one. Returns whether the receiver fell behind.
    pub(super) fn entry(&self, entry: &Arc<Entry>) -> bool {
        let cursor = Cursor::new(entry.room, entry.seq, Some(entry.id));
        self.pass(cursor, Some(Event::Entry(entry.clone())))
    }

    /// Moves over a position, with the event that says so, if it is the next one.
    pub(super) fn pass(&self, to: Cursor, event: Option<Event>) -> bool {
        let mut state = self.state.lock();
        let space = !state.full && state.events.len() < self.events_max;
        let Some(Place::At { cursor, live, told, tried }) = state.places.get_mut(&to.room) else { return false };
        if !*live {
            // The room may pass by where it waits.
            *live = space && cursor.seq == to.seq && cursor.id.is_some() && cursor.id == to.id;
            if *live && !std::mem::replace(told, true) {
                state.push(Event::Followed { room: to.room, head: to.seq });
            }
            return false;
        }
        if to.seq <= cursor.seq {
            return false;
        }
        let expected = cursor.seq.next();
        let hole = to.seq > expected;
        if !space || (hole && !*tried) {
            *live = false;
            state.full |= !space;
            return true;
        }
        (*cursor, *tried) = (to, false);
        if hole {
            tracing::error!(room = %to.room, from = %expected, to = %to.seq, "the server left positions out");
            let why = GapReason::Retention;
            state.push(Event::Gap { room: to.room, from: expected, to: to.seq.prev(), why });
        }
        state.events.extend(event);
        state.wake();
        false
    }

    /// Says that positions will not come, as far as they are not behind this receiver.
    pub(super) fn gap(&self, room: RoomId, from: Seq, to: Seq, why: GapReason) {
        let mut state = self.state.lock();
        let Some(Place::At { cursor, live: live @ true, tried, .. }) = state.places.get_mut(&room) else { return };
        if to <= cursor.seq {
            return;
        }
        let next = cursor.seq.next();
        if from > next && !*tried {
            *live = false;
            return;
        }
        (*cursor, *tried) = (Cursor::new(room, to, None), false);
        state.push(Event::Gap { room, from: next, to, why });
    }

    /// The cursor was not of this log: who stands there begins anew.
    pub(super) fn reset(&self, refused: Cursor) {
        let mut state = self.state.lock();
        if let Some(Place::At { cursor, .. }) = state.places.get(&refused.room)
            && meets(*cursor, refused)
        {
            state.places.insert(refused.room, Place::Head { not_before: None });
            state.push(Event::Reset(refused.room));
        }
    }

    /// The room comes no more.
    pub(super) fn unfollowed(&self, room: RoomId, why: Code) {
        let mut state = self.state.lock();
        if state.places.remove(&room).is_some() {
            state.push(Event::Unfollowed { room, why });
        }
    }

    /// The room does not come over this connection; its place is kept for another one.
    pub(super) fn paused(&self, room: RoomId, why: Code) {
        let mut state = self.state.lock();
        let Some(place) = state.places.get_mut(&room) else { return };
        if let Place::At { live, told, .. } = place {
            (*live, *told) = (false, false);
        }
        state.push(Event::Unfollowed { room, why });
    }

    /// A signal, of a room or of the user's sessions as such; dropped when there is much to read.
    pub(super) fn signal(&self, room: Option<RoomId>, signal: &Signal) {
        let mut state = self.state.lock();
        let concerned = room.map_or(self.scope.is_none(), |room| state.places.contains_key(&room));
        if concerned && state.events.len() < self.events_max / 2 {
            state.push(Event::Signal(signal.clone()));
        }
    }

    /// The connection is new: whoever does not stand where it resumes has to wait for its turn.
    pub(super) fn resumed(&self, room: RoomId, at: Option<Cursor>) {
        let mut state = self.state.lock();
        match state.places.get_mut(&room) {
            Some(Place::At { cursor, live, tried, .. }) => {
                *live &= at.is_some_and(|at| meets(*cursor, at));
                *tried = false;
            }
            Some(Place::Head { not_before }) => *not_before = None, // it is followed where the log stands by now
            None => {}
        }
    }

    /// Ends the stream.
    pub(super) fn end(&self, why: HubError) {
        self.state.lock().end(why);
    }

    /// Ends the stream of a receiver that reads nothing at all.
    pub(super) fn check(&self) {
        let mut state = self.state.lock();
        if state.events.len() > self.events_max * PATIENCE {
            state.end(HubError::new(Code::TooMany, "nobody reads these events"));
        }
    }
}

impl State {
    fn push(&mut self, event: Event) {
        if !self.ended {
            self.events.push_back(event);
            self.wake();
        }
    }

    fn end(&mut self, why: HubError) {
        self.push(Event::Closed(why));
        self.ended = true;
        self.places.clear();
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Tells whether two cursors are one place. A cursor without an id is of any log.
fn meets(cursor: Cursor, other: Cursor) -> bool {
    cursor.seq == other.seq && (cursor.id == other.id || cursor.id.is_none() || other.id.is_none())
}

/// Is the stream of a receiver's events. Dropping it ends the receiving.
pub(super) struct Events {
    receiver: Arc<Receiver>,
    orders: Orders,
}

impl Events {
    pub(super) fn new(receiver: Arc<Receiver>, orders: Orders) -> Self {
        Self { receiver, orders }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let (event, drained) = {
            let mut state = self.receiver.state.lock();
            let event = state.events.pop_front();
            let drained = state.full && state.events.len() <= self.receiver.events_max / 2;
            state.full &= !drained;
            if event.is_none() && !state.ended {
                state.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            (event, drained)
        };
        if drained {
            let _ = self.orders.send(Order::Drained(self.receiver.clone())); // or the hub has ended, and says so itself
        }
        Poll::Ready(event)
    }
}
