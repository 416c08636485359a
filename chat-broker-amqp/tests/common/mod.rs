//! Places on a real RabbitMQ, each of which is removed at the end.

#![allow(dead_code)] // each test binary uses some of it

use std::{
    future::Future,
    net::SocketAddr,
    process::id,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use async_trait::async_trait;
use chat_broker_amqp::{AmqpBroker, AmqpConfig};
use chat_core::{
    broker::{Attached, Broker, BrokerError},
    conformance::broker::BrokerUnderTest,
    model::NodeId,
};
use lapin::{Channel, Connection, ConnectionProperties};

static PLACES: AtomicU32 = AtomicU32::new(0);

/// Is a namespace of a test's own; all that is left under it is deleted at the end.
pub(crate) struct Place {
    namespace: String,
}

impl Place {
    pub(crate) fn make() -> Self {
        Self { namespace: format!("t{}_{}", id(), PLACES.fetch_add(1, Ordering::Relaxed)) }
    }

    pub(crate) fn config(&self, parameters: &str) -> AmqpConfig {
        self.config_at(server(), parameters)
    }

    /// Returns the configuration for a RabbitMQ that is reached elsewhere, such as by a proxy.
    pub(crate) fn config_at(&self, hosts: impl ToString, parameters: &str) -> AmqpConfig {
        let url = format!("amqp://guest:guest@{}?namespace={}{parameters}", hosts.to_string(), self.namespace);
        AmqpConfig::parse(&url).expect("a URL")
    }

    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}.{rest}", self.namespace)
    }

    pub(crate) fn broker(self, parameters: &str) -> BrokerUnderTest {
        let broker = AmqpBroker::new(self.config(parameters));
        BrokerUnderTest::new(Arc::new(Placed { broker, _place: self }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let names: Vec<_> = ["fanout", "direct"].map(|rest| self.name(rest)).into();
        on_a_thread(async move {
            for name in names {
                let (_connection, channel) = channel().await;
                let _ = channel.exchange_delete(name.into(), Default::default()).await; // it may never have been there
            }
        });
    }
}

/// Is a broker that takes its place along.
struct Placed {
    broker: AmqpBroker,
    _place: Place,
}

#[async_trait]
impl Broker for Placed {
    async fn attach(&self, node: NodeId) -> Result<Attached, BrokerError> {
        self.broker.attach(node).await
    }
}

/// Returns where the real RabbitMQ is.
pub(crate) fn server() -> SocketAddr {
    let url = std::env::var("CHAT_TEST_AMQP").expect("CHAT_TEST_AMQP says where it is: see scripts/services");
    url.rsplit_once('@').and_then(|(_, address)| address.parse().ok()).expect("amqp://user:password@address:port")
}

/// Connects as somebody else does.
pub(crate) async fn channel() -> (Connection, Channel) {
    let url = std::env::var("CHAT_TEST_AMQP").expect("CHAT_TEST_AMQP says where it is: see scripts/services");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

/// Runs something to its end while the runtime of a test may be ending.
fn on_a_thread(future: impl Future<Output = ()> + Send + 'static) {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    let _ = thread::spawn(run).join(); // a test that failed has said so already
}
