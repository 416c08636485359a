//! One live room: the sequencer that puts entries in order, and the loop that hands them to everybody.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{Class, Encoding, Frame, Push, Seat};
use crate::{
    hub::Event,
    model::{Body, Cursor, Entry, EntryId, MemberChange, Membership, RoomChange, RoomId, Seq, UserId, Visibility},
    protocol::{Code, ServerFrame, Signal},
};

/// After so many pushes the loop lets other tasks run: about half a millisecond of writes.
const PUSHES_PER_TURN: usize = 256;

/// What was brought back into a ring is kept for so long: clients come back within seconds after a node has died.
const BROUGHT_FOR: Duration = Duration::from_secs(30);

/// Entries that came too early are kept up to this many; beyond that the log is read anyway.
const AHEAD_MAX: usize = 1_024;

/// Is a room that somebody on this node follows.
///
/// The lock is held while an entry goes to all recipients, so that order holds; it is never held across a call
/// to a store or broker.
pub(crate) struct LiveRoom {
    id: RoomId,
    ring_entries: usize,
    state: Mutex<State>,
    /// Held by the one task that reads the log for this room.
    repair: Mutex<()>,
    /// The log did not hold what a hint had announced, and will be read again after a moment.
    doubted: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The position that is due; `None` until the first follower has found out where the log stands.
    next: Option<Seq>,
    /// The id of the entry before `next`, where it is known: the next hint must fit to it.
    last: Option<EntryId>,
    /// The position of the last entry that took a right away, as far as this room has come.
    guard: Seq,
    ring: VecDeque<Passed>,
    /// The first position that passed here and not elsewhere, and when what stands before it was last brought back.
    brought: Option<(Seq, Instant)>,
    /// The log holds nothing before this position, as far as is known.
    oldest: Seq,
    ahead: BTreeMap<Seq, Arc<Entry>>,
    groups: Vec<Group>,
}

/// An entry that has passed, with its frame in each encoding that was asked for.
struct Passed {
    entry: Arc<Entry>,
    frames: Vec<(Arc<dyn Encoding>, Frame)>,
}

/// The followers that receive the same bytes.
struct Group {
    encoding: Arc<dyn Encoding>,
    seats: Vec<Subscriber>,
}

struct Subscriber {
    seat: Arc<Seat>,
    /// What stands before this has reached the session in another way.
    from: Seq,
}

/// Says where a room stands after entries were offered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is missing.
    Whole,
    /// Something before what was offered is missing.
    Behind,
    /// Another entry has passed at a position of what was offered: the log has gone back.
    Forked,
}

/// Says what came of attaching a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// It receives everything after its cursor from now on.
    Attached,
    /// The outbox is full: it is parked and follows again later.
    Parked,
    /// The session is gone.
    Gone,
    /// The room has not come as far as the cursor or the access: feed it from the log first.
    RoomBehind,
    /// The session is further behind than the ring reaches: page the log first.
    SessionBehind,
    /// A right was taken away since the access was read: read it again.
    GuardMoved,
}

/// Says under what a session's access was judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    /// The position of the last entry that took a right away.
    pub(crate) guard: Seq,
    /// The last position that was taken into account.
    pub(crate) as_of: Seq,
}

/// Is a hint's entries, with the id before the first of them.
pub(crate) struct Chained {
    pub(crate) before: Option<EntryId>,
    pub(crate) entries: Vec<Arc<Entry>>,
}

impl LiveRoom {
    pub(super) fn new(id: RoomId, ring_entries: usize) -> Self {
        Self { id, ring_entries, state: Mutex::default(), repair: Mutex::default(), doubted: AtomicBool::new(false) }
    }

    pub(crate) fn id(&self) -> RoomId {
        self.id
    }

    /// Takes the right to read the log for this room; whoever waited finds that the work is done.
    pub(crate) async fn repairing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.repair.lock().await
    }

    /// Notes whether hints for this room are doubted; returns whether they were.
    pub(crate) fn doubt(&self, doubted: bool) -> bool {
        self.doubted.swap(doubted, Ordering::AcqRel)
    }

    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Acquire)
    }

    /// Returns the last position that has passed.
    pub(crate) async fn reached(&self) -> Option<Seq> {
        self.state.lock().await.next.map(Seq::prev)
    }

    /// Returns the id of the entry before a position, if it has passed here lately.
    pub(crate) async fn id_before(&self, seq: Seq) -> Option<EntryId> {
        let state = self.state.lock().await;
        if state.next == Some(seq) {
            return state.last;
        }
        let passed = state.ring.iter().rev().find(|passed| passed.entry.seq.next() == seq);
        passed.map(|passed| passed.entry.id)
    }

    /// Tells whether the ring does not reach back to a place, but would if at most `entries_max` were put before it.
    pub(crate) async fn falls_short_of(&self, at: Seq, entries_max: usize) -> bool {
        let state = self.state.lock().await;
        let Some(next) = state.next else { return false };
        let at = at.max(state.oldest).max(Seq::FIRST);
        let near = next.get().saturating_sub(at.get()) <= self.ring_entries.min(entries_max) as u64;
        near && state.begins().is_some_and(|first| at < first)
    }

    /// Puts what was read from the log at and after a place before what has passed, as far as the ring has places. It is
    /// [let go](LiveRoom::let_go) of when nothing has been brought back for a while.
    pub(crate) async fn reach_back(&self, at: Seq, entries: Vec<Entry>) {
        let mut state = self.state.lock().await;
        let (Some(begins), Some(first)) = (state.begins(), entries.first().map(|entry| entry.seq)) else { return };
        if entries.iter().any(|entry| entry.seq >= begins && state.has_passed(entry) == Some(false)) {
            return; // of another log
        }
        if first > at {
            state.oldest = first; // what is before it is not kept any more
        }
        for entry in entries.into_iter().rev().skip_while(|entry| entry.seq >= begins) {
            let continues = state.begins() == Some(entry.seq.next());
            let of_another_log = state.ring.is_empty() && state.last.is_some_and(|last| last != entry.id);
            if !continues || of_another_log || state.ring.len() >= self.ring_entries {
                break;
            }
            state.ring.push_front(Passed { entry: Arc::new(entry), frames: Vec::new() });
        }
        let passed_here = state.brought.map_or(begins, |(passed_here, _)| passed_here);
        state.brought = Some((passed_here, Instant::now()));
    }

    /// Lets go of what was brought back, if that was the last time some while ago: who comes at once has come.
    pub(crate) async fn let_go(&self) {
        let mut state = self.state.lock().await;
        let Some((passed_here, _)) = state.brought.filter(|(_, since)| since.elapsed() > BROUGHT_FOR) else { return };
        while state.ring.pop_front_if(|passed| passed.entry.seq < passed_here).is_some() {}
        state.ring.shrink_to_fit();
        state.brought = None;
    }

    /// Tells whether the ring holds the entry at a place.
    pub(crate) async fn holds(&self, place: Cursor) -> bool {
        place.id.is_some() && self.id_before(place.seq.next()).await == place.id
    }

    /// Returns the last position that has passed, with its id where that is known.
    pub(crate) async fn stands(&self) -> Option<Cursor> {
        let state = self.state.lock().await;
        state.next.map(|next| Cursor::new(self.id, next.prev(), state.last))
    }

    /// Forgets where it stands, what has passed and who follows.
    pub(crate) async fn forget(&self) {
        *self.state.lock().await = State::default();
    }

    /// Sets where the room begins, unless it has begun. Everything committed later reaches it by
    /// [`LiveRoom::deliver`] or by repair.
    pub(crate) async fn begin(&self, head: Seq, last: Option<EntryId>, guard: Seq) {
        let mut state = self.state.lock().await;
        if state.next.is_none() {
            (state.next, state.last, state.guard) = (Some(head.next()), last, guard);
        }
    }

    /// Adds the id of the entry at `head`, if the room still stands there and does not know it.
    pub(crate) async fn identify(&self, head: Seq, id: EntryId) {
        let mut state = self.state.lock().await;
        if state.next == Some(head.next()) {
            state.last.get_or_insert(id);
        }
    }

    /// Takes entries that are in the log: passes on what is due, drops what has passed, keeps what is early.
    pub(crate) async fn deliver(&self, entries: Vec<Arc<Entry>>) -> Standing {
        let mut state = self.state.lock().await;
        let Some(mut next) = state.next else { return Standing::Whole };
        for entry in entries {
            if entry.seq == next {
                self.pass(&mut state, entry).await;
                next = next.next();
                while let Some(entry) = state.ahead.remove(&next) {
                    self.pass(&mut state, entry).await;
                    next = next.next();
                }
            } else if entry.seq < next && state.has_passed(&entry) == Some(false) {
                return Standing::Forked;
            } else if entry.seq > next && state.ahead.len() < AHEAD_MAX {
                state.ahead.insert(entry.seq, entry);
            }
        }
        if state.ahead.is_empty() { Standing::Whole } else { Standing::Behind }
    }

    /// Takes the entries of a hint, but only if they continue what has passed by id. Otherwise they are not
    /// believed, and the log is read.
    pub(crate) async fn deliver_chained(&self, hint: Chained) -> Standing {
        {
            let state = self.state.lock().await;
            let Some(next) = state.next else { return Standing::Whole };
            let Some(last) = hint.entries.last() else { return Standing::Whole };
            if last.seq < next {
                return Standing::Whole;
            }
            let fits = hint.entries[0].seq == next && state.last.is_some() && state.last == hint.before;
            if !fits {
                return Standing::Behind;
            }
        }
        // Between the locks the room can only move on, and then these entries have passed.
        self.deliver(hint.entries).await
    }

    /// Takes what was read from the log after `after`: positions that are missing there are not kept any more.
    pub(crate) async fn feed(&self, after: Seq, entries: Vec<Arc<Entry>>) -> Standing {
        if let Some(first) = entries.first() {
            let mut state = self.state.lock().await;
            if state.next == Some(after.next()) && first.seq > after.next() {
                // Trimmed while we were behind, and with it maybe removals: everybody follows anew and is judged anew.
                let at = Cursor::new(self.id, after, state.last);
                let old = std::mem::take(&mut *state);
                old.seats().for_each(|seat| seat.leave_behind(at));
                return Standing::Whole;
            }
        }
        self.deliver(entries).await
    }

    /// Attaches a session that has everything up to `at`.
    ///
    /// Notices after `notices_after` are passed to the session on the way.
    pub(crate) async fn attach(&self, seat: &Arc<Seat>, at: &mut Cursor, judged: Judged, notices_after: Seq) -> Attach {
        let mut state = self.state.lock().await;
        let Some(next) = state.next else { return Attach::RoomBehind };
        if next.prev() < at.seq || next.prev() < judged.as_of {
            return Attach::RoomBehind;
        }
        // A guard above the room's is of an entry that this version does not know to restrict. One below it may be of a
        // node that did not know; what was read at that entry or later has taken it into account.
        if judged.guard < state.guard && judged.as_of < state.guard {
            return Attach::GuardMoved;
        }
        if at.seq < next.prev() {
            let due = at.seq.next();
            let Some(first) = state.ring.iter().position(|passed| passed.entry.seq == due) else {
                return Attach::SessionBehind;
            };
            for passed in state.ring.range_mut(first..) {
                let frame = passed.frame(&seat.encoding);
                match seat.deliver(&frame, *at) {
                    Push::Taken => {
                        *at = Cursor::new(self.id, passed.entry.seq, Some(passed.entry.id));
                        seat.notice_of(&passed.entry, notices_after);
                    }
                    Push::Full => return Attach::Parked,
                    Push::Gone => return Attach::Gone,
                }
            }
        }
        state.remove(seat.number);
        state.add(seat.clone(), next);
        Attach::Attached
    }

    /// Returns where a session stands that begins with what comes next, if the room has come as far as `as_of`.
    pub(crate) async fn head(&self, as_of: Seq) -> Option<Cursor> {
        let state = self.state.lock().await;
        let head = state.next?.prev();
        (head >= as_of && (state.last.is_some() || head == Seq::ZERO)).then(|| Cursor::new(self.id, head, state.last))
    }

    /// Detaches a session.
    pub(crate) async fn detach(&self, number: u64) {
        self.state.lock().await.remove(number);
    }

    /// Sends a signal to everybody here except its sender's session.
    pub(crate) async fn signal(&self, signal: &Signal, except: Option<u64>) {
        let state = self.state.lock().await;
        for group in &state.groups {
            let bytes = group.encoding.encode(&ServerFrame::Signal(signal));
            let frame = Frame::new(Class::Signal, bytes, Some(Event::Signal(signal.clone())));
            for subscriber in group.seats.iter().filter(|subscriber| Some(subscriber.seat.number) != except) {
                subscriber.seat.outbox.push(&frame);
            }
        }
    }

    /// Lets the entry that is due pass to everybody.
    async fn pass(&self, state: &mut State, entry: Arc<Entry>) {
        let before = Cursor::new(self.id, entry.seq.prev(), state.last);
        if entry.body.restricts() {
            state.guard = entry.seq;
        }
        if let Some((user, why)) = leaver(&entry) {
            self.expel(state, user, why);
        }
        let mut passed = Passed { entry, frames: Vec::with_capacity(state.groups.len()) };
        let seq = passed.entry.seq;
        let mut pushes = 0;
        for group in &mut state.groups {
            let frame = passed.frame(&group.encoding);
            let mut at = 0;
            while let Some(subscriber) = group.seats.get(at) {
                if subscriber.from > seq || subscriber.seat.deliver(&frame, before) == Push::Taken {
                    at += 1;
                } else {
                    group.seats.swap_remove(at); // parked or gone; order among recipients means nothing
                }
                pushes += 1;
                if pushes % PUSHES_PER_TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
        metrics::counter!("chat_deliveries_total").increment(pushes as u64);
        state.seats().for_each(|seat| seat.notice_of(&passed.entry, Seq::ZERO));
        state.groups.retain(|group| !group.seats.is_empty());
        (state.next, state.last) = (Some(seq.next()), Some(passed.entry.id));
        if state.ring.len() >= self.ring_entries {
            state.ring.pop_front();
        }
        state.ring.push_back(passed);
    }

    /// Detaches all sessions of somebody who is a member no more, before the entry that says so reaches anyone.
    fn expel(&self, state: &mut State, user: &UserId, why: Code) {
        for group in &mut state.groups {
            group.seats.retain(|subscriber| {
                let stays = subscriber.seat.identity.user != *user;
                if !stays {
                    subscriber.seat.unfollow(self.id);
                    let frame = ServerFrame::Unfollowed { reference: None, room: self.id, why };
                    subscriber.seat.push(Class::Answer, &frame, Some(Event::Unfollowed { room: self.id, why }));
                    subscriber.seat.expelled(self.id);
                }
                stays
            });
        }
    }
}

fn is_of_inbox(entry: &Entry) -> bool {
    match &entry.body {
        Body::Inbox(_) => true,
        Body::Room(RoomChange::Created(spec)) => spec.visibility == Visibility::Inbox,
        _ => false,
    }
}

/// Returns whom an entry takes out of the room.
fn leaver(entry: &Entry) -> Option<(&UserId, Code)> {
    match &entry.body {
        Body::Member(MemberChange { user, change: Membership::Leave }) => {
            Some((user, if *user == entry.author { Code::Left } else { Code::Removed }))
        }
        _ => None,
    }
}

impl Passed {
    /// Returns the frame in this encoding; made once.
    fn frame(&mut self, encoding: &Arc<dyn Encoding>) -> Frame {
        if let Some((_, frame)) = self.frames.iter().find(|(other, _)| Arc::ptr_eq(other, encoding)) {
            return frame.clone();
        }
        let frame = entry_frame(&self.entry, encoding);
        self.frames.push((encoding.clone(), frame.clone()));
        frame
    }
}

/// Encodes an entry.
pub(crate) fn entry_frame(entry: &Arc<Entry>, encoding: &Arc<dyn Encoding>) -> Frame {
    let bytes = encoding.encode(&ServerFrame::Entry(entry));
    // An inbox is never parked: a revocation must reach a client however slowly it reads.
    let class = if is_of_inbox(entry) { Class::Answer } else { Class::Entry };
    Frame::new(class, bytes, Some(Event::Entry(entry.clone())))
}

impl State {
    fn add(&mut self, seat: Arc<Seat>, from: Seq) {
        let encoding = seat.encoding.clone();
        let subscriber = Subscriber { seat, from };
        if let Some(group) = self.groups.iter_mut().find(|group| Arc::ptr_eq(&group.encoding, &encoding)) {
            group.seats.push(subscriber);
        } else {
            self.groups.push(Group { encoding, seats: vec![subscriber] });
        }
    }

    fn remove(&mut self, number: u64) {
        for group in &mut self.groups {
            group.seats.retain(|subscriber| subscriber.seat.number != number);
        }
        self.groups.retain(|group| !group.seats.is_empty());
    }

    /// Tells whether it was this entry that passed at its position, if that is still known.
    fn has_passed(&self, entry: &Entry) -> Option<bool> {
        let first = self.ring.front()?.entry.seq;
        let at = usize::try_from(entry.seq.get().checked_sub(first.get())?).ok()?;
        self.ring.get(at).map(|passed| passed.entry.id == entry.id)
    }

    /// Returns the first position that the ring holds, or the one that will be.
    fn begins(&self) -> Option<Seq> {
        self.ring.front().map(|passed| passed.entry.seq).or(self.next)
    }

    fn seats(&self) -> impl Iterator<Item = &Arc<Seat>> {
        self.groups.iter().flat_map(|group| group.seats.iter().map(|subscriber| &subscriber.seat))
    }
}

impl fmt::Debug for LiveRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRoom").field("id", &self.id).finish_non_exhaustive()
    }
}
