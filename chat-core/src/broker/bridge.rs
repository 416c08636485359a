//! Two brokers as one, for the time in which a cluster moves from one to the other.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, future, stream};
use tokio::time::timeout;

use super::{Attached, Broker, BrokerError, BrokerErrorKind, Link, Topic};
use crate::model::NodeId;

/// One broker that hangs holds up what the other carries for this long: less than a head poll takes.
const PUBLISH_WITHIN: Duration = Duration::from_millis(250);
/// One broker that hangs holds up what is listened to at the other for this long. Told of all topics at once, RabbitMQ
/// needs 0.3 s on a busy machine; it must not be so short that a slow one is told the same for ever.
const TUNE_WITHIN: Duration = Duration::from_secs(2);

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
        let sides = [Side::new("first", one.link), Side::new("second", other.link)];
        Ok(Attached { link: Arc::new(Lanes { sides }), heard })
    }
}

/// Is one node's place at both.
struct Lanes {
    sides: [Side; 2],
}

/// Is its place at one of the two, and how patient we are with it. A broker may hang in one kind of call alone.
struct Side {
    link: Arc<dyn Link>,
    listening: Patience,
    ignoring: Patience,
    publishing: Patience,
}

impl Side {
    fn new(name: &'static str, link: Arc<dyn Link>) -> Self {
        let patience = |within, call| Patience { within, call, name, gave_up: AtomicBool::new(false) };
        Self {
            link,
            listening: patience(TUNE_WITHIN, "listen"),
            ignoring: patience(TUNE_WITHIN, "ignore"),
            publishing: patience(PUBLISH_WITHIN, "publish"),
        }
    }
}

/// Waits for the answers of one side to one kind of call.
struct Patience {
    within: Duration,
    call: &'static str,
    name: &'static str,
    gave_up: AtomicBool,
}

impl Patience {
    async fn wait(&self, call: impl Future<Output = Result<(), BrokerError>>) -> Result<(), BrokerError> {
        if let Ok(answer) = timeout(self.within, call).await {
            if answer.is_ok() {
                self.gave_up.store(false, Relaxed);
            }
            return answer;
        }
        if self.gives_up() {
            let Self { within, call, name, .. } = self;
            tracing::warn!(side = name, call, ?within, "a broker of a bridge hangs: the other goes on without it");
        }
        Err(BrokerError::new(BrokerErrorKind::Unavailable, "a broker of a bridge hangs"))
    }

    /// Tells whether this is the first call without an answer since one went well: that it hangs is logged once.
    fn gives_up(&self) -> bool {
        !self.gave_up.swap(true, Relaxed)
    }
}

#[async_trait]
impl Link for Lanes {
    /// Fails if either does, so that both are told again.
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        let [one, other] = self.sides.each_ref().map(|side| side.listening.wait(side.link.listen(topics)));
        let (one, other) = future::join(one, other).await;
        one.and(other)
    }

    /// Fails if either does, so that both are told again.
    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        let [one, other] = self.sides.each_ref().map(|side| side.ignoring.wait(side.link.ignore(topics)));
        let (one, other) = future::join(one, other).await;
        one.and(other)
    }

    /// Fails only if both do.
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        let [one, other] = self.sides.each_ref().map(|side| side.publishing.wait(side.link.publish(batch)));
        let (one, other) = future::join(one, other).await;
        one.or_else(|error| other.map_err(|_| error))
    }

    async fn close(&self) {
        let [one, other] = &self.sides;
        future::join(one.link.close(), other.link.close()).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::memory::MemoryBroker;

    #[tokio::test(start_paused = true)]
    async fn a_side_that_hangs_is_told_of_once_an_outage() {
        let Attached { link, heard: _heard } = MemoryBroker::new().attach(NodeId::random([1; 16])).await.unwrap();
        let side = Side::new("first", link);
        let hangs = || side.listening.wait(future::pending());
        assert_eq!(hangs().await.unwrap_err().kind(), BrokerErrorKind::Unavailable);
        assert!(!side.listening.gives_up(), "said again in the same outage");
        let fails = async { Err(BrokerError::new(BrokerErrorKind::Unavailable, "no connection")) };
        side.listening.wait(fails).await.unwrap_err();
        assert!(!side.listening.gives_up(), "it has not come to itself");
        side.listening.wait(side.link.listen(&[])).await.unwrap();
        assert!(side.listening.gives_up(), "not said when it hangs again");
        assert!(side.publishing.gives_up(), "another call may hang, or not");
    }
}
