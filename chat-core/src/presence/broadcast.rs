//! Who is online, over any broker: each node tells the others.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, future::join, stream::BoxStream};
use parking_lot::Mutex;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    Lease, Presence, PresenceError,
    roster::{Roster, Word},
};
use crate::{
    broker::{Broker, BrokerError, BrokerErrorKind, Heard, Link, Topic},
    clock::{self, SystemEntropy},
    model::{NodeId, UserId},
    seal::Seal,
};

/// How long a node's users stay online without word from it: three refreshes of 10 s.
const LEASE: Duration = Duration::from_secs(30);
/// A broker that does not take a word in this time loses it. The next beat shows what was missed.
const SPEAK_WITHIN: Duration = Duration::from_secs(2);
/// A broker that does not listen in this time is asked again, after as long.
const LISTEN_WITHIN: Duration = Duration::from_secs(2);
/// How often to see whether something is to be said, without being told of it: an answer may have been put off.
const LOOK: Duration = Duration::from_secs(1);
/// The version of these payloads, apart from those of hints.
const VERSION: u8 = 2;

/// Knows who is online on the nodes of a cluster by what they tell each other over its broker; nothing else is needed.
///
/// A node says what changes, and every 10 s that it is there; whoever missed a change asks for all of that node's
/// users. Others know of a change a moment later, and of a node's death when its lease of 30 s is over, each by its own
/// clock. While the broker is down, nodes do not see each other's users after that.
///
/// ```
/// use chat_core::{memory::MemoryBroker, presence::BrokerPresence};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), chat_core::broker::BrokerError> {
/// let broker = MemoryBroker::new();
/// let presence = BrokerPresence::attach(&broker, Some(b"the secret of the cluster")).await?;
/// # drop(presence);
/// # Ok(())
/// # }
/// ```
pub struct BrokerPresence {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    roster: Mutex<Roster>,
    seal: Seal,
    link: Arc<dyn Link>,
    /// One speaks at a time, so that changes are said in their order.
    turn: tokio::sync::Mutex<()>,
}

impl BrokerPresence {
    /// Joins the others with the cluster's secret: then only who knows it is believed. Without one, everybody is.
    pub async fn attach(broker: &dyn Broker, secret: Option<&[u8]>) -> Result<Self, BrokerError> {
        Self::attach_with_lease(broker, secret, LEASE).await
    }

    /// Joins the others with other leases than 30 s, for tests; the same on all nodes.
    pub async fn attach_with_lease(
        broker: &dyn Broker,
        secret: Option<&[u8]>,
        lease: Duration,
    ) -> Result<Self, BrokerError> {
        let attached = broker.attach(NodeId::random(clock::bytes(&SystemEntropy))).await?;
        let shared = Arc::new(Shared {
            roster: Mutex::new(Roster::new(lease)),
            seal: Seal::new(VERSION, secret),
            link: attached.link,
            turn: tokio::sync::Mutex::default(),
        });
        let listens = shared.listen().await;
        shared.speak().await;
        let hears = shared.clone();
        let task = tokio::spawn(async move {
            join(hears.listen_unless(listens), hears.hear(attached.heard)).await;
        });
        Ok(Self { shared, task: task.abort_handle() })
    }
}

impl Drop for BrokerPresence {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for BrokerPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerPresence").finish_non_exhaustive()
    }
}

impl Shared {
    /// Begins to hear the others. Returns whether the broker does it.
    async fn listen(&self) -> bool {
        let listening = match timeout(LISTEN_WITHIN, self.link.listen(&[Topic::PRESENCE])).await {
            Ok(listening) => listening,
            Err(_) => Err(BrokerError::new(BrokerErrorKind::Unavailable, "the broker hangs")),
        };
        if let Err(error) = &listening {
            tracing::warn!(%error, "the other nodes' users are not known before the broker is back");
        }
        listening.is_ok()
    }

    /// Tries it again until it succeeds.
    async fn listen_unless(&self, mut listens: bool) {
        while !listens {
            sleep(LISTEN_WITHIN).await;
            listens = self.listen().await;
        }
    }

    /// Says what there is to say. It may be lost: a beat shows by its number that something was missed.
    async fn speak(&self) {
        let _turn = self.turn.lock().await;
        let words = self.roster.lock().speak(Instant::now());
        let payload = |word: &Word| serde_json::to_vec(word).ok().map(|body| self.seal.close(&body));
        let batch: Vec<(Topic, Bytes)> =
            words.iter().filter_map(payload).map(|bytes| (Topic::PRESENCE, bytes)).collect();
        if batch.is_empty() {
            return;
        }
        match timeout(SPEAK_WITHIN, self.link.publish(&batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "other nodes were not told who is online"),
            Err(late) => tracing::debug!(%late, "other nodes were not told who is online"),
        }
    }

    /// Hears the others, and answers, until the stream ends or the task is aborted.
    async fn hear(&self, mut heard: BoxStream<'static, Heard>) {
        loop {
            match timeout(LOOK, heard.next()).await {
                Ok(Some(Heard::Payload { bytes, .. })) => self.take(&bytes),
                Ok(Some(Heard::Interrupted)) => self.roster.lock().doubt(),
                Ok(None) => return,
                Err(_) => {}
            }
            self.speak().await;
        }
    }

    fn take(&self, payload: &[u8]) {
        let Some((body, sealed)) = self.seal.open(payload) else { return };
        if !sealed && self.seal.can_seal() {
            metrics::counter!("chat_hints_unreadable_total").increment(1);
            return;
        }
        if let Ok(word) = serde_json::from_slice(body) {
            self.roster.lock().hear(word, Instant::now());
        }
    }
}

#[async_trait]
impl Presence for BrokerPresence {
    async fn enter(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.shared.roster.lock().enter(node, users, Instant::now());
        self.shared.speak().await;
        Ok(())
    }

    async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.shared.roster.lock().leave(node, users);
        self.shared.speak().await;
        Ok(())
    }

    async fn refresh(&self, node: NodeId) -> Result<Lease, PresenceError> {
        let lease = self.shared.roster.lock().refresh(node, Instant::now());
        self.shared.speak().await;
        Ok(lease)
    }

    async fn online(&self, users: &[UserId]) -> Result<Vec<bool>, PresenceError> {
        Ok(self.shared.roster.lock().online(users, Instant::now()))
    }
}
