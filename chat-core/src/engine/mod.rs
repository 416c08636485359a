//! The engine: what joins the ports and the fan-out.
//!
//! One message's path, file by file: `session` takes it from a transport, `post` checks it and hands it to its room's
//! lane, `recorder` judges (`judge`), appends and acknowledges it, [`fanout`](crate::fanout) puts it in order and hands
//! it to everybody on this node, `relay` tells the other nodes. Beside that path: `follow` is how sessions come to
//! receive a room, from their `place` in it; `poll` finds what no hint announced, and `repair` reads it; `commands` carries
//! out slash commands, `presence` knows who is online, `drain` ends it all in order.

mod builder;
mod check;
mod commands;
mod drain;
mod follow;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod greet;
mod hint;
mod hub;
mod judge;
mod limits;
mod local;
mod people;
mod place;
mod poll;
mod post;
mod presence;
mod reads;
mod recorder;
mod relay;
mod repair;
mod restored;
mod retain;
mod session;
#[cfg(test)]
mod splice;
mod submission;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    auth::Authenticator,
    clock::{self, Clock, Entropy},
    command::Registry,
    fanout::{Encoding, Outbox, Rooms, Seat},
    model::{EntryId, Key, NodeId, Notice, RoomId, UserId},
    policy::Policy,
    presence::Presence,
    protocol::{Features, HubError},
    retention::Rule,
    store::Store,
};

pub use builder::{BuildError, EngineBuilder};
pub use hub::LocalHub;
pub use limits::Limits;
pub use reads::{CatchUp, Version};
pub use session::{Flow, Peer, Session};

/// Clients are told this long before their authentication ends.
const EXPIRY_WARNING_MS: i64 = 60_000;
/// How often expiry is looked at.
const EXPIRY_LOOK: Duration = Duration::from_secs(1);

/// A store that takes longer for the smallest of questions does not answer.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Is one node of a chat. Cheap to clone; the drop of the last clone, sessions and hubs included, ends its tasks.
#[derive(Clone)]
pub struct Engine(Arc<Running>);

/// Ends the tasks with the last engine; the tasks themselves hold only [`Inner`].
struct Running {
    inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Is what all parts of one engine share.
struct Inner {
    node: NodeId,
    store: Arc<dyn Store>,
    presence: Arc<dyn Presence>,
    policy: Arc<dyn Policy>,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limits: Limits,
    retention: Rule,
    features: Features,
    commands: Registry,
    pending: commands::Pending,
    /// Signs tickets: the cluster's secret, or a random one where no other process answers.
    ticket_secret: Vec<u8>,
    rooms: Arc<Rooms>,
    lanes: Vec<recorder::Lane>,
    relay: Arc<relay::Relay>,
    people: people::People,
    /// The users this node has told the presence store about.
    present: Mutex<BTreeSet<UserId>>,
    /// Those whose coming or going the presence store could not be told.
    presence_untold: Mutex<BTreeSet<UserId>>,
    watches: presence::Watches,
    seats: Mutex<BTreeMap<u64, Arc<Seat>>>,
    /// The outboxes of connections that have not said hello yet: a drain closes them, too.
    strangers: Mutex<BTreeMap<u64, Arc<dyn Outbox>>>,
    seat_gone: Notify,
    numbers: AtomicU64,
    poll_now: Notify,
    work: drain::Work,
    draining: AtomicBool,
    /// The drain has come to closing sessions: who is seated from now on is closed at once.
    closing: AtomicBool,
    store_answers: AtomicBool,
    doubts: restored::Doubts,
    no_bytes: Arc<dyn Encoding>,
}

impl Engine {
    /// Begins to put an engine together. Without further calls: in memory, one node.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Returns what this engine allows.
    pub fn limits(&self) -> &Limits {
        &self.inner().limits
    }

    /// Tells whether this node should get sessions: it is not draining, and its store answers, which is asked.
    pub async fn is_ready(&self) -> bool {
        let inner = self.inner();
        if inner.draining.load(Ordering::Acquire) {
            return false;
        }
        let any = [RoomId::inbox(&UserId::system())];
        let answers = match tokio::time::timeout(READY_WITHIN, inner.store.heads(&any)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                inner.store_failed(&error);
                false
            }
            Err(_) => false,
        };
        inner.store_answers(answers);
        answers
    }

    /// Takes authentication back: of one login of a user, or of all. Ends the sessions concerned on every node, by
    /// hint, and within one head poll where the hint is lost.
    ///
    /// Whoever connects later with what was given before this is refused if their [`Identity`](crate::Identity) says
    /// when it was given, as that of a JSON Web Token does; else it is the [`Authenticator`] that must refuse them. That
    /// is known for as long as the user's inbox keeps this entry.
    pub async fn revoke(&self, user: &UserId, login: Option<&str>) -> Result<(), HubError> {
        let inner = self.inner();
        let cause = Key::new(inner.clock.now().0, clock::bytes(&*inner.entropy));
        inner.tell_inbox(user, cause, Notice::Revoked { login: login.map(Into::into) }).await
    }

    /// Ends the node's work in order: refuses what is new, stores and answers what was taken, closes the sessions with
    /// advice to resume elsewhere, leaves presence and broker. Returns when that is done, or after `grace`.
    pub async fn drain(&self, grace: Duration) {
        self.inner().drain(grace).await;
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.0.inner
    }
}

impl Inner {
    /// Returns the lane of a room.
    fn lane(&self, room: RoomId) -> &recorder::Lane {
        // Room ids are random or hashes: any byte spreads them evenly.
        &self.lanes[usize::from(room.as_bytes()[0]) % self.lanes.len()]
    }

    fn entry_id(&self) -> EntryId {
        EntryId::new(self.clock.now().0, clock::bytes(&*self.entropy))
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn seats(&self) -> Vec<Arc<Seat>> {
        self.seats.lock().values().cloned().collect()
    }

    /// Notes whether the store answers. Only a change is logged: while it is away, everything that is asked fails.
    fn store_answers(&self, answers: bool) {
        match (self.store_answers.swap(answers, Ordering::AcqRel), answers) {
            (true, false) => tracing::warn!("the store does not answer"),
            (false, true) => tracing::info!("the store answers again"),
            _ => {}
        }
    }
}

/// Warns and closes sessions whose authentication ends, until the task is aborted with the engine.
async fn expire(engine: Arc<Inner>) {
    let mut tick = tokio::time::interval(EXPIRY_LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = engine.clock.now();
        engine.seats().iter().for_each(|seat| seat.expire(now, EXPIRY_WARNING_MS));
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("node", &self.inner().node).finish_non_exhaustive()
    }
}
