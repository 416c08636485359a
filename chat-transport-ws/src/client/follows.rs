//! Which rooms the connection brings, and from where.
//!
//! The server follows the user's rooms by itself, once per connection. A receiver that needs a room from another
//! place gets its turn: the room is unfollowed and followed again from there, and the others drop what they have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use chat_core::{Code, Cursor, Entry, GapReason, HubError, RoomId, Seq, Signal, Start, protocol::Request};
use tokio::time::Instant;

use super::{ClientConfig, events::Receiver, outgoing::Outgoing};

/// Is what the connection brings, and who receives it.
#[derive(Default)]
pub(super) struct Follows {
    receivers: Vec<Weak<Receiver>>,
    rooms: BTreeMap<RoomId, Room>,
    /// Rooms for which something has to be asked, perhaps.
    dirty: BTreeSet<RoomId>,
    online: bool,
}

#[derive(Default)]
struct Room {
    /// The furthest place that was received: there a new connection resumes.
    at: Option<Cursor>,
    /// The furthest place that a draft of ours was stored at: "from now on" is not before it.
    stored: Option<Cursor>,
    state: Followed,
    tries: u32,
    retry_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Followed {
    #[default]
    No,
    /// Asked for: by `hello`, or by the request with this `ref`.
    Asked { reference: Option<u64>, from: Option<Cursor> },
    /// The last position that came.
    At(Seq),
    /// The user's, but more than a connection follows: the next one resumes it, if that has space.
    NotNow,
}

impl Follows {
    /// Adds a receiver of one room, after a cursor or from now on.
    pub(super) fn add_one(&mut self, receiver: &Arc<Receiver>, room: RoomId, after: Option<Cursor>) {
        self.receivers.push(Arc::downgrade(receiver));
        self.place(receiver, room, after);
    }

    /// Adds a receiver of all rooms: those with a cursor from there, the others from now on.
    pub(super) fn add_all(&mut self, receiver: &Arc<Receiver>, resume: &[Cursor]) {
        self.receivers.push(Arc::downgrade(receiver));
        for cursor in resume {
            self.place(receiver, cursor.room, Some(*cursor));
        }
        let followed = self.rooms.iter().filter(|(_, room)| matches!(room.state, Followed::At(_)));
        for room in followed.map(|(room, _)| *room).filter(|room| !receiver.has(*room)).collect::<Vec<_>>() {
            self.place(receiver, room, None);
        }
    }

    fn place(&mut self, receiver: &Arc<Receiver>, id: RoomId, after: Option<Cursor>) {
        let room = self.rooms.entry(id).or_default();
        match after {
            Some(after) => receiver.want_after(after),
            None => receiver.want_head(id, room.stored),
        }
        if let (Followed::At(_), Some(head)) = (room.state, room.head()) {
            // Where the room stands already, nothing has to be asked.
            if after.is_none_or(|after| after.seq == head.seq && after.id == head.id) {
                receiver.followed(head);
            }
        }
        if matches!(room.state, Followed::NotNow) {
            room.state = Followed::No; // somebody wants just this one
        }
        self.dirty.insert(id);
    }

    /// A receiver that refused entries has space again.
    pub(super) fn drained(&mut self, receiver: &Receiver) {
        self.dirty.extend(receiver.rooms());
    }

    /// Returns the cursors for `hello`: of rooms that somebody receives.
    pub(super) fn begin(&mut self, rooms_max: usize) -> Vec<Cursor> {
        let mut cursors = Vec::new();
        let receivers = &self.receivers;
        self.rooms.retain(|id, room| room.at.is_some() || interested(receivers, *id).next().is_some());
        for (id, room) in &mut self.rooms {
            let receivers: Vec<_> = interested(&self.receivers, *id).collect();
            let waiting = receivers.iter().filter_map(|receiver| receiver.waits(*id)).min_by_key(|cursor| cursor.seq);
            let from = room.at.or(waiting).filter(|_| !receivers.is_empty() && cursors.len() < rooms_max);
            for receiver in receivers {
                receiver.resumed(*id, from);
            }
            room.state = from.map_or(Followed::No, |from| Followed::Asked { reference: None, from: Some(from) });
            (room.stored, room.tries, room.retry_at) = (None, 0, None);
            cursors.extend(from);
        }
        cursors
    }

    /// The connection is open, or broken.
    pub(super) fn set_online(&mut self, online: bool) {
        self.online = online;
        self.dirty.extend(self.rooms.keys());
    }

    pub(super) fn followed(&mut self, reference: Option<u64>, cursor: Cursor) {
        let room = self.rooms.entry(cursor.room).or_default();
        if let Followed::Asked { reference: Some(asked), .. } = room.state
            && reference.is_some_and(|reference| reference != asked)
        {
            return; // the answer to an earlier wish
        }
        room.state = Followed::At(cursor.seq);
        (room.tries, room.retry_at) = (0, None);
        room.reached(cursor);
        covering(&self.receivers, cursor.room).for_each(|receiver| receiver.followed(cursor));
        self.dirty.insert(cursor.room);
    }

    pub(super) fn entry(&mut self, entry: &Arc<Entry>) {
        self.passed(Cursor::new(entry.room, entry.seq, Some(entry.id)), |receiver| receiver.entry(entry));
    }

    /// An entry that cannot be read moves the cursors all the same.
    pub(super) fn unreadable(&mut self, cursor: Cursor) {
        tracing::warn!(room = %cursor.room, seq = %cursor.seq, "an entry of an unknown shape is passed over");
        self.passed(cursor, |receiver| receiver.pass(cursor, None));
    }

    fn passed(&mut self, cursor: Cursor, take: impl Fn(&Receiver) -> bool) {
        let room = self.rooms.entry(cursor.room).or_default();
        room.reached(cursor);
        if let Followed::At(seq) = &mut room.state {
            *seq = cursor.seq;
        }
        let mut behind = false;
        for receiver in covering(&self.receivers, cursor.room) {
            behind |= take(&receiver);
        }
        if behind {
            self.dirty.insert(cursor.room);
        }
    }

    pub(super) fn gap(&mut self, id: RoomId, from: Seq, to: Seq, why: GapReason) {
        let room = self.rooms.entry(id).or_default();
        room.reached(Cursor::new(id, to, None));
        if let Followed::At(seq) = &mut room.state {
            *seq = to;
        }
        covering(&self.receivers, id).for_each(|receiver| receiver.gap(id, from, to, why));
        self.dirty.insert(id);
    }

    /// The cursor that was asked for last is not of this log. A `followed` comes next.
    pub(super) fn reset(&mut self, id: RoomId) {
        let room = self.rooms.entry(id).or_default();
        let Followed::Asked { from: Some(refused), .. } = room.state else { return };
        if room.at.is_some_and(|at| at == refused) {
            (room.at, room.stored) = (None, None); // what it tells next is where the room stands
        }
        covering(&self.receivers, id).for_each(|receiver| receiver.reset(refused));
    }

    pub(super) fn unfollowed(&mut self, config: &ClientConfig, reference: Option<u64>, id: RoomId, why: Code) {
        if reference.is_some() {
            return; // as we asked; the wish to follow it from elsewhere is under way
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if why.is_retryable() {
            return room.later(config, None);
        }
        if why == Code::TooMany {
            room.state = Followed::NotNow;
            return covering(&self.receivers, id).for_each(|receiver| receiver.paused(id, why));
        }
        // A cursor in `hello` is only taken for one's own rooms; others may still be followed on request.
        if why == Code::NotFound && matches!(room.state, Followed::Asked { reference: None, .. }) {
            room.state = Followed::No;
            self.dirty.insert(id);
            return;
        }
        self.forget(id, why);
    }

    /// Takes an error if it answers a wish to follow.
    pub(super) fn refused(&mut self, config: &ClientConfig, reference: u64, error: &HubError) -> bool {
        let asked =
            |room: &Room| matches!(room.state, Followed::Asked { reference: Some(asked), .. } if asked == reference);
        let Some((id, room)) = self.rooms.iter_mut().find(|(_, room)| asked(room)) else { return false };
        let id = *id;
        if error.code.is_retryable() {
            room.later(config, error.retry_after);
        } else {
            self.forget(id, error.code);
        }
        true
    }

    fn forget(&mut self, id: RoomId, why: Code) {
        self.rooms.remove(&id);
        covering(&self.receivers, id).for_each(|receiver| receiver.unfollowed(id, why));
    }

    pub(super) fn signal(&self, signal: &Signal) {
        let room = match signal {
            Signal::Typing { room, .. }
            | Signal::Read { room, .. }
            | Signal::Whisper { room, .. }
            | Signal::Custom { room, .. } => Some(*room),
            _ => None,
        };
        self.receivers.iter().filter_map(Weak::upgrade).for_each(|receiver| receiver.signal(room, signal));
    }

    /// A draft of ours was stored here, perhaps before the room is followed.
    pub(super) fn stored(&mut self, cursor: Cursor) {
        let room = self.rooms.entry(cursor.room).or_default();
        room.stored = Some(further(room.stored, cursor));
    }

    /// Tells whether an answer is due.
    pub(super) fn is_under_way(&self) -> bool {
        self.rooms.values().any(|room| matches!(room.state, Followed::Asked { reference: Some(_), .. }))
    }

    /// Returns when a room is to be asked for again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.rooms.values().filter_map(|room| room.retry_at).min()
    }

    /// Asks for what receivers miss.
    pub(super) fn ask(&mut self, out: &mut Outgoing) {
        if !self.online {
            return;
        }
        self.receivers.retain(|receiver| receiver.upgrade().inspect(|receiver| receiver.check()).is_some());
        let now = Instant::now();
        self.dirty
            .extend(self.rooms.iter().filter(|(_, room)| room.retry_at.is_some_and(|at| at <= now)).map(|(id, _)| *id));
        while let Some(id) = self.dirty.pop_first() {
            let Some(start) = self.wish(id, now) else { continue };
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            let from = if let Start::After(cursor) = start { Some(cursor) } else { None };
            if matches!(room.state, Followed::At(_)) {
                out.ask(&Request::Unfollow { room: id });
            }
            let reference = Some(out.ask(&Request::Follow { room: id, cursor: from }));
            room.state = Followed::Asked { reference, from };
            room.retry_at = None;
        }
    }

    /// Returns from where a room has to be followed anew, if it has to.
    fn wish(&self, id: RoomId, now: Instant) -> Option<Start> {
        let room = self.rooms.get(&id)?;
        if room.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let receivers: Vec<_> = interested(&self.receivers, id).collect();
        let waiting = receivers.iter().filter_map(|receiver| receiver.waits(id)).min_by_key(|cursor| cursor.seq);
        match room.state {
            Followed::Asked { .. } | Followed::NotNow => None,
            Followed::No if receivers.is_empty() => None,
            Followed::No => Some(waiting.or(room.at).map_or(Start::Head, Start::After)),
            Followed::At(_) if waiting.is_some() => waiting.map(Start::After),
            // What comes is known to all who take it: go back to where the room stands.
            Followed::At(seq) => {
                let wanted = receivers.iter().any(|receiver| receiver.takes_after(id, seq));
                room.at.filter(|at| at.seq > seq && !wanted).map(Start::After)
            }
        }
    }

    /// Ends all streams.
    pub(super) fn end(&mut self, why: &HubError) {
        self.receivers
            .drain(..)
            .filter_map(|receiver| receiver.upgrade())
            .for_each(|receiver| receiver.end(why.clone()));
    }
}

impl Room {
    fn head(&self) -> Option<Cursor> {
        self.at.map(|at| further(self.stored, at))
    }

    fn reached(&mut self, cursor: Cursor) {
        self.at = Some(further(self.at, cursor));
    }

    /// Asks for the room again after a while.
    fn later(&mut self, config: &ClientConfig, wait: Option<std::time::Duration>) {
        self.state = Followed::No;
        self.retry_at = Some(Instant::now() + wait.unwrap_or_default() + config.backoff(self.tries));
        self.tries += 1;
    }
}

/// Returns the further one of two places; of two at one position, the one with an id.
pub(super) fn further(one: Option<Cursor>, other: Cursor) -> Cursor {
    one.filter(|one| one.seq > other.seq || (one.seq == other.seq && one.id.is_some())).unwrap_or(other)
}

fn covering(receivers: &[Weak<Receiver>], room: RoomId) -> impl Iterator<Item = Arc<Receiver>> {
    receivers.iter().filter_map(Weak::upgrade).filter(move |receiver| receiver.covers(room))
}

fn interested(receivers: &[Weak<Receiver>], room: RoomId) -> impl Iterator<Item = Arc<Receiver>> {
    covering(receivers, room).filter(move |receiver| receiver.has(room))
}
