//! One connection's state: no socket and no task in it.
//!
//! Sends go straight to their lane. Everything that has to wait for a port is done in order, one at a time, by a
//! task that exists only while there is something to do: an idle session costs no task.

use std::{
    collections::VecDeque,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Engine, Inner,
    drain::Taken,
    post::{Done, Sender},
    submission::Order,
};
use crate::{
    fanout::{Class, Encoding, Frame, Nudge, Outbox},
    hub::{Posted, Start},
    model::{Cursor, Draft, Identity, Key, Notice, RoomId, Timestamp},
    protocol::{Close, CloseCode, Code, HubError, Request, ServerFrame, Target, decode},
};

/// Is who connects, as the transport knows them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Peer {
    /// Where from; of the client, not of a proxy.
    pub address: Option<IpAddr>,
    /// Who, if the transport or the host's router has authenticated them already.
    pub identity: Option<Identity>,
}

impl Peer {
    /// Describes somebody who still has to bring a token.
    pub fn unknown(address: Option<IpAddr>) -> Self {
        Self { address, identity: None }
    }

    /// Describes somebody the host has authenticated.
    pub fn known(address: Option<IpAddr>, identity: Identity) -> Self {
        Self { address, identity: Some(identity) }
    }
}

/// Tells the transport how to go on after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Receive the next message.
    More,
    /// Await [`Session::ready`] before receiving the next message.
    Wait,
    /// Close the connection.
    End(Close),
}

/// Is one connection's state. Dropping it ends the session.
pub struct Session {
    core: Arc<Core>,
    engine: Engine,
    invalid_frames: u32,
}

/// Is the part of a session that its tasks share.
pub(super) struct Core {
    pub(super) engine: Arc<Inner>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) encoding: Arc<dyn Encoding>,
    pub(super) peer: Peer,
    pub(super) connected: Timestamp,
    /// Its number among the strangers, until it has said hello.
    stranger: u64,
    pub(super) order: Arc<Order>,
    /// The login that this session lives by: the one it began with, or the latest that refreshed it.
    login: Mutex<Arc<str>>,
    phase: Mutex<Phase>,
    desk: Mutex<Desk>,
    ended: AtomicBool,
    in_flight: AtomicUsize,
    free: Notify,
}

enum Phase {
    /// Nothing was said.
    New,
    /// `hello` is being answered.
    Greeting,
    /// The client is known.
    Open(Sender),
}

#[derive(Default)]
struct Desk {
    /// What is to be done; a request that was taken is answered before a drain closes the session.
    items: VecDeque<(Item, Option<Taken>)>,
    /// Whether a task is at the desk.
    busy: bool,
    /// How many of the items are sends: while there are any, later sends wait behind them.
    sends: usize,
}

/// Is what somebody in this process wants to receive.
#[derive(Debug)]
pub(super) enum First {
    /// All their rooms, from these cursors where there are some.
    All(Vec<Cursor>),
    /// One room.
    Room(RoomId, Start),
}

/// Is something to be done in order.
pub(super) enum Item {
    First(First),
    Request(Option<u64>, Request),
    Notice(Notice),
    Unpark,
    Expelled(RoomId),
}

impl Engine {
    /// Opens a session for one connection.
    pub fn connect(&self, peer: Peer, outbox: Arc<dyn Outbox>, encoding: Arc<dyn Encoding>) -> Session {
        let core = Core {
            engine: self.inner().clone(),
            outbox,
            encoding,
            peer,
            connected: self.inner().clock.now(),
            stranger: self.inner().next_number(),
            order: Arc::default(),
            login: Mutex::new("".into()),
            phase: Mutex::new(Phase::New),
            desk: Mutex::default(),
            ended: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            free: Notify::new(),
        };
        self.inner().strangers.lock().insert(core.stranger, core.outbox.clone());
        if self.inner().draining.load(Ordering::Acquire) {
            core.outbox.close(self.inner().goodbye(1)); // it came in just after all others were closed
        }
        Session { core: Arc::new(core), engine: self.clone(), invalid_frames: 0 }
    }
}

impl Session {
    /// Takes one message of the client: reads, limits and enqueues it. Answers arrive by [`Outbox::push`].
    pub fn receive(&mut self, message: &[u8]) -> Flow {
        let limits = self.engine.limits();
        if message.len() > limits.frame_bytes_max {
            return Flow::End(CloseCode::TooLarge.into());
        }
        let (reference, request) = match decode(message) {
            Ok(decoded) => decoded,
            Err(error) => return self.refuse(error.reference, None, &error.error),
        };
        match self.core.clone().take(reference, request) {
            Ok(()) => self.invalid_frames = 0,
            Err(error) => return self.refuse(reference, None, &error),
        }
        if self.core.in_flight.load(Ordering::Acquire) >= limits.requests_in_flight_max {
            Flow::Wait
        } else {
            Flow::More
        }
    }

    /// Waits until the next message may be received. Cancel-safe.
    pub async fn ready(&self) {
        loop {
            let free = self.core.free.notified();
            if self.core.in_flight.load(Ordering::Acquire) < self.engine.limits().requests_in_flight_max {
                return;
            }
            free.await;
        }
    }

    /// Tells that the outbox, which answered [`Push::Full`](crate::Push::Full), has room again.
    pub fn drained(&mut self) {
        self.core.clone().enqueue(Item::Unpark);
    }

    /// Tells whether the client has said hello; until then the transport counts
    /// [`Limits::hello_within`](crate::Limits).
    pub fn is_greeted(&self) -> bool {
        !matches!(*self.core.phase.lock(), Phase::New)
    }

    /// Begins the session of somebody in this process, who needs no frame for it.
    pub(super) fn begin(&self, first: First) {
        *self.core.phase.lock() = Phase::Greeting;
        self.core.in_flight.fetch_add(1, Ordering::AcqRel);
        self.core.clone().enqueue(Item::First(first));
    }

    fn refuse(&mut self, reference: Option<u64>, key: Option<Key>, error: &HubError) -> Flow {
        self.core.answer(&ServerFrame::Error { reference, key, error });
        self.invalid_frames += 1;
        if self.invalid_frames >= self.engine.limits().invalid_frames_max {
            return Flow::End(CloseCode::Abusive.into());
        }
        Flow::More
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.core.end();
    }
}

impl Core {
    pub(super) fn answer(&self, frame: &ServerFrame<'_>) {
        self.outbox.push(&Frame::new(Class::Answer, self.encoding.encode(frame), None));
    }

    pub(super) fn sender(&self) -> Option<Sender> {
        match &*self.phase.lock() {
            Phase::Open(sender) => Some(sender.clone()),
            _ => None,
        }
    }

    /// Ends `hello`: with somebody, or so that it can be said again.
    pub(super) fn greeted(&self, sender: Option<Sender>) {
        if sender.is_some() {
            self.engine.strangers.lock().remove(&self.stranger);
        }
        *self.phase.lock() = sender.map_or(Phase::New, Phase::Open);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Takes a request, or refuses it at once.
    fn take(self: Arc<Self>, reference: Option<u64>, request: Request) -> Result<(), HubError> {
        let sender = {
            let mut phase = self.phase.lock();
            match (&mut *phase, &request) {
                (Phase::New, Request::Hello { .. }) => {
                    *phase = Phase::Greeting;
                    None
                }
                (Phase::New, _) | (_, Request::Hello { .. }) => return Err(Code::NotGreeted.into()),
                (Phase::Greeting, _) => None,
                (Phase::Open(sender), _) => Some(sender.clone()),
            }
        };
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        match (sender, request) {
            (Some(sender), Request::Send { target, draft }) if self.desk.lock().sends == 0 => {
                self.send(&sender, reference, target, draft);
            }
            (_, request) => self.lay_down(reference, request),
        }
        Ok(())
    }

    /// Puts a request on the desk. A node that drains refuses it at once: it does not wait for what comes now.
    fn lay_down(self: Arc<Self>, reference: Option<u64>, request: Request) {
        let taken = self.engine.take();
        if taken.is_none() && !matches!(request, Request::Hello { .. }) {
            let key = request.key();
            self.answer(&ServerFrame::Error { reference, key, error: &Code::Draining.into() });
            return self.finish();
        }
        self.put(Item::Request(reference, request), taken);
    }

    /// Hands a draft on; its answer ends the request.
    pub(super) fn send(self: &Arc<Self>, sender: &Sender, reference: Option<u64>, target: Target, draft: Draft) {
        let core = self.clone();
        let key = draft.key;
        self.engine.post(sender, target, draft, move |done| {
            core.acknowledge(reference, key, done);
            core.finish();
        });
    }

    pub(super) fn acknowledge(&self, reference: Option<u64>, key: Key, done: Result<Done, HubError>) {
        match done {
            Ok(Done { room, posted: Posted::Stored { seq, id } }) => {
                self.answer(&ServerFrame::Ack { reference, key, room, seq, id });
            }
            Ok(Done { posted: Posted::Accepted, .. }) => self.answer(&ServerFrame::Accepted { reference, key }),
            Err(error) => self.answer(&ServerFrame::Error { reference, key: Some(key), error: &error }),
        }
    }

    /// Counts a request as answered.
    pub(super) fn finish(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.free.notify_waiters();
    }

    /// Adds something to be done in order, and sees that somebody does it.
    pub(super) fn enqueue(self: Arc<Self>, item: Item) {
        self.put(item, None);
    }

    fn put(self: Arc<Self>, item: Item, taken: Option<Taken>) {
        let mut desk = self.desk.lock();
        desk.sends += usize::from(matches!(item, Item::Request(_, Request::Send { .. })));
        desk.items.push_back((item, taken));
        if std::mem::replace(&mut desk.busy, true) {
            return;
        }
        drop(desk);
        tokio::spawn(self.work_off());
    }

    /// Does what is to be done. A panic, which only a host's policy or a port can cause, ends the session: the
    /// client connects again and resumes.
    async fn work_off(self: Arc<Self>) {
        while let Some((item, _taken)) = self.next_item() {
            let is_send = matches!(item, Item::Request(_, Request::Send { .. }));
            if std::panic::AssertUnwindSafe(self.handle(item)).catch_unwind().await.is_err() {
                tracing::error!("a request panicked; its session is closed");
                self.outbox.close(CloseCode::Internal.into());
            }
            self.desk.lock().sends -= usize::from(is_send); // only now may later sends go straight to their lane
        }
    }

    fn next_item(&self) -> Option<(Item, Option<Taken>)> {
        let mut desk = self.desk.lock();
        if self.has_ended() {
            desk.items.clear();
        }
        let item = desk.items.pop_front();
        desk.busy = item.is_some();
        item
    }

    /// Lets the session live by this login: it ends when the login is revoked.
    pub(super) fn live_by(&self, login: &Arc<str>) {
        self.login.lock().clone_from(login);
    }

    /// Returns the function by which rooms reach this session. A revocation does not wait at the desk.
    pub(super) fn nudges(self: &Arc<Self>) -> Box<dyn Fn(Nudge) + Send + Sync> {
        let core: Weak<Self> = Arc::downgrade(self);
        Box::new(move |nudge| {
            let Some(core) = core.upgrade() else { return };
            match nudge {
                Nudge::Unpark => core.enqueue(Item::Unpark),
                Nudge::Expelled(room) => core.enqueue(Item::Expelled(room)),
                Nudge::Notice(notice) if notice.revokes(&core.login.lock()) => {
                    core.outbox.close(CloseCode::Revoked.into());
                }
                Nudge::Notice(notice) => core.enqueue(Item::Notice(notice)),
            }
        })
    }

    /// Ends the session: what is under way is finished, what waits is dropped, the rooms are left.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.engine.strangers.lock().remove(&self.stranger);
        let Phase::Open(sender) = std::mem::replace(&mut *self.phase.lock(), Phase::Greeting) else { return };
        if let Some(seat) = sender.seat {
            self.engine.clone().vacate(seat, &sender.person);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("peer", &self.core.peer).finish_non_exhaustive()
    }
}
