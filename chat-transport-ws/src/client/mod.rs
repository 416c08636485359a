//! The client: a [`Hub`] at the other end of a WebSocket, for bots, terminals and other servers.
//!
//! ```no_run
//! use chat_core::{Event, Hub, RoomId, Start};
//! use chat_transport_ws::client::{ClientConfig, RemoteHub};
//! use futures::StreamExt;
//!
//! # async fn run() -> Result<(), chat_core::HubError> {
//! let config = ClientConfig::default().token(|| async { Ok("the host's token".to_owned()) });
//! let hub = RemoteHub::connect("ws://chat.example/chat/ws", config).await?;
//! let room = hub.room(RoomId::named("general")).await?;
//! room.post(hub.draft_text("hello")).await?;
//! let mut events = room.events(Start::Head);
//! while let Some(event) = events.next().await {
//!     if let Event::Entry(entry) = event {
//!         println!("{}: {}", entry.name, entry.body.text().unwrap_or_default());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! All clones of a hub share one connection and one task. When the connection breaks, the task connects again and
//! resumes: posts are sent again under their keys, questions are asked again, and streams go on after the last entry
//! they received. Nobody sees more of it than the time it takes.
//!
//! | file | holds |
//! |---|---|
//! | `link` | the task: connecting, waiting, taking orders |
//! | `visit` | one connection: hello, what is heard, silence |
//! | `unsent` | drafts that were not answered yet, in order |
//! | `asked` | questions that were not answered yet |
//! | `follows` | which rooms the connection brings, and from where |
//! | `events` | one receiver: its places, its buffer, its stream |
//! | `typing` | where the user types, and who else does |
//! | `frames`, `request` | the words: what servers say, what we ask |
//! | `outgoing`, `socket` | frames on their way out, and one WebSocket |

mod asked;
mod config;
mod events;
mod follows;
mod frames;
mod link;
mod outgoing;
mod request;
mod room;
mod socket;
mod typing;
mod unsent;
mod visit;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use chat_core::{
    Body, Code, Cursor, Draft, Event, Hub, HubError, Key, Page, Room, RoomId, RoomSpec, RoomSummary, Text, UserId,
    clock::{Clock, SystemClock},
    protocol::{Request, Target, Which},
};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::{mpsc, oneshot};

pub use self::config::ClientConfig;
use self::{
    events::{Events, Receiver},
    frames::{Answer, Welcome},
    link::{Link, Order, Orders},
    room::RemoteRoom,
};

/// Is the chat as one user has it, on a server somewhere else. Cheap to clone.
///
/// * A post is kept, in its order, until it is answered, however often the connection breaks meanwhile. Errors that
///   may pass are not told: the post waits. Dropping its future leaves it with the hub.
/// * Questions (rooms, members, history) wait for a connection, and are given up with [`Code::Retry`] after
///   [`ClientConfig::answer_within`].
/// * A signal is told to a server that is there, or refused with [`Code::Retry`]. `Ok` does not say that others saw it.
/// * Say [`Outgoing::Typing`](chat_core::Outgoing) on every key: others are told 300 ms after the first and every 2 s,
///   and not at all of what is sent or deleted at once. The typing of others ends by a signal, also when theirs is lost.
/// * A stream ends with [`Event::Closed`] when the hub does: by [`RemoteHub::close`], or when the server says that
///   connecting again is no use.
///
/// When the last clone and all its rooms and streams are gone, the connection is closed, too.
#[derive(Clone)]
pub struct RemoteHub {
    orders: Orders,
    shared: Arc<Shared>,
}

/// Is what the task tells the hub's clones.
struct Shared {
    config: ClientConfig,
    me: OnceLock<Me>,
    /// What to add to our clock to get the server's, in ms.
    clock_ms: AtomicI64,
    online: AtomicBool,
}

struct Me {
    user: UserId,
    name: Arc<str>,
}

impl Shared {
    /// Learns who the client is and what time it is. Returns `false` if it is somebody else than before.
    fn welcome(&self, welcome: &Welcome) -> bool {
        self.clock_ms.store(welcome.now.ms_since(SystemClock.now()), Ordering::Release);
        let me = self.me.get_or_init(|| Me { user: welcome.user.clone(), name: welcome.name.clone() });
        me.user == welcome.user
    }
}

/// Connects as a hub does and sends back what comes in: what a test suite of WebSocket asks of a client.
#[cfg(feature = "echo")]
#[doc(hidden)]
pub async fn echo(url: &str) -> Result<(), HubError> {
    socket::echo(url).await.map_err(|broken| match broken {
        socket::Broken::Lost { why, .. } => HubError::new(Code::Retry, why),
        socket::Broken::Ended(why) => why,
    })
}

/// Says that the hub has ended.
fn closed() -> HubError {
    HubError::new(Code::Retry, "this hub is closed")
}

impl RemoteHub {
    /// Connects, and waits until the server has said who this is.
    ///
    /// # Errors
    /// At once if the server refuses for good, as with [`Code::Unauthenticated`]; [`Code::Retry`] after
    /// [`ClientConfig::connect_within`]. Once connected, the hub keeps connecting by itself.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(url: impl Into<String>, config: ClientConfig) -> Result<Self, HubError> {
        let within = config.connect_within;
        let (orders, taken) = mpsc::unbounded_channel();
        let shared = Shared {
            config: config.clone(),
            me: OnceLock::new(),
            clock_ms: AtomicI64::new(0),
            online: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        let (ready, greeted) = oneshot::channel();
        tokio::spawn(Link::new(url.into(), config, shared.clone(), taken, ready).run());
        // Giving up drops the hub, and with it the task.
        match tokio::time::timeout(within, greeted).await {
            Ok(greeted) => greeted.unwrap_or_else(|_| Err(closed()))?,
            Err(_) => return Err(HubError::new(Code::Retry, "the server cannot be reached")),
        }
        Ok(Self { orders, shared })
    }

    /// Returns whom the server knows this client as.
    #[allow(clippy::missing_panics_doc, clippy::expect_used)] // `connect` returns after the welcome
    pub fn user(&self) -> &UserId {
        &self.shared.me.get().expect("a hub exists after its welcome").user
    }

    /// Tells whether there is a connection right now.
    pub fn is_online(&self) -> bool {
        self.shared.online.load(Ordering::Acquire)
    }

    /// Makes a draft under a fresh key of the server's time: a key of a wrong clock may be refused as too old.
    pub fn draft(&self, body: Body) -> Draft {
        Draft { key: self.key(), body }
    }

    /// Makes a draft of a plain text under a fresh key of the server's time.
    pub fn draft_text(&self, text: impl Into<String>) -> Draft {
        self.draft(Body::Text(Text::new(text)))
    }

    /// Says goodbye. Returns the drafts that were not answered, in order, so that they can be posted another time
    /// under their keys.
    pub async fn close(&self) -> Vec<(Target, Draft)> {
        self.order(Order::Close).await.unwrap_or_default()
    }

    fn key(&self) -> Key {
        let mut random = [0; 10];
        self.shared.config.entropy.fill(&mut random);
        Key::new(SystemClock.now().plus_ms(self.shared.clock_ms.load(Ordering::Acquire)).0, random)
    }

    /// Hands in an order and waits for its answer. The order goes on if nobody waits.
    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, HubError> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }

    async fn ask(&self, request: Request) -> Result<Answer, HubError> {
        self.order(|answer| Order::Ask { request, answer }).await?
    }

    fn receive(&self, scope: Option<RoomId>, order: impl FnOnce(Arc<Receiver>) -> Order) -> BoxStream<'static, Event> {
        let receiver = Arc::new(Receiver::new(scope, self.shared.config.events_max));
        if self.orders.send(order(receiver.clone())).is_err() {
            return stream::iter([Event::Closed(closed())]).boxed();
        }
        Events::new(receiver, self.orders.clone()).boxed()
    }

    fn at(&self, target: Target, id: RoomId) -> Arc<dyn Room> {
        Arc::new(RemoteRoom { hub: self.clone(), target, id })
    }
}

#[async_trait]
impl Hub for RemoteHub {
    async fn create(&self, spec: RoomSpec) -> Result<Arc<dyn Room>, HubError> {
        let key = self.key();
        let (room, _) = self.order(|answer| Order::Create { key, spec, answer }).await??;
        Ok(self.at(Target::Room(room), room))
    }

    async fn room(&self, id: RoomId) -> Result<Arc<dyn Room>, HubError> {
        // Who may read a room may read its history: the cheapest question that tells.
        self.ask(Request::History { room: id, page: Page::newest(1) }).await?;
        Ok(self.at(Target::Room(id), id))
    }

    fn direct(&self, with: &UserId) -> Arc<dyn Room> {
        let id = RoomId::direct(self.user(), with);
        self.at(Target::User(with.clone()), id)
    }

    async fn rooms(&self, page: Page) -> Result<Vec<RoomSummary>, HubError> {
        match self.ask(Request::Rooms { which: Which::Mine, page }).await? {
            Answer::Rooms(rooms) => Ok(rooms),
            _ => Err(Code::Invalid.into()),
        }
    }

    fn events(&self, resume: Vec<Cursor>) -> BoxStream<'static, Event> {
        self.receive(None, |receiver| Order::ReceiveAll { receiver, resume })
    }
}

impl fmt::Debug for RemoteHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteHub")
            .field("user", &self.shared.me.get().map(|me| &me.user))
            .field("online", &self.is_online())
            .finish_non_exhaustive()
    }
}
