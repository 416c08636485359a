//! Follow: the one operation behind subscribe, resume and unpark.
//!
//! The log is paged until the session has caught up; then, under the room's lock, the session is attached to what
//! comes next. Nothing is buffered or merged, and it works on any node.

use std::{sync::Arc, time::Duration};

use tokio::sync::MutexGuard;

use super::{Inner, reads::visible_since};
use crate::{
    fanout::{Attach, Class, Followed, Judged, LiveRoom, Push, Seat, Standing, entry_frame},
    hub::{Event, GapReason, Start},
    model::{Cursor, Entry, EntryId, Member, RoomId, Seq},
    policy::Action,
    protocol::{Code, HubError, ServerFrame},
    store::Access,
};

/// One read of a log: a few hundred frames fit an outbox, and a slow store is not held up.
const PAGE: u16 = 256;
/// Attaching rarely takes more than three rounds; after so many it goes on slowly.
const ROUNDS_AT_ONCE: u32 = 8;
/// How soon is tried again what failed although no client asked for it: as soon as clients are told to.
const JOIN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Is a wish to receive a room.
pub(super) struct Wish {
    pub(super) room: RoomId,
    pub(super) from: From,
    /// The request, if a client asked.
    pub(super) reference: Option<u64>,
    /// The access, if it was just read.
    pub(super) access: Option<Access>,
    /// The session was told that it receives the room.
    pub(super) told: bool,
}

/// Says from where.
#[derive(Clone, Copy, Debug)]
pub(super) enum From {
    /// As a client asks.
    Client(Start),
    /// From a place that is known to be of this log.
    Known(Cursor),
    /// From where this session was left behind.
    Parked(Cursor),
    /// From the entry that made the user a member.
    Joined,
}

impl Wish {
    pub(super) fn new(room: RoomId, from: From) -> Self {
        Self { room, from, reference: None, access: None, told: false }
    }
}

/// Says how far paging came.
enum Paged {
    CaughtUp,
    Parked,
    Gone,
    /// The next entry may have taken the right to read away.
    Restricted,
}

impl Inner {
    /// Makes a session receive a room. What goes wrong is told to the session. Returns whether it receives the room,
    /// now or when it has room again.
    pub(super) async fn follow(&self, seat: &Arc<Seat>, mut wish: Wish) -> bool {
        let (room, reference) = (wish.room, wish.reference);
        let resumes = matches!(wish.from, From::Parked(_));
        if resumes && !seat.follows(room) {
            return false; // left meanwhile
        }
        let lease = self.rooms.lease(room);
        let live = lease.room().clone();
        match seat.follow(lease, self.limits.rooms_per_session_max) {
            Followed::New => {}
            Followed::Already if resumes => {}
            Followed::Already => {
                let error = HubError::new(Code::Invalid, "this room is followed already");
                refuse(seat, room, reference.is_some(), reference, &error);
                return true;
            }
            Followed::TooMany => {
                refuse(seat, room, true, reference, &Code::TooMany.into());
                return false;
            }
            Followed::Closed => return false,
        }
        let result = self.catch_up_and_attach(seat, &live, &mut wish).await;
        if result.is_err() || !seat.follows(room) {
            live.detach(seat.number).await; // also when the session has ended, or left the room, meanwhile
        }
        if let Err(error) = &result {
            seat.unfollow(room);
            if error.code.is_retryable() && matches!(wish.from, From::Joined) && !wish.told {
                join_later(seat.clone(), room); // the client knows of nothing that it could ask for again
                return false;
            }
            if error.code.is_retryable() {
                seat.put_off(room, self.limits.rooms_per_session_max);
            }
            refuse(seat, room, true, wish.reference, error);
        }
        result.is_ok()
    }

    /// The request is taken out of the wish once it is answered: what goes wrong later ends what was begun.
    async fn catch_up_and_attach(
        &self,
        seat: &Arc<Seat>,
        live: &Arc<LiveRoom>,
        wish: &mut Wish,
    ) -> Result<(), HubError> {
        let (room, from) = (wish.room, wish.from);
        let mut access = self.access_to_read(seat, room, wish.access.take()).await?;
        let first = self.begin(live, &access).await?;
        let mut at = match from {
            From::Parked(cursor) | From::Known(cursor) => cursor,
            From::Joined => Cursor::new(room, member_since(&access).prev(), None),
            From::Client(Start::Oldest) => Cursor::start(room),
            From::Client(Start::Head) => first,
            From::Client(Start::After(cursor)) if was_skipped(&access, cursor) => cursor,
            From::Client(Start::After(cursor)) => {
                self.reach_back(live, cursor.seq).await?;
                self.checked(seat, live, cursor, first).await?
            }
        };
        // What a session was told before it was parked, or stood in the inbox before hello, it does not act on again.
        let notices_after = if let From::Parked(cursor) = from { cursor.seq } else { access.as_of };
        if !matches!(from, From::Parked(_)) {
            at.id = self.id_at(live, at, first).await?;
            let head = at.seq;
            let frame = ServerFrame::Followed { reference: wish.reference.take(), cursor: at };
            seat.push(Class::Answer, &frame, Some(Event::Followed { room, head }));
            wish.told = true;
        }
        skip_hidden(seat, &access, &mut at);
        for round in 0_u32.. {
            if round >= ROUNDS_AT_ONCE {
                tokio::time::sleep(self.limits.reorder_wait).await; // a projection lags, or the room changes all the time
            }
            let judged = Judged { guard: access.guard, as_of: access.as_of };
            match live.attach(seat, &mut at, judged, notices_after).await {
                Attach::Attached | Attach::Parked | Attach::Gone => return Ok(()),
                Attach::RoomBehind if live.reached().await.is_none() => drop(self.begin(live, &access).await?),
                Attach::RoomBehind => self.repair(live).await?,
                Attach::SessionBehind => match self.page(seat, &mut at, access.as_of, notices_after).await? {
                    Paged::CaughtUp => {}
                    Paged::Parked | Paged::Gone => return Ok(()),
                    Paged::Restricted => access = self.judge_again(seat, &mut at).await?,
                },
                Attach::GuardMoved => access = self.judge_again(seat, &mut at).await?,
            }
            if !seat.follows(room) {
                break;
            }
        }
        Ok(())
    }

    /// Reads the access again, after a right was taken away from somebody.
    async fn judge_again(&self, seat: &Seat, at: &mut Cursor) -> Result<Access, HubError> {
        let access = self.access_to_read(seat, at.room, None).await?;
        skip_hidden(seat, &access, at);
        Ok(access)
    }

    /// Reads what the user may do and whether that is reading. An inbox that nobody has written to yet is its user's.
    async fn access_to_read(&self, seat: &Seat, room: RoomId, known: Option<Access>) -> Result<Access, HubError> {
        let access = match known {
            Some(access) => Some(access),
            None => self.read_access(room, &seat.identity.user).await?,
        };
        if access.is_none() && room == RoomId::inbox(&seat.identity.user) {
            return Ok(super::reads::empty_inbox(&seat.identity.user));
        }
        self.policy.authorize(&seat.identity, &Action::Read, access.as_ref())?;
        access.ok_or_else(|| Code::NotFound.into())
    }

    /// Lets a room that nobody followed begin where the log stands; returns where new followers begin.
    async fn begin(&self, live: &Arc<LiveRoom>, access: &Access) -> Result<Cursor, HubError> {
        if let Some(head) = live.head(access.as_of).await {
            return Ok(head);
        }
        let _turn = self.turn(live).await;
        if let Some(head) = live.head(access.as_of).await {
            return Ok(head); // whoever had the turn before has found it out
        }
        // First the place, then the read: what is committed in between is either delivered or read.
        live.begin(access.as_of, None, access.guard).await;
        let tail = self.read_log(live.id(), access.as_of.prev()).await?;
        let id = tail.first().filter(|entry| entry.seq == access.as_of).map(|entry| entry.id);
        if let Some(id) = id {
            live.identify(access.as_of, id).await;
        }
        live.feed(access.as_of, tail.into_iter().filter(|entry| entry.seq > access.as_of).map(Arc::new).collect())
            .await;
        Ok(live.head(access.as_of).await.unwrap_or(Cursor::new(live.id(), access.as_of, id)))
    }

    /// Brings a room's ring back to where a client left off, if that is near: one reading for all who come at once.
    async fn reach_back(&self, live: &LiveRoom, at: Seq) -> Result<(), HubError> {
        if !live.falls_short_of(at, PAGE.into()).await {
            return Ok(());
        }
        let turn = self.turn(live).await;
        if turn.is_some() && live.falls_short_of(at, PAGE.into()).await {
            live.reach_back(self.read_log(live.id(), at.prev()).await?).await;
        }
        Ok(())
    }

    /// Waits for the turn to read a room's log. There is none while a call has failed: nobody waits for others then, and
    /// what was remembered is not relied on.
    async fn turn<'a>(&self, live: &'a LiveRoom) -> Option<MutexGuard<'a, ()>> {
        if self.doubts_store() {
            return None;
        }
        let turn = live.repairing().await;
        (!self.doubts_store()).then_some(turn)
    }

    /// Checks a client's cursor by the id at its position. One that is not of this log is answered `reset`, and the
    /// session begins at the head.
    async fn checked(&self, seat: &Seat, live: &LiveRoom, cursor: Cursor, head: Cursor) -> Result<Cursor, HubError> {
        if cursor.seq == Seq::ZERO || (cursor.seq == head.seq && cursor.id == head.id && cursor.id.is_some()) {
            return Ok(cursor);
        }
        if !self.doubts_store() && live.holds(cursor).await {
            return Ok(cursor);
        }
        let found =
            self.store.read(cursor.room, cursor.seq.prev(), 1).await.map_err(|error| self.store_failed(&error))?;
        match found.first() {
            Some(entry) if entry.seq == cursor.seq && Some(entry.id) == cursor.id => Ok(cursor),
            Some(entry) if entry.seq > cursor.seq => Ok(cursor), // trimmed: paging tells the gap
            _ => {
                let room = cursor.room;
                tracing::warn!(%room, seq = %cursor.seq, "a client's cursor is not of this log");
                metrics::counter!("chat_resets_total").increment(1);
                seat.push(Class::Answer, &ServerFrame::Reset { room }, Some(Event::Reset(room)));
                Ok(head)
            }
        }
    }

    /// Returns the id at a place, so that the client can resume from it.
    async fn id_at(&self, live: &LiveRoom, at: Cursor, head: Cursor) -> Result<Option<EntryId>, HubError> {
        if at.id.is_some() || at.seq == Seq::ZERO {
            return Ok(at.id);
        }
        if at.seq == head.seq {
            return Ok(head.id);
        }
        if let Some(id) = live.id_before(at.seq.next()).await {
            return Ok(Some(id));
        }
        let found = self.store.read(at.room, at.seq.prev(), 1).await.map_err(|error| self.store_failed(&error))?;
        Ok(found.first().filter(|entry| entry.seq == at.seq).map(|entry| entry.id))
    }

    /// Sends a session what the log holds after `at`, until it holds no more, or until an entry that may have taken
    /// the right to read away since the access was judged.
    async fn page(&self, seat: &Arc<Seat>, at: &mut Cursor, as_of: Seq, notices_after: Seq) -> Result<Paged, HubError> {
        loop {
            let page = self.read_log(at.room, at.seq).await?;
            let full = page.len() == usize::from(PAGE);
            for entry in page {
                if entry.body.restricts() && entry.seq > as_of {
                    return Ok(Paged::Restricted);
                }
                let entry = Arc::new(entry);
                if entry.seq > at.seq.next() {
                    gap(seat, at.room, at.seq.next(), entry.seq.prev(), GapReason::Retention);
                    *at = Cursor::new(at.room, entry.seq.prev(), None); // said once, also if the session is parked now
                }
                match seat.deliver(&entry_frame(&entry, &seat.encoding), *at) {
                    Push::Taken => *at = Cursor::new(at.room, entry.seq, Some(entry.id)),
                    Push::Full => return Ok(Paged::Parked),
                    Push::Gone => return Ok(Paged::Gone),
                }
                seat.notice_of(&entry, notices_after);
            }
            if !full {
                return Ok(Paged::CaughtUp);
            }
        }
    }

    /// Feeds a live room from the log. Whoever finds another at it waits, and finds the work done.
    pub(super) async fn repair(&self, live: &Arc<LiveRoom>) -> Result<(), HubError> {
        let before = live.reached().await;
        let _turn = live.repairing().await;
        if live.reached().await > before {
            return Ok(());
        }
        while let Some(stands) = live.stands().await {
            // From the entry that passed last: it must still be the one.
            let mut page = self.read_log(live.id(), stands.seq.prev()).await?;
            metrics::counter!("chat_repairs_total").increment(1);
            let full = page.len() == usize::from(PAGE);
            if let Some(last) = page.first().filter(|entry| entry.seq == stands.seq) {
                if stands.id.is_some_and(|id| id != last.id) {
                    self.begin_anew(live.id()).await;
                    break;
                }
                page.remove(0);
            }
            live.feed(stands.seq, page.into_iter().map(Arc::new).collect()).await;
            if !full {
                break;
            }
        }
        Ok(())
    }

    /// Takes entries that are in the log and lets them pass. What came too early waits a moment for the rest.
    pub(super) async fn let_pass(self: &Arc<Self>, room: RoomId, entries: Vec<Arc<Entry>>) {
        let Some(live) = self.rooms.get(room) else { return };
        if self.doubts_store() {
            return self.repair_or_log(&live).await; // what is before them may be another log by now
        }
        match live.deliver(entries).await {
            Standing::Whole => {}
            Standing::Behind => self.repair_later(live),
            Standing::Forked => self.begin_anew(room).await,
        }
    }

    /// Repairs a room after the time in which hints usually arrive by themselves.
    pub(super) fn repair_later(self: &Arc<Self>, live: Arc<LiveRoom>) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(engine.limits.reorder_wait).await;
            if live.deliver(Vec::new()).await == Standing::Behind {
                engine.repair_or_log(&live).await;
            }
        });
    }

    /// Repairs a room; a failure is left to the next head poll.
    pub(super) async fn repair_or_log(&self, live: &Arc<LiveRoom>) {
        if let Err(error) = self.repair(live).await {
            tracing::warn!(room = %live.id(), %error, "a room could not be read; the next poll tries again");
        }
    }

    async fn read_log(&self, room: RoomId, after: Seq) -> Result<Vec<Entry>, HubError> {
        self.store.read(room, after, PAGE).await.map_err(|error| self.store_failed(&error))
    }
}

/// Tells whether a client was moved to its cursor by [`skip_hidden`], without an id, and has received nothing since.
fn was_skipped(access: &Access, cursor: Cursor) -> bool {
    cursor.id.is_none() && cursor.seq < visible_since(&access.room, access.member.as_ref())
}

/// Skips what was written before the user joined, where the room hides that.
fn skip_hidden(seat: &Seat, access: &Access, at: &mut Cursor) {
    let since = visible_since(&access.room, access.member.as_ref());
    if at.seq.next() < since {
        gap(seat, at.room, at.seq.next(), since.prev(), GapReason::NotVisible);
        *at = Cursor::new(at.room, since.prev(), None);
    }
}

/// Lets a session look again whether its user is a member, when the store may answer.
fn join_later(seat: Arc<Seat>, room: RoomId) {
    tokio::spawn(async move {
        tokio::time::sleep(JOIN_AGAIN_AFTER).await;
        seat.expelled(room);
    });
}

/// Tells a session why it does not receive a room.
fn refuse(seat: &Seat, room: RoomId, tell: bool, reference: Option<u64>, error: &HubError) {
    if reference.is_some() {
        seat.answer(&ServerFrame::Error { reference, key: None, error });
    } else if tell {
        let frame = ServerFrame::Unfollowed { reference: None, room, why: error.code };
        seat.push(Class::Answer, &frame, Some(Event::Unfollowed { room, why: error.code }));
    }
}

fn member_since(access: &Access) -> Seq {
    access.member.as_ref().map_or(Seq::FIRST, |member: &Member| member.since)
}

fn gap(seat: &Seat, room: RoomId, from: Seq, to: Seq, why: GapReason) {
    seat.push(Class::Answer, &ServerFrame::Gap { room, from, to, why }, Some(Event::Gap { room, from, to, why }));
}
