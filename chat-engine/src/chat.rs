//! A chat, opened and put together.

use std::{fmt, sync::Arc, time::Duration};

use chat_core::{
    Authenticator, Broker, BuildError, Command, Engine, EngineBuilder, Identity, Limits, LocalHub, Policy, Presence,
    RemoteCommand, Retention, Store, WorkQueue, broker::Bridge, presence::BrokerPresence, store::FullStore,
};
#[cfg(feature = "axum")]
use chat_transport_ws::{WsConfig, WsServer};

use crate::{OpenError, Source, hybrid, open};

/// Is a chat: one node of it, in this process. Cheap to clone; the last clone's drop ends it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), chat_engine::OpenError> {
/// let chat = chat_engine::Chat::open("memory:").await?;
/// assert!(chat.engine().is_ready().await);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Chat {
    engine: Engine,
    queue: Option<Arc<dyn WorkQueue>>,
    // One per chat: a message is encoded once per server.
    #[cfg(feature = "axum")]
    ws: WsServer,
}

impl Chat {
    /// Opens a chat on this store, with the defaults for everything else: one process, nothing installed.
    pub async fn open(store: impl Into<Source<dyn Store>>) -> Result<Self, OpenError> {
        Self::builder().store(store).build().await
    }

    /// Begins to put a chat together. Without further calls it lives in memory.
    pub fn builder() -> ChatBuilder {
        ChatBuilder {
            engine: Engine::builder(),
            store: "memory:".into(),
            messages: None,
            broker: None,
            bridge: None,
            presence: None,
            queue: None,
            remote: Vec::new(),
            secret: None,
            #[cfg(feature = "axum")]
            ws: WsConfig::default(),
        }
    }

    /// Returns the engine, for transports and for what this type does not cover.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the chat as one user has it: rooms, posting, history, events, without a socket between.
    pub fn hub(&self, identity: Identity) -> LocalHub {
        self.engine.hub(identity)
    }

    /// Returns the work queue, if one was given.
    pub fn queue(&self) -> Option<&Arc<dyn WorkQueue>> {
        self.queue.as_ref()
    }

    /// Ends in order: no new sessions, everything taken is stored, sessions are advised to resume elsewhere.
    ///
    /// Call it when the process is told to stop, before the listener is closed. Returns when done or after `grace`.
    pub async fn drain(&self, grace: Duration) {
        #[cfg(feature = "axum")]
        let started = tokio::time::Instant::now();
        self.engine.drain(grace).await;
        #[cfg(feature = "axum")]
        self.ws.closed(grace.saturating_sub(started.elapsed())).await;
    }

    /// Returns the WebSocket server, for a listener or a route of the host's own.
    #[cfg(feature = "axum")]
    pub fn ws(&self) -> &WsServer {
        &self.ws
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").finish_non_exhaustive()
    }
}

/// Puts a chat together.
///
/// What it is made of is given by URL or ready-made:
///
/// ```
/// use chat_engine::{Chat, CommandError, Invocation, Limits, Reply};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), chat_engine::OpenError> {
/// async fn roll(_: Invocation) -> Result<Reply, CommandError> {
///     Ok(Reply::Say("you rolled a 4".into()))
/// }
///
/// let chat = Chat::builder()
///     .store("memory:")
///     .presence("memory:")
///     .command("roll", "rolls a die", roll)
///     .limits(Limits::default())
///     .build()
///     .await?;
/// # drop(chat);
/// # Ok(())
/// # }
/// ```
pub struct ChatBuilder {
    engine: EngineBuilder,
    store: Source<dyn Store>,
    messages: Option<Source<dyn FullStore>>,
    broker: Option<Source<dyn Broker>>,
    bridge: Option<Source<dyn Broker>>,
    presence: Option<Source<dyn Presence>>,
    queue: Option<Source<dyn WorkQueue>>,
    remote: Vec<(String, String)>,
    secret: Option<Vec<u8>>,
    #[cfg(feature = "axum")]
    ws: WsConfig,
}

impl ChatBuilder {
    /// Keeps logs and rooms here. Default: `memory:`.
    #[must_use]
    pub fn store(mut self, store: impl Into<Source<dyn Store>>) -> Self {
        self.store = store.into();
        self
    }

    /// Keeps the logs, and with them all messages, here, and only rooms, members and read marks in the
    /// [store](Self::store), which follows: see [`Hybrid`](chat_core::store::Hybrid). Default: all in one.
    #[must_use]
    pub fn messages(mut self, messages: impl Into<Source<dyn FullStore>>) -> Self {
        self.messages = Some(messages.into());
        self
    }

    /// Sends hints to other nodes through this. Default: none, a single node.
    #[must_use]
    pub fn broker(mut self, broker: impl Into<Source<dyn Broker>>) -> Self {
        self.broker = Some(broker.into());
        self
    }

    /// Speaks to this broker, too, and hears both, for the time in which a cluster moves from the
    /// [broker](Self::broker) to this one: see [`Bridge`]. Default: none.
    #[must_use]
    pub fn bridge(mut self, other: impl Into<Source<dyn Broker>>) -> Self {
        self.bridge = Some(other.into());
        self
    }

    /// Shares who is online through this. Default: the nodes tell each other over the broker, if there is one.
    #[must_use]
    pub fn presence(mut self, presence: impl Into<Source<dyn Presence>>) -> Self {
        self.presence = Some(presence.into());
        self
    }

    /// Hands work to bots and other workers through this; see [`Chat::queue`]. Default: none.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<Source<dyn WorkQueue>>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Decides by these rules. Default: [`Members`](chat_core::Members).
    #[must_use]
    pub fn policy(self, policy: impl Policy + 'static) -> Self {
        self.engine(|engine| engine.policy(Arc::new(policy)))
    }

    /// Authenticates clients that bring a token. Behind [`Chat::router`] there is no need: the host says who asks.
    #[must_use]
    pub fn authenticator(self, authenticator: impl Authenticator + 'static) -> Self {
        self.engine(|engine| engine.authenticator(Arc::new(authenticator)))
    }

    /// Adds a slash command that runs in this process.
    #[must_use]
    pub fn command(self, name: &str, help: &str, command: impl Command + 'static) -> Self {
        self.engine(|engine| engine.command(name, help, command))
    }

    /// Adds a slash command that a [`BotRunner`](chat_core::BotRunner) carries out, wherever it consumes the same
    /// [queue](Self::queue). To check arguments here, give a [`RemoteCommand`] to [`command`](Self::command) instead.
    #[must_use]
    pub fn remote_command(mut self, name: &str, help: &str) -> Self {
        self.remote.push((name.to_owned(), help.to_owned()));
        self
    }

    /// Signs what nodes and workers tell each other; at least 16 bytes, the same on all nodes.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        let secret = secret.into();
        self.secret = Some(secret.clone());
        self.engine(|engine| engine.secret(secret))
    }

    /// Sets other limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.engine(|engine| engine.limits(limits))
    }

    /// Forgets what is older or more than this, in every room. Default: everything is kept. To decide for each room, use
    /// [`EngineBuilder::retention_by`] through [`engine`](Self::engine).
    #[must_use]
    pub fn retention(self, retention: Retention) -> Self {
        self.engine(|engine| engine.retention(retention))
    }

    /// Sets other limits of connections, and which pages may connect.
    #[cfg(feature = "axum")]
    #[must_use]
    pub fn ws(mut self, config: WsConfig) -> Self {
        self.ws = config;
        self
    }

    /// Opens everything and starts the chat.
    pub async fn build(self) -> Result<Chat, OpenError> {
        let mut store = self.store.open(open::store).await?;
        if let Some(messages) = self.messages {
            store = hybrid::join(messages.open(open::full_store).await?, store).await?;
        }
        let mut engine = self.engine.store(store);
        let broker = match self.broker {
            Some(broker) => Some(broker.open(open::broker).await?),
            None => None,
        };
        let broker = match (broker, self.bridge) {
            (Some(broker), Some(other)) => {
                Some(Arc::new(Bridge::new(broker, other.open(open::broker).await?)) as Arc<dyn Broker>)
            }
            (None, Some(_)) => return Err(OpenError::BrokerMissing),
            (broker, None) => broker,
        };
        engine = match (self.presence, &broker) {
            (Some(presence), _) => engine.presence(presence.open(open::presence).await?),
            (None, Some(broker)) => {
                let presence = BrokerPresence::attach(&**broker, self.secret.as_deref()).await;
                engine.presence(Arc::new(presence.map_err(BuildError::from)?))
            }
            (None, None) => engine,
        };
        if let Some(broker) = broker {
            engine = engine.broker(broker);
        }
        let queue = match self.queue {
            Some(queue) => Some(queue.open(open::queue).await?),
            None => None,
        };
        for (name, help) in self.remote {
            let Some(queue) = queue.clone() else { return Err(OpenError::QueueMissing { command: name }) };
            engine = engine.command(&name, &help, RemoteCommand::new(queue));
        }
        let engine = engine.build().await?;
        Ok(Chat {
            #[cfg(feature = "axum")]
            ws: WsServer::new(engine.clone(), self.ws),
            engine,
            queue,
        })
    }

    /// Sets something of the engine that [`ChatBuilder`] has no word for, such as a clock.
    #[must_use]
    pub fn engine(mut self, set: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Self {
        self.engine = set(self.engine);
        self
    }
}

/// Shows where things come from, without passwords and without the secret.
impl fmt::Debug for ChatBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatBuilder")
            .field("store", &self.store)
            .field("messages", &self.messages)
            .field("broker", &self.broker)
            .field("bridge", &self.bridge)
            .field("presence", &self.presence)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
