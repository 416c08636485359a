//! The one task behind a hub: it connects, says hello, reads and writes, notices silence, and connects again.
//!
//! Everything that outlives a connection is in three lists: drafts ([`Unsent`]), questions ([`Asked`]) and rooms
//! ([`Follows`]). Hubs, rooms and streams hand in [`Order`]s, which are taken at any time, connected or not.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chat_core::{
    Cursor, Draft, HubError, Key, RoomId, RoomSpec,
    protocol::{Outgoing as OutgoingSignal, Request, Target},
};
use futures::future::{BoxFuture, OptionFuture};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use super::{
    ClientConfig, Shared,
    asked::Asked,
    closed,
    events::Receiver,
    follows::Follows,
    frames::{self, Answer, Farewell, Frame, Said, ServerLimits, Welcome},
    request,
    socket::{self, Broken, Socket},
    unsent::{Done, Unsent},
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

/// Holds the frames on their way out, and counts the requests.
pub(super) struct Outgoing {
    frames: VecDeque<Message>,
    limits: ServerLimits,
    reference: u64,
}

impl Outgoing {
    /// Asks something; returns the `ref` that the answer will repeat.
    pub(super) fn ask(&mut self, request: &Request) -> u64 {
        self.reference += 1;
        self.frames.push_back(Message::text(request::encode(self.reference, request)));
        self.reference
    }

    /// Asks something unless it is longer than the server takes.
    pub(super) fn ask_within(&mut self, request: &Request) -> Option<u64> {
        let reference = self.ask(request);
        if self.frames.back().is_some_and(|frame| frame.len() <= self.limits.frame_bytes) {
            return Some(reference);
        }
        self.frames.pop_back();
        None
    }
}

/// Is the task's state.
pub(super) struct Link {
    url: String,
    config: ClientConfig,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
    unsent: Unsent,
    asked: Asked,
    follows: Follows,
    out: Outgoing,
    /// Told once, at the first welcome or at the end.
    ready: Option<oneshot::Sender<Result<(), HubError>>>,
    /// Who asked for the end.
    closer: Option<oneshot::Sender<Vec<(Target, Draft)>>>,
}

/// Is what belongs to one connection.
struct Visit {
    /// The `ref` of `hello`, until it is answered.
    hello: Option<u64>,
    began: Instant,
    heard: Instant,
    /// When the server was pinged, if nothing was heard since.
    pinged: Option<Instant>,
    /// A new token is being fetched.
    refresh: OptionFuture<BoxFuture<'static, Result<String, HubError>>>,
    farewell: Option<Farewell>,
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
        let out = Outgoing { frames: VecDeque::new(), limits: ServerLimits::default(), reference: 0 };
        let (asked, follows) = (Asked::default(), Follows::default());
        Self { url, config, shared, orders, unsent, asked, follows, out, ready: Some(ready), closer: None }
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
        let opening = async move {
            let token = match &config.token {
                Some(provider) => Some(provider().await.map_err(refusal)?),
                None => None,
            };
            Ok((socket::open(&url, &config).await?, token))
        };
        let opened = self.meanwhile(timeout(self.config.answer_within, opening)).await?;
        opened.unwrap_or_else(|_| Err(Broken::lost("no connection in time")))
    }

    /// Takes orders while something else goes on.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Broken> {
        tokio::pin!(work);
        loop {
            let due = self.asked.due();
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                order = self.orders.recv() => self.take(order)?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.asked.expire(),
            }
        }
    }

    /// Talks until the connection ends.
    async fn converse(&mut self, socket: &mut Socket, token: Option<String>) -> Broken {
        self.out.frames.clear();
        let cursors = self.follows.begin(self.out.limits.rooms);
        let hello = Some(self.out.ask(&Request::Hello { token, cursors }));
        let refresh = OptionFuture::default();
        let began = Instant::now();
        let mut visit = Visit { hello, began, heard: began, pinged: None, refresh, farewell: None };
        loop {
            self.pump();
            let wake = self.wake_at(&visit);
            let done = tokio::select! {
                biased;
                order = self.orders.recv() => self.take(order),
                message = socket.exchange(&mut self.out.frames) => self.receive(&mut visit, message),
                Some(token) = &mut visit.refresh => {
                    visit.refresh = OptionFuture::default();
                    self.refresh(token);
                    Ok(())
                }
                () = sleep_until(wake) => self.wonder(&mut visit),
            };
            if let Err(broken) = done {
                return broken;
            }
        }
    }

    /// Asks for whatever may be asked now.
    fn pump(&mut self) {
        self.asked.expire();
        self.unsent.ask(&mut self.out);
        self.asked.ask(&mut self.out);
        self.follows.ask(&mut self.out);
    }

    /// Returns when to look again although nothing has come.
    fn wake_at(&self, visit: &Visit) -> Instant {
        let welcome_due = visit.hello.map(|_| visit.began + self.config.answer_within);
        let dues = [self.unsent.due(), self.asked.due(), self.follows.due(), welcome_due];
        dues.into_iter().flatten().fold(self.silent_at(visit), Instant::min)
    }

    /// Returns when the silence has lasted too long.
    fn silent_at(&self, visit: &Visit) -> Instant {
        let due = visit.hello.is_some() || self.unsent.is_under_way() || self.asked.is_under_way();
        match visit.pinged {
            Some(pinged) => pinged + self.config.silence_max,
            None if due => visit.heard + self.config.silence_max,
            None => visit.heard + self.config.idle_max,
        }
    }

    fn wonder(&mut self, visit: &mut Visit) -> Result<(), Broken> {
        let now = Instant::now();
        if visit.hello.is_some() && now >= visit.began + self.config.answer_within {
            return Err(Broken::lost("no welcome in time"));
        }
        if now < self.silent_at(visit) {
            return Ok(());
        }
        if visit.pinged.is_some() {
            return Err(Broken::lost("no sign of life"));
        }
        visit.pinged = Some(now);
        self.out.frames.push_back(Message::Ping(Vec::new().into()));
        Ok(())
    }

    fn take(&mut self, order: Option<Order>) -> Result<(), Broken> {
        match order {
            Some(Order::Post { room, target, draft, answer }) => self.unsent.post(room, target, draft, answer),
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

    fn signal(&mut self, room: RoomId, signal: OutgoingSignal) -> bool {
        let online = self.shared.online.load(Ordering::Acquire);
        if online && self.out.frames.len() < SIGNALS_WAIT_MAX {
            self.out.ask_within(&Request::Signal { room, signal });
        }
        online
    }

    fn receive(
        &mut self,
        visit: &mut Visit,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), Broken> {
        (visit.heard, visit.pinged) = (Instant::now(), None);
        match message {
            Some(Ok(Message::Text(text))) => {
                let me = self.shared.me.get();
                match frames::read(&text, me.map(|me| (&me.user, &me.name))) {
                    Some(frame) => self.heard(visit, frame),
                    None => {
                        tracing::debug!("a frame of an unknown shape is passed over");
                        Ok(())
                    }
                }
            }
            Some(Ok(Message::Close(close))) => {
                let code = close.as_ref().map_or(CloseCode::Status, |close| close.code);
                let reason = close.as_ref().map_or("", |close| close.reason.as_str());
                let farewell = visit.farewell.take().unwrap_or_else(|| Farewell::of_code(code.into(), reason));
                Err(Broken::by(farewell, self.config.token.is_some()))
            }
            Some(Ok(_)) => Ok(()),
            ended => Err(visit.farewell.take().map_or_else(
                || Broken::lost(ended.and_then(Result::err).map_or("cut".to_owned(), |error| error.to_string())),
                |farewell| Broken::by(farewell, self.config.token.is_some()),
            )),
        }
    }

    fn heard(&mut self, visit: &mut Visit, Frame { reference, said }: Frame) -> Result<(), Broken> {
        match said {
            Said::Welcome(welcome) => return self.welcomed(visit, reference, welcome),
            Said::Expiring => {
                visit.refresh = self.config.token.as_ref().map(|provider| provider()).into();
            }
            Said::Answer(answer) => {
                reference.map(|reference| self.asked.answered(reference, Ok(answer)));
            }
            Said::Followed(cursor) => self.follows.followed(reference, cursor),
            Said::Unfollowed(room, why) => self.follows.unfollowed(&self.config, reference, room, why),
            Said::Ack { key, room, seq, id } => {
                self.follows.stored(Cursor::new(room, seq, Some(id)));
                self.unsent.stored(reference, key, room, seq, id);
            }
            Said::Accepted(key) => self.unsent.accepted(reference, key),
            Said::Entry(entry) => {
                if self.shared.me.get().is_some_and(|me| me.user == entry.author) {
                    self.unsent.seen(&entry);
                }
                self.follows.entry(&entry);
            }
            Said::Passed(cursor) => self.follows.unreadable(cursor),
            Said::Signal(signal) => self.follows.signal(&signal),
            Said::Gap { room, from, to, why } => self.follows.gap(room, from, to, why),
            Said::Reset(room) => self.follows.reset(room),
            Said::Error(error) => return self.refused(visit, reference, error),
            Said::Close(farewell) => visit.farewell = Some(farewell),
        }
        Ok(())
    }

    fn welcomed(&mut self, visit: &mut Visit, reference: Option<u64>, welcome: Welcome) -> Result<(), Broken> {
        self.out.limits = welcome.limits;
        if !self.shared.welcome(&welcome) {
            // What was written for one user must not be sent as another.
            return Err(Broken::Ended(HubError::new(chat_core::Code::Unauthenticated, "another user is logged in")));
        }
        if visit.hello.is_none() || visit.hello != reference {
            return Ok(()); // the answer to `refresh`
        }
        visit.hello = None;
        self.set_online(true);
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Ok(()));
        }
        Ok(())
    }

    fn refused(&mut self, visit: &mut Visit, reference: Option<u64>, error: HubError) -> Result<(), Broken> {
        let Some(reference) = reference else {
            tracing::debug!(%error, "the server refused something");
            return Ok(());
        };
        if visit.hello == Some(reference) {
            // Too many connections is not for ever; the `close` that follows may say when to come again.
            let passing = error.code == chat_core::Code::TooMany;
            return if passing { Ok(()) } else { Err(refusal(error)) };
        }
        let known = self.unsent.refused(reference, &error)
            || self.follows.refused(&self.config, reference, &error)
            || self.asked.answered(reference, Err(error.clone()));
        if !known {
            tracing::debug!(%error, "the server refused something");
        }
        Ok(())
    }

    fn refresh(&mut self, token: Result<String, HubError>) {
        match token {
            Ok(token) => {
                self.out.ask(&Request::Refresh { token });
            }
            // The connection ends when the old token does; the next one asks for a token again.
            Err(error) => tracing::warn!(%error, "no new token"),
        }
    }

    fn set_online(&mut self, online: bool) {
        self.shared.online.store(online, Ordering::Release);
        self.unsent.set_online(online);
        self.asked.set_online(online);
        self.follows.set_online(online);
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

/// Says whether an error of a token provider or of `hello` is worth another try.
fn refusal(error: HubError) -> Broken {
    if error.code.is_retryable() {
        Broken::Lost { why: error.to_string(), wait: error.retry_after.unwrap_or_default() }
    } else {
        Broken::Ended(error)
    }
}
