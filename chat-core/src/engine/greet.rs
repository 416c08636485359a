//! What a session's requests do, one after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Inner,
    follow::{From, Wish},
    people::Person,
    post::Sender,
    session::{Core, First, Item},
};
use crate::{
    fanout::{Class, Seat},
    hub::{Event, Start},
    model::{Body, Cursor, Entry, Identity, Notice, RoomId, Seq, Timestamp, UserId},
    protocol::{Close, CloseCode, Code, HubError, Request, ServerFrame},
    store::Access,
};

/// Who has too many connections comes back after this: by then one of the others may have ended, or be found dead.
const WAIT_FOR_A_PLACE: Duration = Duration::from_secs(10);

/// Entries of an inbox that are looked through at once for a revocation since the connection began.
const REVOCATIONS_LOOKED_AT: u16 = 64;

impl Core {
    pub(super) async fn handle(self: &Arc<Self>, item: Item) {
        match item {
            Item::First(first) => {
                let begun = match first {
                    First::All(cursors) => self.try_hello(None, None, cursors).await,
                    First::Room(room, start) => self.one_room(room, start).await,
                };
                // Nobody is there to say hello again.
                if let Err(error) = begun {
                    self.outbox.close(ending(error.code).into());
                }
                self.finish();
            }
            Item::Request(reference, request) => self.request(reference, request).await,
            Item::Notice(notice) => self.notice(notice).await,
            Item::Expelled(room) => self.expelled(room).await,
            Item::Unpark => {
                let Some(seat) = self.sender().and_then(|sender| sender.seat) else { return };
                for (room, cursor) in seat.unpark() {
                    self.engine.follow(&seat, Wish::new(room, From::Parked(cursor))).await;
                }
            }
        }
    }

    async fn notice(&self, notice: Notice) {
        let Some(seat) = self.sender().and_then(|sender| sender.seat) else { return };
        // That the user left a room is said in the room's own log to those who follow it.
        if let Notice::Joined(room) = notice
            && seat.is_free_of(room)
        {
            self.engine.follow(&seat, Wish::new(room, From::Joined)).await;
        }
    }

    /// Follows a room that the session was just taken out of, if its user is a member again: the notice of that may
    /// have come before the room passed the removal, and then it said nothing new.
    async fn expelled(&self, room: RoomId) {
        let Some(seat) = self.sender().and_then(|sender| sender.seat) else { return };
        let access = self.engine.read_access(room, &seat.identity.user).await;
        let is_gone = matches!(&access, Ok(access) if access.as_ref().is_none_or(|access| access.member.is_none()));
        if !is_gone && seat.is_free_of(room) {
            self.engine.follow(&seat, Wish::new(room, From::Joined)).await;
        }
    }

    async fn request(self: &Arc<Self>, reference: Option<u64>, request: Request) {
        let sender = self.sender();
        match (sender, request) {
            (None, Request::Hello { token, cursors }) => self.hello(reference, token, cursors).await,
            (Some(sender), Request::Send { target, draft }) => return self.send(&sender, reference, target, draft),
            (Some(sender), Request::Create { key, spec }) => {
                let core = self.clone();
                return self.engine.create(&sender, key, spec, move |done| {
                    core.acknowledge(reference, key, done);
                    core.finish();
                });
            }
            (Some(sender), request) => {
                if let Err(error) = self.answer_request(&sender, reference, request).await {
                    self.answer(&ServerFrame::Error { reference, key: None, error: &error });
                }
            }
            (None, _) => self.answer(&ServerFrame::Error { reference, key: None, error: &Code::NotGreeted.into() }),
        }
        self.finish();
    }

    async fn answer_request(&self, sender: &Sender, reference: Option<u64>, request: Request) -> Result<(), HubError> {
        let (engine, who) = (&self.engine, &*sender.who);
        let Some(seat) = &sender.seat else { return Err(Code::NotGreeted.into()) };
        match request {
            Request::Rooms { which, page } => {
                let rooms = engine.list_rooms(who, which, &page).await?;
                self.answer(&ServerFrame::Rooms { reference, rooms: &rooms });
            }
            Request::Members { room, page } => {
                let members = engine.list_members(who, room, &page, Some(seat)).await?;
                self.answer(&ServerFrame::Members { reference, room, members: &members });
            }
            Request::History { room, page } => {
                let entries = engine.read_history(who, room, &page).await?;
                self.answer(&ServerFrame::History { reference, room, entries: &entries });
            }
            Request::Follow { room, cursor } => {
                let start = cursor.map_or(Start::Head, Start::After);
                let wish = Wish { reference, ..Wish::new(room, From::Client(start)) };
                engine.follow(seat, wish).await;
            }
            Request::Unfollow { room } => {
                if room == RoomId::inbox(&who.user) {
                    return Err(Code::Denied.into()); // by it a session learns that it is revoked
                }
                let live = engine.rooms.get(room).filter(|_| seat.follows(room)).ok_or(Code::NotFound)?;
                live.detach(seat.number).await;
                seat.unfollow(room);
                self.answer(&ServerFrame::Unfollowed { reference, room, why: Code::Unfollowed });
            }
            Request::Signal { room, signal } => engine.send_signal(sender, room, signal).await?,
            Request::Refresh { token } => self.refresh(sender, reference, &token).await?,
            Request::Hello { .. } | Request::Send { .. } | Request::Create { .. } => {}
        }
        Ok(())
    }

    /// Authenticates, welcomes, and follows the user's rooms from where the client left off.
    async fn hello(self: &Arc<Self>, reference: Option<u64>, token: Option<String>, cursors: Vec<Cursor>) {
        match self.try_hello(reference, token, cursors).await {
            Ok(()) => {}
            Err(error) => {
                self.answer(&ServerFrame::Error { reference, key: None, error: &error });
                self.greeted(None);
                match error.code {
                    Code::Unauthenticated => self.outbox.close(CloseCode::Unauthenticated.into()),
                    Code::TooMany => self.outbox.close(Close::new(CloseCode::TooMany).after(WAIT_FOR_A_PLACE)),
                    Code::Draining => self.outbox.close(self.engine.goodbye(1)),
                    _ => {}
                }
            }
        }
    }

    async fn try_hello(
        self: &Arc<Self>,
        reference: Option<u64>,
        token: Option<String>,
        cursors: Vec<Cursor>,
    ) -> Result<(), HubError> {
        let engine = &self.engine;
        if engine.draining.load(Ordering::Acquire) {
            return Err(Code::Draining.into());
        }
        if cursors.len() > engine.limits.rooms_per_session_max {
            return Err(HubError::new(Code::Invalid, "there are more cursors than a connection follows rooms"));
        }
        let identity = self.identify(token).await?;
        // The inbox first: what joins after this is announced there, and what joined before is in the list.
        let inbox = engine.read_access(RoomId::inbox(&identity.user), &identity.user).await?;
        let inbox = inbox.unwrap_or_else(|| super::reads::empty_inbox(&identity.user));
        if engine.was_revoked(&inbox, &identity, self.connected).await? {
            return Err(Code::Unauthenticated.into());
        }
        let rooms = engine.own_rooms(&identity.user).await?;
        let sender = self.seat(identity)?;
        let Some(seat) = sender.seat.clone() else { return Err(Code::Retry.into()) };
        self.open(&sender, &seat);
        let (features, now) = (&engine.features, engine.clock.now());
        self.answer(&ServerFrame::Welcome { reference, identity: &sender.who, features, now });
        self.follow_all(&seat, inbox, rooms, cursors).await;
        Ok(())
    }

    async fn identify(&self, token: Option<String>) -> Result<Identity, HubError> {
        let identity = match (&self.peer.identity, token) {
            (Some(identity), _) => identity.clone(),
            (None, Some(token)) => self.engine.authenticate(&token).await?,
            (None, None) => return Err(Code::Unauthenticated.into()),
        };
        super::check::author(&identity)?;
        Ok(identity)
    }

    /// Receives one room only.
    async fn one_room(self: &Arc<Self>, room: RoomId, start: Start) -> Result<(), HubError> {
        let sender = self.seat(self.identify(None).await?)?;
        let Some(seat) = sender.seat.clone() else { return Err(Code::Retry.into()) };
        self.open(&sender, &seat);
        self.engine.follow(&seat, Wish::new(room, From::Client(start))).await;
        Ok(())
    }

    /// Lets the session act as this sender, unless it has ended meanwhile.
    fn open(&self, sender: &Sender, seat: &Arc<Seat>) {
        self.engine.clone().occupy(seat);
        self.greeted(Some(sender.clone()));
        if self.engine.closing.load(Ordering::Acquire) {
            seat.close(self.engine.goodbye(1)); // it came in just after all others were closed
        }
        if self.has_ended() {
            self.engine.clone().vacate(seat.clone(), &sender.person);
        }
    }

    /// Gives an authenticated session its place.
    fn seat(self: &Arc<Self>, identity: Identity) -> Result<Sender, HubError> {
        let engine = &self.engine;
        let who = Arc::new(identity);
        let person = engine.people.person(&who.user);
        let first = person.enter(engine.limits.sessions_per_user_max).ok_or(Code::TooMany)?;
        let number = engine.next_number();
        self.live_by(&who.login);
        let seat = Seat::new(number, who.clone(), self.outbox.clone(), self.encoding.clone(), self.nudges());
        if first {
            let (engine, user) = (engine.clone(), who.user.clone());
            tokio::spawn(async move { engine.came(&user).await });
        }
        Ok(Sender { who, person, seat: Some(Arc::new(seat)), order: Some(self.order.clone()) })
    }

    async fn follow_all(&self, seat: &Arc<Seat>, inbox: Access, rooms: Vec<Access>, cursors: Vec<Cursor>) {
        let mut cursors: BTreeMap<RoomId, Cursor> = cursors.into_iter().map(|cursor| (cursor.room, cursor)).collect();
        let inbox_id = RoomId::inbox(&seat.identity.user);
        let from = match cursors.remove(&inbox_id) {
            Some(cursor) => From::Client(Start::After(cursor)),
            None => From::Known(Cursor::new(inbox_id, inbox.as_of, None)),
        };
        if !self.engine.follow(seat, Wish { access: Some(inbox), ..Wish::new(inbox_id, from) }).await {
            return seat.close(CloseCode::Internal.into()); // without it no revocation would be heard
        }
        for access in rooms {
            let room = access.room.id;
            let start = cursors.remove(&room).map_or(Start::Head, Start::After);
            self.engine.follow(seat, Wish { access: Some(access), ..Wish::new(room, From::Client(start)) }).await;
        }
        // What is left is of rooms that are not the user's any more, or of more rooms than a session follows.
        for room in cursors.into_keys() {
            let why = match self.engine.read_access(room, &seat.identity.user).await {
                Ok(Some(Access { member: Some(_), .. })) => Code::TooMany,
                Ok(_) => Code::NotFound,
                Err(error) => {
                    seat.put_off(room, self.engine.limits.rooms_per_session_max);
                    error.code
                }
            };
            let frame = ServerFrame::Unfollowed { reference: None, room, why };
            seat.push(Class::Answer, &frame, Some(Event::Unfollowed { room, why }));
        }
    }

    async fn refresh(&self, sender: &Sender, reference: Option<u64>, token: &str) -> Result<(), HubError> {
        let asked = self.engine.clock.now();
        let fresh = self.engine.authenticate(token).await?;
        if fresh.user != sender.who.user {
            return Err(HubError::new(Code::Denied, "a session cannot change its user"));
        }
        // First the login, then the look back: what revokes the login from now on ends the session by itself.
        self.live_by(&fresh.login);
        let inbox = self.engine.read_access(RoomId::inbox(&fresh.user), &fresh.user).await?;
        let inbox = inbox.unwrap_or_else(|| super::reads::empty_inbox(&fresh.user));
        if self.engine.was_revoked(&inbox, &fresh, asked).await? {
            self.outbox.close(CloseCode::Revoked.into());
            return Err(Code::Unauthenticated.into());
        }
        if let Some(seat) = &sender.seat {
            seat.prolong(fresh.expires);
        }
        let (features, now) = (&self.engine.features, self.engine.clock.now());
        self.answer(&ServerFrame::Welcome { reference, identity: &sender.who, features, now });
        Ok(())
    }
}

impl Inner {
    /// Tells whether the authentication was taken back, of this login or of all: since it was given, if that is known, or
    /// else since it was `shown` here.
    async fn was_revoked(&self, inbox: &Access, who: &Identity, shown: Timestamp) -> Result<bool, HubError> {
        let since = who.issued.map_or(shown, |issued| issued.min(shown));
        let mut through = inbox.guard; // nothing else takes a right away in an inbox
        while through > Seq::ZERO {
            let after = Seq::from_stored(through.to_stored() - i64::from(REVOCATIONS_LOOKED_AT));
            let page = self.store.read(inbox.room.id, after, REVOCATIONS_LOOKED_AT).await;
            let page = page.map_err(|error| self.store_failed(&error))?;
            let revokes = |entry: &Entry| match &entry.body {
                Body::Inbox(notice @ Notice::Revoked { login: Some(_) }) => notice.revokes(&who.login),
                Body::Inbox(Notice::Revoked { login: None }) => entry.at > since,
                _ => false,
            };
            if page.iter().any(revokes) {
                return Ok(true);
            }
            // A client that waits before its hello must not outlast the page by being told other things.
            if after == Seq::ZERO || page.first().is_none_or(|entry| entry.at <= since) {
                return Ok(false);
            }
            through = after;
        }
        Ok(false)
    }

    /// Lists the rooms a session follows, in one call.
    async fn own_rooms(&self, user: &UserId) -> Result<Vec<Access>, HubError> {
        let rooms_max = self.limits.rooms_per_session_max.saturating_sub(1); // one is the inbox
        let rooms_max = u16::try_from(rooms_max).unwrap_or(u16::MAX);
        self.store.memberships(user, rooms_max).await.map_err(|error| self.store_failed(&error))
    }

    /// Registers a session.
    fn occupy(self: Arc<Self>, seat: &Arc<Seat>) {
        self.seats.lock().insert(seat.number, seat.clone());
        metrics::gauge!("chat_sessions").increment(1.0);
    }

    /// Takes a session's place away: from the rooms, from presence, from the list.
    pub(super) fn vacate(self: Arc<Self>, seat: Arc<Seat>, person: &Arc<Person>) {
        if self.seats.lock().remove(&seat.number).is_none() {
            return;
        }
        metrics::gauge!("chat_sessions").decrement(1.0);
        self.seat_gone.notify_waiters();
        let last = person.leave();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return }; // the process is ending
        runtime.spawn(async move {
            for lease in seat.leave_all().into_values() {
                lease.room().detach(seat.number).await;
            }
            let user = seat.identity.user.clone();
            drop(seat); // and with it the connection's buffers, before the grace begins
            if last {
                self.went(&user).await;
            }
        });
    }
}

/// Returns how a session in this process ends that could not begin.
fn ending(code: Code) -> CloseCode {
    match code {
        Code::Draining => CloseCode::Draining,
        Code::TooMany | Code::Invalid => CloseCode::TooMany,
        code if code.is_retryable() => CloseCode::Internal,
        _ => CloseCode::Unauthenticated,
    }
}
