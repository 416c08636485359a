//! The task of one connection: it reads, flushes, keeps time and closes.

use std::{future::poll_fn, io, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use chat_core::{Close, CloseCode, Flow, Session};
use futures::StreamExt;
use tokio::{
    io::ReadBuf,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{
    heartbeat::{Beat, Heartbeat, Signs},
    io::Io,
    metrics,
    outbox::{Event, SocketOutbox},
    throttle::{Throttle, Verdict},
    upgrade::Shared,
    wire::Wire,
};
use crate::framing;

/// The library fills this with zeros before every read: a chat message fits, and more is read in several goes.
const READ_BYTES: usize = 2 * 1024;

/// What still comes in is thrown away for so long after our last byte. A socket closed with bytes unread is reset, and
/// a reset may overtake the close frame.
const LINGER: Duration = Duration::from_secs(1);

/// Is who listens at this end of a connection: a session of the engine. Only a test suite of WebSocket itself puts
/// something else here.
pub(crate) trait Listener {
    /// Takes a text message.
    fn text(&mut self, text: &[u8]) -> Flow;

    /// Takes a binary message: the protocol has none.
    fn binary(&mut self, _: &[u8]) -> Flow {
        Flow::End(CloseCode::Unsupported.into())
    }

    /// Waits until more is wanted, after [`Flow::Wait`].
    fn ready(&self) -> impl Future<Output = ()> + Send;

    /// Hears that an outbox that was full has room.
    fn drained(&mut self);

    /// Tells whether the client has said who it is.
    fn is_greeted(&self) -> bool;

    /// Returns the last bytes of a connection that we end.
    fn last_words(why: &Close) -> Vec<u8> {
        framing::closing(why)
    }
}

impl Listener for Session {
    fn text(&mut self, text: &[u8]) -> Flow {
        self.receive(text)
    }

    fn ready(&self) -> impl Future<Output = ()> + Send {
        Self::ready(self)
    }

    fn drained(&mut self) {
        Self::drained(self);
    }

    fn is_greeted(&self) -> bool {
        Self::is_greeted(self)
    }
}

/// Serves one connection to its end. `read` was read from it already; `listener` makes who listens, given the way out.
pub(crate) async fn run<L: Listener>(
    shared: &Shared,
    io: Io,
    read: Bytes,
    listener: impl FnOnce(Arc<SocketOutbox>) -> L,
) {
    let _open = shared.metrics.open_one();
    // In a box of its own: what only the beginning needs would else be kept by the task to its end.
    let mut connection = Box::pin(Connection::new(shared, io, read, listener)).await;
    let end = connection.serve().await;
    metrics::closed(end.name());
    if let Some(outbox) = connection.end(end) {
        say_last_words(&outbox, shared.config.close_within).await;
    }
}

struct Connection<L> {
    socket: WebSocketStream<Wire>,
    outbox: Arc<SocketOutbox>,
    listener: L,
    heartbeat: Heartbeat,
    throttle: Throttle,
    /// The listener wants no message until it is ready.
    waits: bool,
    /// The client was too fast with pings.
    paused_until: Option<Instant>,
}

/// Says who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ours(Close),
    /// The outbox was closed from elsewhere and holds the last frame.
    Closed(CloseCode),
    /// The client said goodbye; the answer is in the outbox.
    Theirs,
    Lost,
}

enum Step {
    Outbox(Event),
    Ready,
    Message(Option<Result<Message, Error>>),
    Time,
}

impl<L: Listener> Connection<L> {
    async fn new(shared: &Shared, io: Io, read: Bytes, listener: impl FnOnce(Arc<SocketOutbox>) -> L) -> Self {
        let outbox = Arc::new(SocketOutbox::new(io, shared.config.outbox_bytes_max, shared.metrics.clone()));
        let socket = open_socket(&outbox, read, shared.limits().frame_bytes_max).await;
        let listener = listener(outbox.clone());
        let now = Instant::now();
        let heartbeat = Heartbeat::new(&shared.config, now, shared.limits().hello_within);
        Self { socket, outbox, listener, heartbeat, throttle: Throttle::new(now), waits: false, paused_until: None }
    }

    async fn serve(&mut self) -> End {
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        loop {
            let reads = !self.waits && self.paused_until.is_none() && self.outbox.has_room();
            let step = tokio::select! {
                biased;
                event = poll_fn(|cx| self.outbox.poll_event(cx)) => Step::Outbox(event),
                () = timer.as_mut() => Step::Time,
                () = self.listener.ready(), if self.waits => Step::Ready,
                // Last: a client that sends without end holds up nothing else.
                message = self.socket.next(), if reads => Step::Message(message),
            };
            let end = match step {
                Step::Outbox(event) => self.hear(event),
                Step::Ready => {
                    self.waits = false;
                    None
                }
                Step::Message(message) => self.receive(message, timer.as_mut()),
                Step::Time => self.keep_time(timer.as_mut()),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    fn hear(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Wrote { drained: true } => self.listener.drained(),
            Event::Wrote { drained: false } => {}
            Event::Closing(code) => return Some(End::Closed(code)),
            Event::Gone => return Some(End::Lost),
        }
        None
    }

    fn receive(&mut self, message: Option<Result<Message, Error>>, timer: Pin<&mut Sleep>) -> Option<End> {
        match message {
            Some(Ok(Message::Text(text))) => {
                self.socket.get_mut().whole_message();
                let flow = self.listener.text(text.as_bytes());
                self.go_on(flow)
            }
            Some(Ok(Message::Binary(bytes))) => {
                self.socket.get_mut().whole_message();
                let flow = self.listener.binary(&bytes);
                self.go_on(flow)
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => self.slow_down(timer),
            // The library answers it when polled again, and then ends.
            Some(Ok(Message::Close(_) | Message::Frame(_))) => None,
            Some(Err(error)) => Some(End::of(&error, self.socket.get_ref().is_flooded())),
            None => Some(End::Theirs),
        }
    }

    fn go_on(&mut self, flow: Flow) -> Option<End> {
        self.waits = flow == Flow::Wait;
        match flow {
            Flow::More | Flow::Wait => None,
            Flow::End(close) => Some(End::Ours(close)),
        }
    }

    fn slow_down(&mut self, timer: Pin<&mut Sleep>) -> Option<End> {
        match self.throttle.take(Instant::now()) {
            Verdict::Pass => None,
            Verdict::PauseUntil(then) => {
                self.paused_until = Some(then);
                timer.reset(then);
                None
            }
            Verdict::Abuse => Some(End::Ours(CloseCode::Policy.into())),
        }
    }

    fn keep_time(&mut self, timer: Pin<&mut Sleep>) -> Option<End> {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|then| *then > now);
        if self.waits {
            self.socket.get_mut().excuse();
        }
        let signs = Signs {
            now,
            heard_at: self.socket.get_ref().heard_at(),
            pulse: self.outbox.pulse(),
            is_greeted: self.listener.is_greeted(),
        };
        let next = match self.heartbeat.beat(&signs) {
            Beat::Until(next) => next,
            Beat::Ping(next) => {
                self.outbox.ping();
                next
            }
            Beat::Close(code) => return Some(End::Ours(code.into())),
        };
        timer.reset(self.paused_until.map_or(next, |then| then.min(next)));
        None
    }

    /// Ends the session, so that others see it leave at once. Returns the outbox if there are last words in it.
    fn end(self, end: End) -> Option<Arc<SocketOutbox>> {
        match end {
            End::Ours(why) => self.outbox.close_with(why.code, &L::last_words(&why)),
            End::Closed(_) => {}
            End::Theirs => self.outbox.end(),
            End::Lost => {
                self.outbox.abandon();
                return None;
            }
        }
        Some(self.outbox)
    }
}

/// Writes what was taken, in bounded time.
async fn say_last_words(outbox: &SocketOutbox, within: Duration) {
    let written = async {
        poll_fn(|cx| outbox.poll_flush(cx)).await?;
        poll_fn(|cx| outbox.io().poll_shutdown(cx)).await
    };
    if let Ok(Ok(())) = timeout(within, written).await {
        let _ = timeout(LINGER, linger(outbox)).await;
    }
    outbox.abandon();
}

async fn open_socket(outbox: &Arc<SocketOutbox>, read: Bytes, message_bytes_max: usize) -> WebSocketStream<Wire> {
    // Twice a message, since its headers and what is between its fragments count, too.
    let wire = Wire::new(outbox.clone(), read.len(), 2 * message_bytes_max);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    // Copied, since even an empty rest holds hyper's whole buffer of 8 KiB.
    WebSocketStream::from_partially_read(wire, read.to_vec(), Role::Server, Some(config)).await
}

/// Reads until the other side closes, too.
async fn linger(outbox: &SocketOutbox) -> io::Result<()> {
    let mut waste = vec![0; READ_BYTES];
    loop {
        let mut buf = ReadBuf::new(&mut waste);
        poll_fn(|cx| outbox.io().poll_read(cx, &mut buf)).await?;
        if buf.filled().is_empty() {
            return Ok(());
        }
    }
}

impl End {
    fn of(error: &Error, is_flooded: bool) -> Self {
        Self::Ours(Close::new(match error {
            _ if is_flooded => CloseCode::Policy,
            Error::Capacity(_) => CloseCode::TooLarge,
            Error::Utf8(_) => CloseCode::NotUtf8,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => return Self::Lost,
            Error::Protocol(_) => CloseCode::Protocol,
            _ => CloseCode::Internal,
        }))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ours(Close { code, .. }) | Self::Closed(code) => code.reason(),
            Self::Theirs => "client",
            Self::Lost => "lost",
        }
    }
}
