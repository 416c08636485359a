//! Two brokers as one, for the time in which a cluster moves from one to the other.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, future, stream};
use tokio::time::timeout;

use super::{Attached, Broker, BrokerError, BrokerErrorKind, Link, Topic};
use crate::model::NodeId;

/// One broker that hangs holds up what the other carries for this long: less than a head poll takes.
const PUBLISH_WITHIN: Duration = Duration::from_millis(250);
/// One broker that hangs holds up what is listened to at the other for this long. In this time a broker can be told of
/// all topics.
const TUNE_WITHIN: Duration = Duration::from_secs(1);

/// Speaks to two brokers and hears both.
///
/// A cluster moves from one broker to another without a pause, in two rounds of restarts, a node at a time: first
/// every node from the old one to the bridge, then every node from the bridge to the new one. In each round any two
/// nodes share a broker. What both carry is heard twice, which costs a comparison: the second copy is behind.
///
/// ```
/// use std::sync::Arc;
/// use chat_core::{Broker, broker::Bridge, memory::MemoryBroker};
///
/// let (old, new) = (MemoryBroker::new(), MemoryBroker::new());
/// let bridge: Arc<dyn Broker> = Arc::new(Bridge::new(Arc::new(old), Arc::new(new)));
/// ```
///
/// It works as long as one of the two does. A node that starts must reach both.
#[derive(Clone)]
pub struct Bridge {
    brokers: [Arc<dyn Broker>; 2],
}

impl Bridge {
    /// Joins two brokers.
    pub fn new(one: Arc<dyn Broker>, other: Arc<dyn Broker>) -> Self {
        Self { brokers: [one, other] }
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bridge")
    }
}

#[async_trait]
impl Broker for Bridge {
    async fn attach(&self, node: NodeId) -> Result<Attached, BrokerError> {
        let [one, other] = &self.brokers;
        let one = one.attach(node).await?;
        let other = match other.attach(node).await {
            Ok(other) => other,
            Err(error) => {
                one.link.close().await;
                return Err(error);
            }
        };
        let heard = stream::select(one.heard, other.heard).boxed();
        Ok(Attached { link: Arc::new(Lanes { links: [one.link, other.link] }), heard })
    }
}

/// Is one node's place at both.
struct Lanes {
    links: [Arc<dyn Link>; 2],
}

/// Waits for an answer of one of the two.
async fn within(patience: Duration, call: impl Future<Output = Result<(), BrokerError>>) -> Result<(), BrokerError> {
    let hangs = |_| Err(BrokerError::new(BrokerErrorKind::Unavailable, "a broker of a bridge hangs"));
    timeout(patience, call).await.unwrap_or_else(hangs)
}

#[async_trait]
impl Link for Lanes {
    /// Fails if either does, so that both are told again.
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        let [one, other] = self.links.each_ref().map(|link| within(TUNE_WITHIN, link.listen(topics)));
        let (one, other) = future::join(one, other).await;
        one.and(other)
    }

    /// Fails if either does, so that both are told again.
    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        let [one, other] = self.links.each_ref().map(|link| within(TUNE_WITHIN, link.ignore(topics)));
        let (one, other) = future::join(one, other).await;
        one.and(other)
    }

    /// Fails only if both do.
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        let [one, other] = self.links.each_ref().map(|link| within(PUBLISH_WITHIN, link.publish(batch)));
        let (one, other) = future::join(one, other).await;
        one.or_else(|error| other.map_err(|_| error))
    }

    async fn close(&self) {
        let [one, other] = &self.links;
        future::join(one.close(), other.close()).await;
    }
}
