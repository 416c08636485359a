//! Follow: the one operation behind subscribe, resume and unpark.
//!
//! The log is paged until the session has caught up; then, under the room's lock, the session is attached to what
//! comes next. Nothing is buffered or merged, and it works on any node.

use std::{sync::Arc, time::Duration};

use super::{Inner, reads::visible_since, repair::PAGE};
use crate::{
    fanout::{Attach, Class, Followed, Judged, LiveRoom, Push, Seat, entry_frame},
    hub::{Event, GapReason, Start},
    model::{Cursor, Member, RoomId, Seq},
    policy::Action,
    protocol::{Code, HubError, ServerFrame},
    store::Access,
};

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
