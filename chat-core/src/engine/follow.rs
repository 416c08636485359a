//! Follow: the one operation behind subscribe, resume and unpark.
//!
//! The log is paged until the session has caught up; then, under the room's lock, the session is attached to what
//! comes next. Nothing is buffered or merged, and it works on any node.

use std::sync::Arc;

use super::Inner;
use crate::{
    fanout::{Attach, Class, Followed, LiveRoom, Push, Seat, Standing, entry_frame},
    hub::{Event, GapReason, Start},
    model::{Body, Cursor, Entry, EntryId, History, Member, RoomId, Seq},
    policy::Action,
    protocol::{Code, HubError, ServerFrame},
    store::Access,
};

/// One read of a log: a few hundred frames fit an outbox, and a slow store is not held up.
const PAGE: u16 = 256;

/// Is a wish to receive a room.
pub(super) struct Wish {
    pub(super) room: RoomId,
    pub(super) from: From,
    /// The request, if a client asked.
    pub(super) reference: Option<u64>,
    /// The access, if it was just read.
    pub(super) access: Option<Access>,
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
        Self { room, from, reference: None, access: None }
    }
}

/// Says how far paging came.
enum Paged {
    CaughtUp,
    Parked,
    Gone,
}

impl Inner {
    /// Makes a session receive a room. What goes wrong is answered to the session.
    pub(super) async fn follow(&self, seat: &Arc<Seat>, wish: Wish) {
        let (room, reference) = (wish.room, wish.reference);
        let unpark = matches!(wish.from, From::Parked(_));
        if let Err(error) = self.try_follow(seat, wish).await {
            seat.unfollow(room);
            if unpark || reference.is_none() {
                let frame = ServerFrame::Unfollowed { reference: None, room, why: error.code };
                seat.push(Class::Answer, &frame, Some(Event::Unfollowed { room, why: error.code }));
            } else {
                seat.answer(&ServerFrame::Error { reference, key: None, error: &error });
            }
        }
    }

    async fn try_follow(&self, seat: &Arc<Seat>, wish: Wish) -> Result<(), HubError> {
        let Wish { room, from, reference, access } = wish;
        let lease = self.rooms.lease(room);
        let live = lease.room().clone();
        let resumes = matches!(from, From::Parked(_));
        match seat.follow(lease, self.limits.rooms_per_session_max) {
            Followed::TooMany => return Err(Code::TooMany.into()),
            Followed::Already if !resumes => {
                return match self.access_to_read(seat, room, access).await {
                    Ok(_) if reference.is_some() => Err(HubError::new(Code::Invalid, "this room is followed already")),
                    Ok(_) => Ok(()),
                    Err(error) => Err(error),
                };
            }
            Followed::Already | Followed::New => {}
        }
        let mut access = self.access_to_read(seat, room, access).await?;
        let first = self.begin(&live, &access).await?;
        let mut at = match from {
            From::Parked(cursor) | From::Known(cursor) => cursor,
            From::Joined => Cursor::new(room, member_since(&access).prev(), None),
            From::Client(Start::Oldest) => Cursor::start(room),
            From::Client(Start::Head) => first,
            From::Client(Start::After(cursor)) => self.checked(seat, cursor, first).await?,
        };
        if !resumes {
            at.id = self.id_at(at, first).await?;
            let head = at.seq;
            let frame = ServerFrame::Followed { reference, cursor: at };
            seat.push(Class::Answer, &frame, Some(Event::Followed { room, head }));
        }
        skip_hidden(seat, &access, &mut at);
        loop {
            match live.attach(seat, &mut at, access.guard, access.as_of).await {
                Attach::Attached | Attach::Parked | Attach::Gone => return Ok(()),
                Attach::RoomBehind => self.repair(&live).await?,
                Attach::SessionBehind => match self.page(seat, &mut at, access.as_of).await? {
                    Paged::CaughtUp => {}
                    Paged::Parked | Paged::Gone => return Ok(()),
                },
                Attach::GuardMoved => {
                    access = self.access_to_read(seat, room, None).await?;
                    if live.reached().await < Some(access.as_of) {
                        self.repair(&live).await?;
                    }
                }
            }
        }
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
        // One read gives the id at the head and whatever was committed since the access was read.
        let tail = self.read_log(live.id(), access.as_of.prev()).await?;
        let id = tail.first().filter(|entry| entry.seq == access.as_of).map(|entry| entry.id);
        live.begin(access.as_of, id, access.guard).await;
        live.feed(access.as_of, tail.into_iter().filter(|entry| entry.seq > access.as_of).map(Arc::new).collect())
            .await;
        Ok(live.head(access.as_of).await.unwrap_or(Cursor::new(live.id(), access.as_of, id)))
    }

    /// Checks a client's cursor by the id at its position. One that is not of this log is answered `reset`, and the
    /// session begins at the head.
    async fn checked(&self, seat: &Seat, cursor: Cursor, head: Cursor) -> Result<Cursor, HubError> {
        if cursor.seq == Seq::ZERO || (cursor.seq == head.seq && cursor.id == head.id && cursor.id.is_some()) {
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
    async fn id_at(&self, at: Cursor, head: Cursor) -> Result<Option<EntryId>, HubError> {
        if at.id.is_some() || at.seq == Seq::ZERO {
            return Ok(at.id);
        }
        if at.seq == head.seq {
            return Ok(head.id);
        }
        let found = self.store.read(at.room, at.seq.prev(), 1).await.map_err(|error| self.store_failed(&error))?;
        Ok(found.first().filter(|entry| entry.seq == at.seq).map(|entry| entry.id))
    }

    /// Sends a session what the log holds after `at`, until it holds no more.
    async fn page(&self, seat: &Arc<Seat>, at: &mut Cursor, begun: Seq) -> Result<Paged, HubError> {
        loop {
            let page = self.read_log(at.room, at.seq).await?;
            let full = page.len() == usize::from(PAGE);
            for entry in page {
                let entry = Arc::new(entry);
                if entry.seq > at.seq.next() {
                    gap(seat, at.room, at.seq.next(), entry.seq.prev(), GapReason::Retention);
                }
                match seat.deliver(&entry_frame(&entry, &seat.encoding), *at) {
                    Push::Taken => *at = Cursor::new(at.room, entry.seq, Some(entry.id)),
                    Push::Full => return Ok(Paged::Parked),
                    Push::Gone => return Ok(Paged::Gone),
                }
                if let Body::Inbox(notice) = &entry.body
                    && entry.seq > begun
                {
                    seat.notice(notice.clone());
                }
            }
            if !full {
                return Ok(Paged::CaughtUp);
            }
        }
    }

    /// Feeds a live room from the log. Whoever finds another at it waits, and finds the work done.
    pub(super) async fn repair(&self, live: &Arc<LiveRoom>) -> Result<(), HubError> {
        let wanted = live.reached().await;
        let _turn = live.repairing().await;
        loop {
            let Some(after) = live.reached().await else { return Ok(()) };
            if Some(after) > wanted {
                return Ok(());
            }
            let page = self.read_log(live.id(), after).await?;
            metrics::counter!("chat_repairs_total").increment(1);
            let full = page.len() == usize::from(PAGE);
            live.feed(after, page.into_iter().map(Arc::new).collect()).await;
            if !full {
                return Ok(());
            }
        }
    }

    /// Takes entries that are in the log and lets them pass. What came too early waits a moment for the rest.
    pub(super) async fn let_pass(self: &Arc<Self>, room: RoomId, entries: Vec<Arc<Entry>>) {
        let Some(live) = self.rooms.get(room) else { return };
        if live.deliver(entries).await == Standing::Behind {
            self.repair_later(live);
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

/// Skips what was written before the user joined, where the room hides that.
fn skip_hidden(seat: &Seat, access: &Access, at: &mut Cursor) {
    let since = member_since(access);
    if access.room.history == History::SinceJoin && at.seq.next() < since {
        gap(seat, at.room, at.seq.next(), since.prev(), GapReason::NotVisible);
        *at = Cursor::new(at.room, since.prev(), None);
    }
}

fn member_since(access: &Access) -> Seq {
    access.member.as_ref().map_or(Seq::FIRST, |member: &Member| member.since)
}

fn gap(seat: &Seat, room: RoomId, from: Seq, to: Seq, why: GapReason) {
    seat.push(Class::Answer, &ServerFrame::Gap { room, from, to, why }, Some(Event::Gap { room, from, to, why }));
}
