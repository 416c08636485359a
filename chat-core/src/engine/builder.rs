//! Putting an engine together.

use std::{fmt, future::Future, sync::Arc};

use parking_lot::Mutex;

use super::{
    Engine, Inner, Limits, Running, commands, drain,
    hint::Sealer,
    hub,
    people::People,
    poll, presence, recorder,
    relay::{self, Relay},
    retain,
};
use crate::{
    auth::{Authenticator, NoTokens},
    broker::{Broker, BrokerError},
    clock::{self, Clock, Entropy, SystemClock, SystemEntropy},
    command::{Command, Registry},
    fanout::Rooms,
    memory::{MemoryPresence, MemoryStore},
    model::{NodeId, RoomRecord},
    policy::{Members, Policy},
    presence::Presence,
    protocol::Features,
    queue::WorkQueue,
    retention::{Retention, Rule},
    store::Store,
};

/// A shorter secret could be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// Says what is wrong with what an engine is to be built of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The broker refused the node.
    #[error("the broker does not take this node")]
    Broker(#[from] BrokerError),
    /// Replies that come over a network queue cannot be told from forged ones without a secret.
    #[error("a networked work queue needs a secret: call EngineBuilder::secret")]
    SecretMissing,
    /// The secret is shorter than 16 bytes.
    #[error("the secret is shorter than 16 bytes")]
    SecretShort,
    /// A command's name is not 1 to 32 of `a-z 0-9 _ -`, or is given twice.
    #[error("the command name {0:?} is not allowed or given twice")]
    CommandName(String),
}

/// Puts an engine together; [`EngineBuilder::build`] starts it.
pub struct EngineBuilder {
    store: Option<Arc<dyn Store>>,
    broker: Option<Arc<dyn Broker>>,
    presence: Option<Arc<dyn Presence>>,
    policy: Arc<dyn Policy>,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    secret: Option<Vec<u8>>,
    limits: Limits,
    retention: Option<Rule>,
    commands: Vec<(String, String, Arc<dyn Command>)>,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            store: None,
            broker: None,
            presence: None,
            policy: Arc::new(Members::default()),
            authenticator: Arc::new(NoTokens),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            secret: None,
            limits: Limits::default(),
            retention: None,
            commands: Vec::new(),
        }
    }
}

impl EngineBuilder {
    /// Keeps logs and rooms here. Default: memory.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sends hints to other nodes through this. Default: none, a single node.
    #[must_use]
    pub fn broker(mut self, broker: Arc<dyn Broker>) -> Self {
        self.broker = Some(broker);
        self
    }

    /// Shares who is online through this. Default: memory.
    #[must_use]
    pub fn presence(mut self, presence: Arc<dyn Presence>) -> Self {
        self.presence = Some(presence);
        self
    }

    /// Decides by these rules. Default: [`Members`].
    #[must_use]
    pub fn policy(mut self, policy: Arc<dyn Policy>) -> Self {
        self.policy = policy;
        self
    }

    /// Authenticates tokens with this. Default: no tokens.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = authenticator;
        self
    }

    /// Signs what nodes and workers tell each other, at least 16 bytes, the same in a whole cluster. Without it
    /// hints carry no messages, only numbers, and a networked queue is refused.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Adds a slash command; `help` is one line for people. It runs in this process, or, given a
    /// [`RemoteCommand`](crate::command::RemoteCommand), wherever a [`BotRunner`](crate::command::BotRunner) consumes its queue.
    #[must_use]
    pub fn command(mut self, name: &str, help: &str, command: impl Command + 'static) -> Self {
        self.commands.push((name.to_owned(), help.to_owned(), Arc::new(command)));
        self
    }

    /// Sets other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Forgets what is older or more than this, in every room. Default: everything is kept.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        if retention == Retention::forever() {
            self.retention = None; // then there is nothing to look for
            return self;
        }
        self.retention_by(move |_| retention)
    }

    /// Forgets what a room keeps no longer by what is known of it: its name, its data, who may see it.
    #[must_use]
    pub fn retention_by(mut self, rule: impl Fn(&RoomRecord) -> Retention + Send + Sync + 'static) -> Self {
        self.retention = Some(Arc::new(rule));
        self
    }

    /// Takes the time of day from this.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes random bytes from this.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Starts the engine, inside a tokio runtime.
    pub async fn build(self) -> Result<Engine, BuildError> {
        let (commands, features) = self.commands()?;
        let ticket_secret = self.ticket_secret()?;
        let queues_of_replies = self.queues();
        let retains = self.retention.is_some();
        let node = NodeId::random(clock::bytes(&*self.entropy));
        let (link, heard) = match &self.broker {
            Some(broker) => {
                let attached = broker.attach(node).await?;
                (Some(attached.link), Some(attached.heard))
            }
            None => (None, None),
        };
        let relay = Arc::new(Relay::new(node, link.clone(), Sealer::new(self.secret.as_deref())));
        let watch = relay.clone();
        let rooms = Rooms::new(self.limits.ring_entries, Box::new(move |room, live| watch.watch(room, live)));
        let (lanes, queues): (Vec<_>, Vec<_>) =
            (0..self.limits.lanes.max(1)).map(|_| recorder::Lane::new(self.limits.lane_queue_max)).unzip();
        let inner = Arc::new(Inner {
            node,
            store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::default())),
            presence: self.presence.unwrap_or_else(|| Arc::new(MemoryPresence::default())),
            policy: self.policy,
            authenticator: self.authenticator,
            clock: self.clock,
            entropy: self.entropy,
            people: People::new(&self.limits),
            limits: self.limits,
            retention: self.retention.unwrap_or_else(|| Arc::new(|_| Retention::forever())),
            features,
            commands,
            pending: commands::Pending::default(),
            ticket_secret,
            rooms,
            lanes,
            relay,
            present: Mutex::default(),
            presence_untold: Mutex::default(),
            watches: presence::Watches::default(),
            seats: Mutex::default(),
            strangers: Mutex::default(),
            seat_gone: tokio::sync::Notify::new(),
            numbers: 1.into(),
            poll_now: tokio::sync::Notify::new(),
            work: drain::Work::default(),
            draining: false.into(),
            closing: false.into(),
            store_answers: true.into(),
            doubts: super::restored::Doubts::default(),
            no_bytes: hub::no_bytes(),
        });
        let mut tasks = Tasks::default();
        for queue in queues {
            tasks.start(recorder::run(inner.clone(), queue));
        }
        tasks.start(poll::run(inner.clone()));
        tasks.start(presence::refresh(inner.clone()));
        tasks.start(presence::tell(inner.clone()));
        tasks.start(super::expire(inner.clone()));
        if retains {
            tasks.start(retain::run(inner.clone()));
        }
        if let (Some(link), Some(heard)) = (link, heard) {
            tasks.start(relay::speak(inner.clone(), link.clone()));
            tasks.start(relay::tune(inner.clone(), link));
            tasks.start(relay::hear(inner.clone(), heard));
        }
        for queue in queues_of_replies {
            tasks.start(commands::consume(inner.clone(), queue));
        }
        Ok(Engine(Arc::new(Running { inner, tasks: tasks.0 })))
    }

    fn commands(&self) -> Result<(Registry, Features), BuildError> {
        let limits = &self.limits;
        let mut features = Features::new(limits.frame_bytes_max, limits.text_chars_max, limits.rooms_per_session_max);
        let mut registry = Registry::default();
        for (name, help, command) in &self.commands {
            registry.add(name, help, command.clone()).map_err(|_| BuildError::CommandName(name.clone()))?;
            features.commands.push((name.clone(), help.clone()));
        }
        Ok((registry, features))
    }

    /// Returns the queues over which replies of commands come, each once.
    fn queues(&self) -> Vec<Arc<dyn WorkQueue>> {
        let mut queues: Vec<Arc<dyn WorkQueue>> = Vec::new();
        for queue in self.commands.iter().filter_map(|(.., command)| command.replies_over()) {
            if !queues.iter().any(|known| Arc::ptr_eq(known, &queue)) {
                queues.push(queue);
            }
        }
        queues
    }

    /// Returns what tickets are signed with. Where all workers are in this process, a random secret will do.
    fn ticket_secret(&self) -> Result<Vec<u8>, BuildError> {
        match &self.secret {
            Some(secret) if secret.len() < SECRET_BYTES_MIN => Err(BuildError::SecretShort),
            Some(secret) => Ok(secret.clone()),
            None if self.queues().iter().any(|queue| queue.is_networked()) => Err(BuildError::SecretMissing),
            None => Ok(clock::bytes::<32>(&*self.entropy).to_vec()),
        }
    }
}

/// Gathers the handles of an engine's tasks.
#[derive(Default)]
struct Tasks(Vec<tokio::task::AbortHandle>);

impl Tasks {
    fn start(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(task).abort_handle());
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}
