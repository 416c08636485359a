//! A broker by its URL, and where its servers are.

use std::sync::Arc;

use chat_broker_amqp::{AmqpBroker, AmqpConfig};
use chat_core::{
    Broker,
    broker::{Attached, Topic},
    memory::MemoryBroker,
    model::NodeId,
};
use chat_redis::RedisBroker;

use crate::Outcome;

/// The exchanges, and all else, begin with this; a run finds those of the last one.
const NAMESPACE: &str = "measured";
/// As long as a hint with a message of a line or two.
pub(crate) const HINT_BYTES: usize = 500;

/// Is a broker to be measured.
pub(crate) struct Place {
    pub(crate) name: String,
    url: String,
    memory: MemoryBroker,
}

impl Place {
    pub(crate) fn at(url: &str) -> Outcome<Self> {
        let (scheme, _) = url.split_once(':').ok_or("a broker is a URL")?;
        let kind = match scheme {
            "amqp" if url.contains("partitioned=1") => " partitioned",
            "amqp" => " fanout",
            _ => "",
        };
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}namespace={NAMESPACE}");
        Ok(Self { name: format!("{scheme}{kind}"), url, memory: MemoryBroker::new() })
    }

    /// Attaches a node, over connections of its own, that hears these topics.
    pub(crate) async fn node(&self, number: u8, topics: &[Topic]) -> Outcome<Attached> {
        let broker: Arc<dyn Broker> = match self.name.split(' ').next() {
            Some("memory") => Arc::new(self.memory.clone()),
            Some("amqp") => Arc::new(AmqpBroker::new(AmqpConfig::parse(&self.url)?)),
            _ => Arc::new(RedisBroker::open(&self.url).await?),
        };
        let attached = broker.attach(NodeId::random([number; 16])).await?;
        attached.link.listen(topics).await?;
        Ok(attached)
    }

    /// Returns the ports of its servers.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let hosts = self.url.split("//").nth(1).unwrap_or_default().split(['/', '?']).next().unwrap_or_default();
        let hosts = hosts.rsplit('@').next().unwrap_or_default().split(',');
        hosts.filter_map(|host| host.rsplit(':').next()?.parse().ok()).collect()
    }
}
