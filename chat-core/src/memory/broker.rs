//! Hints between the engines of one process.

use std::{collections::BTreeSet, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    broker::{Attached, Broker, BrokerError, BrokerErrorKind, Heard, Hearing, Link, Topic},
    model::NodeId,
};

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
        let heard = place.seat.hearing.stream(Leaver(place.clone()));
        Ok(Attached { link: Arc::new(place), heard })
    }
}

/// Is what the broker keeps for one node.
#[derive(Default)]
struct Seat {
    topics: Mutex<BTreeSet<Topic>>,
    hearing: Hearing,
}

impl Seat {
    fn hear(&self, batch: &[(Topic, Bytes)]) {
        let topics = self.topics.lock();
        let wanted = batch.iter().filter(|(topic, _)| topics.contains(topic));
        wanted.for_each(|(topic, bytes)| self.hearing.hear(Heard::Payload { topic: *topic, bytes: bytes.clone() }));
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
        self.seat.hearing.close();
    }

    fn open(&self) -> Result<(), BrokerError> {
        let closed = self.seat.hearing.is_closed();
        if closed { Err(BrokerError::new(BrokerErrorKind::Closed, "memory broker")) } else { Ok(()) }
    }
}

#[async_trait]
impl Link for Place {
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.open()?;
        self.seat.topics.lock().extend(topics);
        Ok(())
    }

    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.open()?;
        self.seat.topics.lock().retain(|topic| !topics.contains(topic));
        Ok(())
    }

    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        self.open()?;
        // Under one lock, so that all nodes hear all publishers in one order.
        let seats = self.seats.lock();
        seats.iter().filter(|seat| !Arc::ptr_eq(seat, &self.seat)).for_each(|seat| seat.hear(batch));
        Ok(())
    }

    async fn close(&self) {
        self.leave();
    }
}

/// Gives the place up when nobody hears any more.
struct Leaver(Place);

impl Drop for Leaver {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::StreamExt;

    use super::*;

    /// As many as are kept for a node.
    const BUFFER_MAX: usize = 1_024;

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
