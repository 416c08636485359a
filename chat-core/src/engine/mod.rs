//! The engine: what joins the ports and the fan-out.

mod clock;
mod hub;
mod limits;

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{
    fanout::{Encoding, Outbox},
    model::Identity,
    protocol::Close,
};

pub use clock::{Clock, Entropy, SystemClock, SystemEntropy};
pub use hub::{CatchUp, LocalHub};
pub use limits::Limits;

/// Says what is wrong with what an engine is to be built of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The broker refused the node.
    #[error("the broker does not take this node")]
    Broker(#[from] crate::broker::BrokerError),
    /// Replies that come over a network queue cannot be told from forged ones without a secret.
    #[error("a command over a networked queue needs a secret: EngineBuilder::secret")]
    SecretMissing,
    /// A command's name is not 1 to 32 of `a-z 0-9 _ -`, or is given twice.
    #[error("the command name {0:?} is not allowed or given twice")]
    CommandName(String),
    /// A work queue refused a consumer.
    #[error("the work queue cannot be consumed")]
    Queue(#[from] crate::queue::QueueError),
}

/// Is one node of a chat. Cheap to clone; the last clone's drop ends its tasks.
#[derive(Clone, Debug)]
pub struct Engine {}

/// Puts an engine together.
#[derive(Debug, Default)]
pub struct EngineBuilder {}

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

/// Is one connection's state: no socket and no task in it. Dropping it ends the session.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// Takes one message of the client: reads, limits and enqueues it. Answers arrive by [`Outbox::push`].
    pub fn receive(&mut self, _message: &[u8]) -> Flow {
        Flow::More
    }

    /// Waits until the next message may be received. Cancel-safe.
    pub async fn ready(&self) {}

    /// Tells that the outbox, which answered [`Push::Full`](crate::Push::Full), has room again.
    pub fn drained(&mut self) {}

    /// Tells whether the client has said hello; until then the transport counts [`Limits::hello_within`].
    pub fn is_greeted(&self) -> bool {
        false
    }
}

impl Engine {
    /// Begins to put an engine together. Without further calls: memory only, one node.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {}
    }

    /// Opens a session for one connection.
    pub fn connect(&self, _peer: Peer, _outbox: Arc<dyn Outbox>, _encoding: Arc<dyn Encoding>) -> Session {
        Session {}
    }

    /// Returns the chat as one user has it.
    pub fn hub(&self, identity: Identity) -> LocalHub {
        LocalHub::new(identity)
    }

    /// Returns what this engine allows.
    pub fn limits(&self) -> &Limits {
        unimplemented!("the engine follows")
    }

    /// Tells whether this node takes sessions: its store answers and it is not draining.
    pub async fn is_ready(&self) -> bool {
        true
    }

    /// Ends the node's work in order: no new sessions, answer what was received, store what was taken, close the
    /// sessions with advice to resume elsewhere, leave presence and broker. Returns when done or after `grace`.
    pub async fn drain(&self, _grace: Duration) {}
}

impl EngineBuilder {
    /// Keeps logs and rooms here. Default: memory.
    #[must_use]
    pub fn store(self, _store: Arc<dyn crate::Store>) -> Self {
        self
    }

    /// Sends hints to other nodes through this. Default: none, a single node.
    #[must_use]
    pub fn broker(self, _broker: Arc<dyn crate::Broker>) -> Self {
        self
    }

    /// Shares who is online through this. Default: memory.
    #[must_use]
    pub fn presence(self, _presence: Arc<dyn crate::Presence>) -> Self {
        self
    }

    /// Decides by these rules. Default: [`Members`](crate::Members).
    #[must_use]
    pub fn policy(self, _policy: Arc<dyn crate::Policy>) -> Self {
        self
    }

    /// Authenticates tokens with this. Default: no tokens.
    #[must_use]
    pub fn authenticator(self, _authenticator: Arc<dyn crate::Authenticator>) -> Self {
        self
    }

    /// Signs what nodes and workers tell each other with this secret, at least 16 bytes, the same in a whole cluster.
    #[must_use]
    pub fn secret(self, _secret: impl Into<Vec<u8>>) -> Self {
        self
    }

    /// Adds a slash command that runs in this process.
    #[must_use]
    pub fn command(self, _name: &str, _help: &str, _command: impl crate::Command + 'static) -> Self {
        self
    }

    /// Sets other limits.
    #[must_use]
    pub fn limits(self, _limits: Limits) -> Self {
        self
    }

    /// Takes the time of day from this.
    #[must_use]
    pub fn clock(self, _clock: Arc<dyn Clock>) -> Self {
        self
    }

    /// Takes random bytes from this.
    #[must_use]
    pub fn entropy(self, _entropy: Arc<dyn Entropy>) -> Self {
        self
    }

    /// Starts the engine.
    pub async fn build(self) -> Result<Engine, BuildError> {
        Ok(Engine {})
    }
}
