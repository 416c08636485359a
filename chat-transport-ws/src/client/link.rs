//! The one task behind a hub: it connects, says hello, reads and writes, notices silence, and connects again.
//!
//! Everything that outlives a connection is in three lists: drafts ([`Unsent`]), questions ([`Asked`]) and rooms
//! ([`Follows`]). Hubs, rooms and streams hand in [`Order`]s, which are taken at any time, connected or not.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chat_core::{
    Cursor, Draft, HubError, Key, RoomId, RoomSpec,
    protocol::{Outgoing as OutgoingSignal, Request, Target},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{
    ClientConfig, Shared,
    asked::Asked,
    closed,
    events::Receiver,
    follows::Follows,
    frames::Answer,
    outgoing::Outgoing,
    socket::{self, Broken, Socket},
    typing::Typing,
    unsent::{Done, Unsent},
    visit::refusal,
};

pub(super) type Orders = mpsc::UnboundedSender<Order>;

/// Is what hubs, rooms and streams want of the connection. Unbounded as a channel, since the task takes orders at
/// any time and refuses at once what is more than it may keep.
pub(super) enum Order {
    Post { room: RoomId, target: Target, draft: Draft, answer: oneshot::Sender<Done> },
    Create { key: Key, spec: RoomSpec, answer: oneshot::Sender<Done> },
    Ask { request: Request, answer: oneshot::Sender<Result<Answer, HubError>> },
    Signal { room: RoomId, signal: OutgoingSignal, answer: oneshot::Sender<bool> },
    ReceiveAll { receiver: Arc<Receiver>, resume: Vec<Cursor> },
    Receive { receiver: Arc<Receiver>, room: RoomId, after: Option<Cursor> },
    Drained(Arc<Receiver>),
    Close(oneshot::Sender<Vec<(Target, Draft)>>),
}

/// Signals are dropped while this many frames wait to be written.
const SIGNALS_WAIT_MAX: usize = 64;

/// Is the task's state.
pub(super) struct Link {
    url: String,
    pub(super) config: ClientConfig,
    pub(super) shared: Arc<Shared>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) unsent: Unsent,
    pub(super) asked: Asked,
    pub(super) follows: Follows,
    pub(super) typing: Typing,
    pub(super) out: Outgoing,
    /// Told once, at the first welcome or at the end.
    pub(super) ready: Option<oneshot::Sender<Result<(), HubError>>>,
    /// Who asked for the end.
    closer: Option<oneshot::Sender<Vec<(Target, Draft)>>>,
}

impl Link {
    pub(super) fn new(
        url: String,
        config: ClientConfig,
        shared: Arc<Shared>,
        orders: mpsc::UnboundedReceiver<Order>,
        ready: oneshot::Sender<Result<(), HubError>>,
    ) -> Self {
        let unsent = Unsent::new(config.clone());
        let (asked, follows, out) = (Asked::default(), Follows::default(), Outgoing::default());
        let typing = Typing::default();
        Self { url, config, shared, orders, unsent, asked, follows, typing, out, ready: Some(ready), closer: None }
    }

    /// Keeps connected until somebody closes the hub or the server says that it is no use.
    pub(super) async fn run(mut self) {
        let mut tries = 0;
        let why = loop {
            let (broken, held) = match self.visit().await {
                Ok(never) => match never {},
                Err((broken, held)) => (broken, held),
            };
            match broken {
                Broken::Ended(why) => break why,
                Broken::Lost { why, wait } => {
                    tries = if held >= self.config.stable_after { 0 } else { tries };
                    let wait = wait + self.config.backoff(tries);
                    tries += 1;
                    tracing::info!(%why, ?wait, "the chat server is away, connecting again");
                    if let Err(Broken::Ended(why)) = self.meanwhile(tokio::time::sleep(wait)).await {
                        break why;
                    }
                }
            }
        };
        self.end(&why);
    }

    /// Connects once and stays as long as the connection does. Returns how it ended and how long it held.
    async fn visit(&mut self) -> Result<std::convert::Infallible, (Broken, Duration)> {
        let opened = self.open().await;
        let (mut socket, token) = opened.map_err(|broken| (broken, Duration::ZERO))?;
        let began = Instant::now();
        let broken = self.converse(&mut socket, token).await;
        self.set_online(false);
        if matches!(broken, Broken::Ended(_)) {
            socket.close().await;
        }
        Err((broken, began.elapsed()))
    }

    async fn open(&mut self) -> Result<(Socket, Option<String>), Broken> {
        let (url, config) = (self.url.clone(), self.config.clone());
        // Boxed: with TLS it is large, and the task keeps room for it as long as it lives.
        let opening = Box::pin(async move {
            let token = match &config.token {
                Some(provider) => Some(provider().await.map_err(refusal)?),
                None => None,
            };
            Ok((socket::open(&url, &config).await?, token))
        });
        let opened = self.meanwhile(timeout(self.config.answer_within, opening)).await?;
        opened.unwrap_or_else(|_| Err(Broken::lost("no connection in time")))
    }

    /// Takes orders while something else goes on.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Broken> {
        tokio::pin!(work);
        loop {
            let due = [self.asked.due(), self.typing.due()].into_iter().flatten().min();
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                order = self.orders.recv() => self.take(order)?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.asked.expire();
                    self.fade();
                }
            }
        }
    }

    pub(super) fn take(&mut self, order: Option<Order>) -> Result<(), Broken> {
        match order {
            Some(Order::Post { room, target, draft, answer }) => {
                self.typing.stop(room); // what was typed says so itself
                self.unsent.post(room, target, draft, answer);
            }
            Some(Order::Create { key, spec, answer }) => self.unsent.create(key, spec, answer),
            Some(Order::Ask { request, answer }) => {
                self.asked.add(request, self.config.answer_within, self.config.requests_max, answer);
            }
            Some(Order::Signal { room, signal, answer }) => {
                let _ = answer.send(self.signal(room, signal));
            }
            Some(Order::ReceiveAll { receiver, resume }) => self.follows.add_all(&receiver, &resume),
            Some(Order::Receive { receiver, room, after }) => self.follows.add_one(&receiver, room, after),
            Some(Order::Drained(receiver)) => self.follows.drained(&receiver),
            Some(Order::Close(closer)) => {
                self.closer = Some(closer);
                return Err(Broken::Ended(closed()));
            }
            // Nobody is left who could ask or receive.
            None => return Err(Broken::Ended(closed())),
        }
        Ok(())
    }

    /// Tells a signal if there is a connection, and typing when it is time. Returns whether there is one.
    fn signal(&mut self, room: RoomId, signal: OutgoingSignal) -> bool {
        let online = self.shared.online.load(Ordering::Acquire);
        match signal {
            _ if !online => {}
            OutgoingSignal::Typing(true) => self.typing.key(room, Instant::now()),
            OutgoingSignal::Typing(false) if !self.typing.stop(room) => {}
            signal => self.tell(room, signal),
        }
        online
    }

    fn tell(&mut self, room: RoomId, signal: OutgoingSignal) {
        if self.out.frames.len() < SIGNALS_WAIT_MAX {
            self.out.ask_within(&Request::Signal { room, signal });
        }
    }

    /// Tells that the user types, where it is time.
    pub(super) fn tell_typing(&mut self) {
        for room in self.typing.tell(Instant::now()) {
            self.tell(room, OutgoingSignal::Typing(true));
        }
    }

    /// Tells the receivers who types no more, although nobody said so.
    pub(super) fn fade(&mut self) {
        for signal in self.typing.fade(Instant::now()) {
            self.follows.signal(&signal);
        }
    }

    /// Tells everybody that this is the end.
    fn end(mut self, why: &HubError) {
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            let _ = self.take(Some(order)); // so that it is answered like the others
        }
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Err(why.clone()));
        }
        self.asked.end(why);
        self.follows.end(why);
        let unsent = self.unsent.end(why);
        match self.closer.take() {
            Some(closer) => {
                let _ = closer.send(unsent);
            }
            None if unsent.is_empty() => {}
            None => tracing::warn!(count = unsent.len(), %why, "messages were not sent"),
        }
    }
}
