//! Hints between the engines of one process.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    broker::{Attached, Broker, BrokerError, BrokerErrorKind, Heard, Link, Topic},
    model::NodeId,
};

/// Payloads kept for one node that does not listen up: a second at a thousand messages a second. A node further
/// behind is quicker with one look at the log.
const BUFFER_MAX: usize = 1_024;

/// Carries hints between the engines of this process that share a clone of it.
#[derive(Clone, Default)]
pub struct MemoryBroker {
    seats: Arc<Mutex<Vec<Arc<Seat>>>>,
}

impl MemoryBroker {
    /// Makes a broker without nodes.
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBroker").field("nodes", &self.seats.lock().len()).finish()
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn attach(&self, _: NodeId) -> Result<Attached, BrokerError> {
        let seat = Arc::new(Seat::default());
        self.seats.lock().push(seat.clone());
        let place = Place { seats: self.seats.clone(), seat };
        let ear = Ear(place.clone());
        let heard = stream::unfold(ear, |ear| async move { ear.0.seat.next().await.map(|heard| (heard, ear)) });
        Ok(Attached { link: Arc::new(place), heard: heard.boxed() })
    }
}

/// Is what the broker keeps for one node.
#[derive(Default)]
struct Seat {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    topics: BTreeSet<Topic>,
    heard: VecDeque<Heard>,
    closed: bool,
}

impl Seat {
    fn hear(&self, batch: &[(Topic, Bytes)]) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let wanted = batch.iter().filter(|(topic, _)| inner.topics.contains(topic));
        let before = inner.heard.len();
        wanted.for_each(|(topic, bytes)| keep(&mut inner.heard, *topic, bytes));
        if inner.heard.len() > before {
            self.changed.notify_one();
        }
    }

    async fn next(&self) -> Option<Heard> {
        loop {
            {
                let mut inner = self.inner.lock();
                if inner.closed {
                    return None;
                }
                if let Some(heard) = inner.heard.pop_front() {
                    return Some(heard);
                }
            }
            self.changed.notified().await;
        }
    }
}

/// Keeps a payload, or marks the place where payloads are missing: once, behind what is kept.
fn keep(heard: &mut VecDeque<Heard>, topic: Topic, bytes: &Bytes) {
    if heard.len() < BUFFER_MAX {
        heard.push_back(Heard::Payload { topic, bytes: bytes.clone() });
    } else if heard.back() != Some(&Heard::Interrupted) {
        heard.push_back(Heard::Interrupted);
    }
}

#[derive(Clone)]
struct Place {
    seats: Arc<Mutex<Vec<Arc<Seat>>>>,
    seat: Arc<Seat>,
}

impl Place {
    fn leave(&self) {
        self.seats.lock().retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        let mut inner = self.seat.inner.lock();
        *inner = Inner { closed: true, ..Inner::default() };
        drop(inner);
        self.seat.changed.notify_one();
    }

    fn open<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> Result<T, BrokerError> {
        let mut inner = self.seat.inner.lock();
        if inner.closed { Err(BrokerError::new(BrokerErrorKind::Closed, "memory broker")) } else { Ok(act(&mut inner)) }
    }
}

#[async_trait]
impl Link for Place {
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.open(|inner| inner.topics.extend(topics))
    }

    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.open(|inner| inner.topics.retain(|topic| !topics.contains(topic)))
    }

    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        self.open(|_| ())?;
        // Under one lock, so that all nodes hear all publishers in one order.
        let seats = self.seats.lock();
        seats.iter().filter(|seat| !Arc::ptr_eq(seat, &self.seat)).for_each(|seat| seat.hear(batch));
        Ok(())
    }

    async fn close(&self) {
        self.leave();
    }
}

/// Gives the place up when nobody hears any more, so that nothing is kept for nobody.
struct Ear(Place);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn topic() -> Topic {
        Topic::new(1).unwrap()
    }

    async fn pair(broker: &MemoryBroker) -> (Attached, Attached) {
        let [speaker, listener] = [1, 2].map(|node| broker.attach(NodeId::random([node; 16])));
        let (speaker, listener) = (speaker.await.unwrap(), listener.await.unwrap());
        listener.link.listen(&[topic()]).await.unwrap();
        (speaker, listener)
    }

    #[tokio::test]
    async fn the_interruption_stands_where_payloads_are_missing() {
        let (speaker, mut listener) = pair(&MemoryBroker::new()).await;
        let flood = vec![(topic(), Bytes::from_static(b"flood")); BUFFER_MAX + 10];
        speaker.link.publish(&flood).await.unwrap();
        for _ in 0..BUFFER_MAX {
            assert!(matches!(listener.heard.next().await, Some(Heard::Payload { .. })));
        }
        speaker.link.publish(&[(topic(), Bytes::from_static(b"after"))]).await.unwrap();
        assert_eq!(listener.heard.next().await, Some(Heard::Interrupted));
        let after = Heard::Payload { topic: topic(), bytes: Bytes::from_static(b"after") };
        assert_eq!(listener.heard.next().await, Some(after));
    }

    #[tokio::test]
    async fn nothing_is_kept_for_a_node_that_stopped_hearing() {
        let broker = MemoryBroker::new();
        let (speaker, listener) = pair(&broker).await;
        drop(listener.heard);
        assert_eq!(broker.seats.lock().len(), 1);
        assert_eq!(listener.link.listen(&[topic()]).await.unwrap_err().kind(), BrokerErrorKind::Closed);
        speaker.link.publish(&[(topic(), Bytes::new())]).await.unwrap();
    }
}
