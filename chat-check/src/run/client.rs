//! One client: a hub of its own behind a proxy of its own, and what it is told, written down.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use chat_core::{Body, Draft, Entry, Event as Told, GapReason, Hub, Posted, Room, RoomId, Text, model::BodyHash};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use futures::{StreamExt, stream::BoxStream};
use parking_lot::Mutex;

use super::{Failure, chance::Chance, recorder::Recorder, tap::Tap};
use crate::{
    history::{
        Acked, Asking, Event, Followed, How, Missing, Name, Received, Refused, Restarted, Sent, Unfollowed, Unknown,
    },
    proxy::Proxy,
};

/// Is who connects, and as whom.
#[derive(Clone)]
pub(super) struct User {
    pub(super) name: Name,
    pub(super) token: String,
}

/// Is where clients come in.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    /// All nodes: who is cut off from one goes on to the next.
    pub(super) nodes: Arc<[SocketAddr]>,
    pub(super) recorder: Recorder,
    /// Drafts have at least so many characters.
    pub(super) text_min: usize,
    /// Who connects is about to be slow: has little room for what nobody reads, and is patient with the silence.
    pub(super) is_slow: bool,
}

/// What bots are asked, who they are, and what is said if there is no answer in time.
const QUESTION: &str = "/stock=AAPL.US";
const BOT: &str = "bot:stock";
const NOTICE: &str = "/stock gave no answer in time";

/// What the kernel of a slow client takes before anybody reads it. Half of it goes for the kernel's own notes.
const SLOW_BUFFER: u32 = 8 * 1024;
/// So long a slow client does not ask whether the server is still there: whatever it says is a sign of life.
const SLOW_PATIENCE: Duration = Duration::from_mins(5);

impl Entrance {
    /// Connects a client that receives `rooms`, or none if it only sends, to the node of this number. What comes of
    /// other rooms, such as the inbox, is passed over.
    pub(super) async fn connect(
        &self,
        c: String,
        user: &User,
        node: usize,
        rooms: BTreeSet<RoomId>,
        chance: Chance,
    ) -> Result<Arc<Client>, Failure> {
        let c = Name::from(c);
        let tap = Tap::new(c.clone(), self.recorder.clone(), chance, rooms.iter().copied().map(name).collect());
        let first = self.nodes.first().ok_or("there is no node")?;
        let proxy = Proxy::watched(*first, tap.watcher()).await?;
        proxy.lead_to_each(self.nodes.clone(), node);
        let mut config = config(user);
        if self.is_slow {
            proxy.receive_buffer(SLOW_BUFFER);
            (config.silence_max, config.idle_max) = (SLOW_PATIENCE, SLOW_PATIENCE);
        }
        let hub = RemoteHub::connect(format!("ws://{}/chat/ws", proxy.address()), config).await?;
        let text_min = self.text_min;
        let (user, recorder, places, owed) = (user.clone(), self.recorder.clone(), Mutex::default(), Mutex::default());
        let client = Arc::new(Client { c, user, hub, proxy, tap, recorder, rooms, places, owed, text_min });
        if !client.rooms.is_empty() {
            tokio::spawn(listen(Arc::downgrade(&client), client.hub.events(Vec::new())));
        }
        Ok(client)
    }
}

/// The client's defaults, but for the longest wait between two tries to connect: a server here is back at once, and
/// dies again before a client that waits as long as people's do has seen it.
pub(super) fn config(user: &User) -> ClientConfig {
    let mut config = ClientConfig::default().header("authorization", format!("Bearer {}", user.token));
    config.backoff_max = Duration::from_millis(500);
    config
}

/// Is one client. Dropping it ends its connection.
pub(super) struct Client {
    pub(super) c: Name,
    pub(super) user: User,
    pub(super) hub: RemoteHub,
    pub(super) proxy: Proxy,
    pub(super) tap: Arc<Tap>,
    pub(super) recorder: Recorder,
    /// Which rooms it receives.
    pub(super) rooms: BTreeSet<RoomId>,
    /// Where it stands in each.
    places: Mutex<BTreeMap<RoomId, u64>>,
    /// Under which keys answers of bots are to come.
    owed: Mutex<HashSet<Name>>,
    text_min: usize,
}

async fn listen(client: Weak<Client>, mut events: BoxStream<'static, Told>) {
    while let Some(event) = events.next().await {
        let Some(client) = client.upgrade() else { return };
        client.hears(event);
    }
}

impl Client {
    /// Returns where it stands in a room, if it is followed there.
    pub(super) fn place(&self, room: RoomId) -> Option<u64> {
        self.places.lock().get(&room).copied()
    }

    /// Makes a draft with a text that no other has.
    pub(super) fn draft(&self, number: u64) -> Draft {
        let (says, least) = (format!("{} says {number} ", self.c), self.text_min);
        self.hub.draft_text(format!("{says:.<least$}"))
    }

    /// Posts, and writes down what becomes of it. Its first poll hands the draft over, so that the order of first
    /// polls is the order of the drafts. Returns where it stands, if it is stored.
    pub(super) async fn post(&self, to: Arc<dyn Room>, draft: Draft) -> Option<u64> {
        let (c, room, key) = (self.c.clone(), name(to.id()), Name::from(draft.key.to_string()));
        let (user, hash) = (self.user.name.clone(), hash(&draft.body));
        self.recorder.add(Event::Send(Sent { c: c.clone(), user, room: room.clone(), key: key.clone(), hash }));
        let (event, seq) = match to.post(draft).await {
            Ok(Posted::Stored { seq, id }) => {
                let seq = seq.get();
                (Event::Ack(Acked { c, room, key, seq, id: id.to_string().into() }), Some(seq))
            }
            Err(error) if !error.code.is_retryable() => {
                (Event::Nack(Refused { c, room, key, code: error.code.name().into() }), None)
            }
            _ => (Event::Info(Unknown { c, room, key }), None),
        };
        self.recorder.add(event);
        seq
    }

    /// Asks the stock bot, and writes down what becomes of that.
    pub(super) async fn ask(&self, at: Arc<dyn Room>) {
        let draft = self.hub.draft_text(QUESTION);
        let (c, room, key) = (self.c.clone(), name(at.id()), Name::from(draft.key.to_string()));
        // As the engine derives it: two answers under one key cannot be stored.
        let reply = Name::from(draft.key.derive(&format!("reply:{}", self.user.name)).to_string());
        self.owed.lock().insert(reply.clone());
        self.recorder.add(Event::Command(Asking {
            c: c.clone(),
            user: self.user.name.clone(),
            room: room.clone(),
            key: key.clone(),
            bot: BOT.into(),
            reply: reply.clone(),
            notice: hash(&Body::Text(Text::new(NOTICE))),
        }));
        let answered = at.post(draft).await;
        if !matches!(answered, Ok(Posted::Accepted)) {
            self.owed.lock().remove(&reply);
        }
        self.recorder.add(match answered {
            Ok(Posted::Accepted) => Event::Accepted(Unknown { c, room, key }),
            Err(error) if !error.code.is_retryable() => {
                Event::Nack(Refused { c, room, key, code: error.code.name().into() })
            }
            _ => Event::Info(Unknown { c, room, key }),
        });
    }

    /// Tells whether an answer of a bot is to come.
    pub(super) fn is_owed(&self) -> bool {
        !self.owed.lock().is_empty()
    }

    fn hears(&self, event: Told) {
        let (c, user) = (self.c.clone(), self.user.name.clone());
        match event {
            Told::Entry(entry) if self.knows(entry.room) => {
                self.owed.lock().remove(&*entry.key.to_string());
                self.recorder.add(Event::Recv(self.received(&entry)));
                self.stands(entry.room, Some(entry.seq.get()));
            }
            Told::Followed { room, head } if self.knows(room) => {
                self.recorder.add(Event::Sub(Followed { c, user, room: name(room), from: head.get() }));
                self.stands(room, Some(head.get()));
            }
            Told::Unfollowed { room, why } if self.knows(room) => {
                self.recorder.add(Event::Unsub(Unfollowed { c, room: name(room), why: why.name().into() }));
                self.stands(room, None);
            }
            Told::Gap { room, from, to, why } if self.knows(room) => {
                let reason = if why == GapReason::NotVisible { "not_visible" } else { "retention" }.into();
                self.recorder.add(Event::Gap(Missing { c, room: name(room), a: from.get(), b: to.get(), reason }));
                self.stands(room, Some(to.get()));
            }
            Told::Reset(room) if self.knows(room) => {
                self.recorder.add(Event::Reset(Restarted { c, room: name(room) }));
                self.stands(room, None);
            }
            _ => {}
        }
    }

    fn knows(&self, room: RoomId) -> bool {
        self.rooms.contains(&room)
    }

    /// Notes where it stands, when that is written: who has arrived has written everything.
    fn stands(&self, room: RoomId, at: Option<u64>) {
        let mut places = self.places.lock();
        match at {
            Some(at) => drop(places.insert(room, at)),
            None => drop(places.remove(&room)),
        }
    }

    fn received(&self, entry: &Entry) -> Received {
        let how = if entry.at.0 < self.tap.began_ms() { How::Replay } else { How::Live };
        Received {
            c: self.c.clone(),
            user: self.user.name.clone(),
            room: name(entry.room),
            seq: entry.seq.get(),
            id: entry.id.to_string().into(),
            key: entry.key.to_string().into(),
            hash: hash(&entry.body),
            how,
        }
    }
}

/// Returns a room's name in the history.
pub(super) fn name(room: RoomId) -> Name {
    room.to_string().into()
}

/// Returns a body's hash in the history.
pub(super) fn hash(body: &Body) -> Name {
    hex::encode(BodyHash::of(body).0).into()
}
