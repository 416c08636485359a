//! Hints between nodes, over sharded pub/sub.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    broker::{Attached, Broker, BrokerError, BrokerErrorKind, Heard, Hearing, Link, Topic},
    model::NodeId,
};
use redis::cmd;

use crate::{
    RedisConfig,
    servers::Servers,
    subscriber::{Sound, Subscriber},
};

/// Carries hints between the nodes that use the same Redis under the same namespace. Cheap to clone.
///
/// A topic is a channel. Redis keeps nothing for a node that is away: it hears [`Heard::Interrupted`] when it is cut off,
/// and again as soon as it is back.
#[derive(Clone)]
pub struct RedisBroker(Arc<Servers>);

impl RedisBroker {
    /// Uses the Redis at this URL; see [`RedisConfig`].
    ///
    /// Must be called inside a tokio runtime, to which the broker then belongs.
    pub async fn open(url: &str) -> Result<Self, BrokerError> {
        Self::connect(RedisConfig::new(url)).await
    }

    /// Connects to a Redis.
    pub async fn connect(config: RedisConfig) -> Result<Self, BrokerError> {
        Ok(Self(Servers::open(&config).await?))
    }
}

impl fmt::Debug for RedisBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBroker").field("namespace", &self.0.namespace()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn attach(&self, _: NodeId) -> Result<Attached, BrokerError> {
        let (servers, hearing) = (self.0.clone(), Hearing::default());
        let (prefix, heard) = (prefix(&servers), hearing.clone());
        let subscriber = Subscriber::start(servers.clone(), move |sound| match sound {
            Sound::Message(channel, bytes) => {
                let number = channel.strip_prefix(&prefix).and_then(|number| number.parse().ok());
                if let Some(topic) = number.and_then(Topic::new) {
                    heard.hear(Heard::Payload { topic, bytes: bytes.into() });
                }
            }
            Sound::Interrupted => heard.hear(Heard::Interrupted),
        });
        let place = Arc::new(Place { servers, subscriber, hearing: hearing.clone() });
        let heard = hearing.stream(Leaver(place.clone()));
        Ok(Attached { link: place, heard })
    }
}

/// Is one node's place at the broker.
struct Place {
    servers: Arc<Servers>,
    subscriber: Subscriber,
    hearing: Hearing,
}

impl Place {
    fn channels(&self, topics: &[Topic]) -> Vec<String> {
        topics.iter().map(|topic| channel(&self.servers, *topic)).collect()
    }

    fn open(&self) -> Result<(), BrokerError> {
        let closed = self.hearing.is_closed();
        if closed { Err(BrokerError::new(BrokerErrorKind::Closed, "Redis broker")) } else { Ok(()) }
    }

    fn leave(&self) {
        self.subscriber.stop();
        self.hearing.close();
    }
}

#[async_trait]
impl Link for Place {
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.open()?;
        Ok(self.subscriber.listen(self.channels(topics)).await?)
    }

    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.open()?;
        Ok(self.subscriber.ignore(self.channels(topics)).await?)
    }

    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        self.open()?;
        let speak = |(topic, bytes): &(Topic, Bytes)| {
            let channel = channel(&self.servers, *topic);
            let command = cmd("SPUBLISH").arg(&channel).arg(&bytes[..]).to_owned();
            (channel, command)
        };
        let commands: Vec<_> = batch.iter().map(speak).collect();
        self.servers.ask_all("publish hints", &commands).await?;
        Ok(())
    }

    async fn close(&self) {
        self.leave();
    }
}

/// Gives the place up when nobody hears any more.
struct Leaver(Arc<Place>);

impl Drop for Leaver {
    fn drop(&mut self) {
        self.0.leave();
    }
}

fn prefix(servers: &Servers) -> String {
    format!("{}:hint:", servers.namespace())
}

/// Without braces: each topic has a slot of its own, and so the topics are spread over a cluster.
fn channel(servers: &Servers, topic: Topic) -> String {
    format!("{}{}", prefix(servers), topic.number())
}
