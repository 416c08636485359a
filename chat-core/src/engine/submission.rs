//! A draft on its way through a lane, and who waits for it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::drain::Taken;
use crate::{
    model::{Body, BodyHash, Draft, EntryId, Identity, Key, RoomId, RoomSpec, Seq},
    protocol::{Code, HubError},
};

/// Rooms of one session in which a refused draft has to come again first. Beyond that, drafts to further rooms are
/// refused for good: only these lose no order by it.
const HELD_MAX: usize = 1_024;

/// Drafts of one session whose good answer is remembered: at least as many as it may have requests under way. Of what a
/// client sent before it had that answer, no more can be on its way.
const SETTLED_MAX: usize = 64;

/// Is where a draft was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) room: RoomId,
    pub(crate) seq: Seq,
    pub(crate) id: EntryId,
}

/// Says by what right a draft is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Right {
    /// The policy decides.
    Judged,
    /// The policy decides, and if the room does not exist yet, this creates it.
    Opening(Box<RoomSpec>),
    /// The engine's own: replies of commands.
    Own,
}

/// Is a draft in a lane. Whoever drops it unanswered answers retry.
pub(crate) struct Submission {
    pub(crate) room: RoomId,
    pub(crate) draft: Draft,
    pub(crate) who: Arc<Identity>,
    pub(crate) right: Right,
    /// How often it was judged and had to be judged again.
    pub(crate) judgements: u8,
    /// When it came: its sender waits since then.
    pub(crate) since: Instant,
    /// What the host's screening said against it.
    pub(crate) refusal: Option<Code>,
    /// What it said of the room that this opens, if it was asked.
    pub(crate) opening: Option<Result<(), Code>>,
    /// What was sent, whatever screening makes of it.
    pub(crate) sent: BodyHash,
    key: Key,
    place: Option<Place>,
    reply: Reply,
    _taken: Taken,
}

type Answer = Box<dyn FnOnce(Result<Stored, HubError>) + Send + Sync>;

struct Reply(Option<Answer>);

impl Reply {
    fn send(&mut self, result: Result<Stored, HubError>) {
        if let Some(answer) = self.0.take() {
            answer(result);
        }
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if self.reply.0.is_some() {
            self.refuse_now(&Code::Retry.into());
        }
    }
}

impl Submission {
    pub(crate) fn new(
        room: RoomId,
        draft: Draft,
        who: Arc<Identity>,
        right: Right,
        taken: Taken,
        answer: impl FnOnce(Result<Stored, HubError>) + Send + Sync + 'static,
    ) -> Self {
        let (key, sent) = (draft.key, BodyHash::of(&draft.body));
        let reply = Reply(Some(Box::new(answer)));
        let (since, place, refusal, opening) = (Instant::now(), None, None, None);
        Self { room, draft, who, right, judgements: 0, since, refusal, opening, sent, key, place, reply, _taken: taken }
    }

    /// Holds the draft to its place in its sender's order.
    #[must_use]
    pub(crate) fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// Takes the draft out, to be stored; key and sender stay.
    pub(crate) fn take_draft(&mut self) -> Draft {
        let body = std::mem::replace(&mut self.draft.body, Body::Delete(Seq::ZERO));
        Draft { key: self.key, body }
    }

    pub(crate) fn reply(mut self, result: Result<Stored, HubError>) {
        match result {
            Ok(stored) => {
                // Whoever was told to retry meanwhile does so.
                if let (false, Some(place)) = (self.is_answered(), &self.place) {
                    place.settle();
                }
                self.reply.send(Ok(stored));
            }
            Err(error) => self.refuse_now(&error),
        }
    }

    pub(crate) fn refuse(mut self, error: impl Into<HubError>) {
        self.refuse_now(&error.into());
    }

    /// Answers the sender although the draft may go on.
    pub(crate) fn refuse_now(&mut self, error: &HubError) {
        if let (true, Some(place)) = (error.code.is_retryable(), &self.place) {
            place.hold();
        }
        self.reply.send(Err(error.clone()));
    }

    /// Tells whether the sender was answered already.
    pub(crate) fn is_answered(&self) -> bool {
        self.reply.0.is_none()
    }

    /// Tells whether an earlier draft of the same session to this room has to come again first.
    pub(crate) fn waits_behind(&self) -> Option<HubError> {
        self.place.as_ref().filter(|place| place.is_behind()).map(|_| Code::Behind.into())
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("room", &self.room).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Keeps one session's order: after a refusal that may be retried, later drafts to that room wait until the refused
/// one has come again.
#[derive(Debug, Default)]
pub(crate) struct Order {
    state: Mutex<OrderState>,
}

#[derive(Debug, Default)]
struct OrderState {
    /// Counts the drafts of the session: what came before a refused one is not behind it.
    count: u64,
    /// The earliest refused drafts of each room, by their place: the first of them has to come again first.
    held: HashMap<RoomId, BTreeMap<u64, Key>>,
    /// The tries under way: as many as a session has requests.
    under_way: Vec<UnderWay>,
    /// What was answered well of late: its sender does not send it again, whatever becomes of another try.
    settled: VecDeque<(RoomId, Key)>,
}

#[derive(Debug)]
struct UnderWay {
    room: RoomId,
    number: u64,
    overtaken: Weak<AtomicBool>,
}

/// Is a draft's place in its session's order.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    order: Arc<Order>,
    room: RoomId,
    key: Key,
    number: u64,
    /// Whether an earlier draft was refused and has come again since: then the sender sends this one again, too, and
    /// this try must neither be stored before that one nor hold anything up.
    overtaken: Arc<AtomicBool>,
}

impl Order {
    /// Takes a draft that comes in: the one that was refused frees the room, any other has to wait for it.
    pub(crate) fn admit(self: &Arc<Self>, room: RoomId, key: Key) -> Result<Place, HubError> {
        let mut state = self.state.lock();
        match state.first_held(room) {
            Some((refused, first)) if first == key => {
                state.held.remove(&room);
                state.overtake(room, refused);
            }
            Some(_) => {
                state.count += 1;
                let number = state.count;
                state.hold(room, number, key);
                return Err(Code::Behind.into());
            }
            None if state.held.len() >= HELD_MAX => {
                return Err(HubError::new(Code::TooMany, "refused messages to too many rooms wait to be sent again"));
            }
            None => {}
        }
        state.count += 1;
        let (number, overtaken) = (state.count, Arc::default());
        state.under_way.retain(|other| other.overtaken.strong_count() > 0);
        state.under_way.push(UnderWay { room, number, overtaken: Arc::downgrade(&overtaken) });
        Ok(Place { order: self.clone(), room, key, number, overtaken })
    }
}

impl OrderState {
    fn first_held(&self, room: RoomId) -> Option<(u64, Key)> {
        self.held.get(&room)?.first_key_value().map(|(number, key)| (*number, *key))
    }

    /// Notes that a draft was refused. Only the earliest of a room are ever asked for.
    fn hold(&mut self, room: RoomId, number: u64, key: Key) {
        let held = self.held.entry(room).or_default();
        if held.iter().any(|(earlier, other)| *other == key && *earlier < number) {
            return;
        }
        held.retain(|_, other| *other != key);
        held.insert(number, key);
        if held.len() > SETTLED_MAX {
            held.pop_last();
        }
    }

    /// Marks what came after a draft that is sent again now.
    fn overtake(&self, room: RoomId, refused: u64) {
        let later = self.under_way.iter().filter(|other| other.room == room && other.number > refused);
        later.filter_map(|other| other.overtaken.upgrade()).for_each(|flag| flag.store(true, Ordering::Release));
    }
}

impl Place {
    /// Notes that this draft has to come again first, unless an earlier one has to.
    pub(crate) fn hold(&self) {
        let mut state = self.order.state.lock();
        if self.overtaken.load(Ordering::Acquire) || state.settled.contains(&(self.room, self.key)) {
            return;
        }
        state.hold(self.room, self.number, self.key);
    }

    /// Notes that the sender has what it wanted: it waits for no other try of this draft, and sends none again.
    pub(crate) fn settle(&self) {
        let mut state = self.order.state.lock();
        if state.settled.len() >= SETTLED_MAX {
            state.settled.pop_front();
        }
        state.settled.push_back((self.room, self.key));
        if let Some(held) = state.held.get_mut(&self.room) {
            held.retain(|_, key| *key != self.key); // what was refused behind it has to come first now
            if held.is_empty() {
                state.held.remove(&self.room);
            }
        }
    }

    /// Tells whether an earlier draft to the same room was refused since this one came in.
    pub(crate) fn is_behind(&self) -> bool {
        let state = self.order.state.lock();
        let waits = state.first_held(self.room).is_some_and(|(refused, _)| refused < self.number);
        waits || self.overtaken.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(number: u8) -> Key {
        Key::new(1, [number; 10])
    }

    #[test]
    fn what_came_before_a_refused_draft_is_not_behind_it() {
        let (order, room) = (Arc::new(Order::default()), RoomId::named("r"));
        let [first, second, third] = [1, 2, 3].map(|number| order.admit(room, key(number)).unwrap());
        second.hold();
        assert!(!first.is_behind() && !second.is_behind() && third.is_behind());
        assert_eq!(order.admit(room, key(4)).unwrap_err().code, Code::Behind);
        assert!(order.admit(RoomId::named("other"), key(4)).is_ok());
        order.admit(room, key(2)).unwrap();
        order.admit(room, key(3)).unwrap();
    }

    #[test]
    fn of_several_refused_drafts_the_earliest_has_to_come_again() {
        let (order, room) = (Arc::new(Order::default()), RoomId::named("r"));
        let [first, second] = [1, 2].map(|number| order.admit(room, key(number)).unwrap());
        second.hold();
        first.hold();
        assert_eq!(order.admit(room, key(2)).unwrap_err().code, Code::Behind);
        order.admit(room, key(1)).unwrap();
    }

    #[test]
    fn a_try_that_waits_while_an_earlier_draft_comes_again_is_behind_it_and_holds_nothing_up() {
        let (order, room) = (Arc::new(Order::default()), RoomId::named("r"));
        let [zeroth, first, second] = [0, 1, 2].map(|number| order.admit(room, key(number)).unwrap());
        first.hold();
        let first_again = order.admit(room, key(1)).unwrap();
        assert!(second.is_behind(), "it would be stored before the first");
        second.hold();
        assert!(!first_again.is_behind(), "the first would wait for the second");
        assert!(!zeroth.is_behind());
        let second_again = order.admit(room, key(2)).unwrap();
        assert!(!second_again.is_behind());
        zeroth.hold();
        assert!(first_again.is_behind() && second_again.is_behind());
    }

    #[test]
    fn a_second_try_that_is_refused_holds_nothing_up_once_the_first_was_answered_well() {
        let (order, room) = (Arc::new(Order::default()), RoomId::named("r"));
        let [first, second] = [1, 1].map(|number| order.admit(room, key(number)).unwrap());
        first.settle();
        second.hold();
        order.admit(room, key(2)).unwrap().settle();
        order.admit(room, key(1)).unwrap().hold(); // sent before the answer had come, and read after it was given
        order.admit(room, key(3)).unwrap();
    }

    #[test]
    fn a_try_that_was_refused_is_forgotten_when_an_earlier_one_is_answered_well() {
        let (order, room) = (Arc::new(Order::default()), RoomId::named("r"));
        let [first, second, later] = [1, 1, 2].map(|number| order.admit(room, key(number)).unwrap());
        second.hold();
        assert_eq!(order.admit(room, key(3)).unwrap_err().code, Code::Behind);
        first.settle();
        assert!(!later.is_behind(), "nothing before it has to come again");
        assert_eq!(order.admit(room, key(4)).unwrap_err().code, Code::Behind, "it would be stored before the third");
        order.admit(room, key(3)).unwrap();
        order.admit(room, key(4)).unwrap();
    }

    #[test]
    fn drafts_that_are_never_sent_again_are_held_for_so_many_rooms_only() {
        let order = Arc::new(Order::default());
        let room = |number: usize| RoomId::named(&number.to_string());
        for number in 0..HELD_MAX {
            order.admit(room(number), key(1)).unwrap().hold();
        }
        assert_eq!(order.admit(room(HELD_MAX), key(1)).unwrap_err().code, Code::TooMany);
        assert_eq!(order.admit(room(0), key(2)).unwrap_err().code, Code::Behind);
        order.admit(room(0), key(1)).unwrap();
        order.admit(room(HELD_MAX), key(1)).unwrap();
    }
}
