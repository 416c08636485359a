//! Places on a real RabbitMQ, each of which is removed at the end.

#![allow(dead_code)] // each test binary uses some of it

use std::{
    future::Future,
    net::{SocketAddr, TcpStream},
    process::{Command, id},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use chat_broker_amqp::{AmqpBroker, AmqpConfig, AmqpQueue};
use chat_core::{
    broker::{Attached, Broker, BrokerError},
    conformance::{broker::BrokerUnderTest, dead_letters::DeadLettersUnderTest, queue::QueueUnderTest},
    model::NodeId,
    queue::{Consume, Delivery, Job, QueueError, QueueName, WorkQueue},
};
use futures::stream::BoxStream;
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};

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
        self.config_at(&server().to_string(), parameters)
    }

    /// Returns the configuration for a RabbitMQ that is reached elsewhere, such as by a proxy.
    pub(crate) fn config_at(&self, hosts: &str, parameters: &str) -> AmqpConfig {
        let url = format!("amqp://guest:guest@{hosts}?namespace={}{parameters}", self.namespace);
        AmqpConfig::parse(&url).expect("a URL")
    }

    /// Returns the configuration for a RabbitMQ that is reached over TLS.
    pub(crate) fn config_over_tls(&self, host: &str) -> AmqpConfig {
        let url = format!("amqps://guest:guest@{host}?namespace={}", self.namespace);
        AmqpConfig::parse(&url).expect("a URL, and the feature `tls`")
    }

    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}.{rest}", self.namespace)
    }

    pub(crate) fn queue(&self) -> AmqpQueue {
        AmqpQueue::new(self.config(""))
    }

    pub(crate) fn queue_under_test(self) -> QueueUnderTest {
        // A worker looks by itself once a second.
        QueueUnderTest::new(Arc::new(Placed { port: self.queue(), _place: self })).quiet(Duration::from_millis(1_500))
    }

    pub(crate) fn dead_letters(self) -> DeadLettersUnderTest {
        let queue = self.queue();
        DeadLettersUnderTest::new(self.queue_under_test(), Arc::new(queue))
    }

    pub(crate) fn broker(self, parameters: &str) -> BrokerUnderTest {
        let port = AmqpBroker::new(self.config(parameters));
        BrokerUnderTest::new(Arc::new(Placed { port, _place: self }))
    }
}

impl Drop for Place {
    /// Deletes what tests leave behind: exchanges and durable queues.
    fn drop(&mut self) {
        let steps = [100, 500, 2_000, 10_000, 60_000, 600_000, 3_600_000].map(|ms| format!("delay.{ms}ms"));
        let jobs = ["jobs.conformance.jobs.high", "jobs.conformance.jobs.normal", "dead.conformance.jobs"];
        let queues = jobs.map(str::to_owned).into_iter().chain(steps.clone());
        let queues: Vec<_> = queues.map(|rest| self.name(&rest)).collect();
        let exchanges = ["fanout", "direct", "bells"].map(str::to_owned).into_iter().chain(steps);
        let exchanges: Vec<_> = exchanges.map(|rest| self.name(&rest)).collect();
        on_a_thread(async move {
            let (_connection, channel) = channel().await;
            for name in queues {
                channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
            }
            for name in exchanges {
                channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
            }
        });
    }
}

/// Is a port that takes its place along.
struct Placed<P> {
    port: P,
    _place: Place,
}

#[async_trait]
impl<B: Broker> Broker for Placed<B> {
    async fn attach(&self, node: NodeId) -> Result<Attached, BrokerError> {
        self.port.attach(node).await
    }
}

#[async_trait]
impl<Q: WorkQueue> WorkQueue for Placed<Q> {
    async fn push(&self, queue: &QueueName, job: Job) -> Result<(), QueueError> {
        self.port.push(queue, job).await
    }

    async fn consume(
        &self,
        queue: &QueueName,
        how: Consume,
    ) -> Result<BoxStream<'static, Result<Delivery, QueueError>>, QueueError> {
        self.port.consume(queue, how).await
    }

    fn is_durable(&self) -> bool {
        self.port.is_durable()
    }

    fn is_networked(&self) -> bool {
        self.port.is_networked()
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

/// Lets the broker itself evaluate an Erlang expression: what `rabbitmqctl` does, without the second that it takes.
pub(crate) fn erlang(expression: &str) {
    let done = services().args(["erlang", expression]).output().unwrap();
    assert!(done.status.success(), "{expression}: {done:?}");
}

fn services() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services"))
}

/// Is a virtual host that anybody may delete and make again; it is deleted when this is dropped.
pub(crate) struct Vhost(pub(crate) String);

impl Vhost {
    pub(crate) fn make(&self) {
        erlang(&format!(
            "rabbit_vhost:add(<<\"{0}\">>, <<\"test\">>), rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, \
             <<\"{0}\">>, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"test\">>)",
            self.0
        ));
    }

    pub(crate) fn delete(&self) {
        erlang(&format!("rabbit_vhost:delete(<<\"{}\">>, <<\"test\">>)", self.0));
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        self.delete();
    }
}

/// Is a broker that is short of memory, until this is dropped.
pub(crate) struct Alarm;

impl Alarm {
    pub(crate) fn raise() -> Self {
        erlang("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)");
        Self
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        erlang("vm_memory_monitor:set_vm_memory_high_watermark({absolute, \"1GB\"})");
    }
}

/// Is a broker that was killed, until this is dropped.
pub(crate) struct Killed;

impl Killed {
    pub(crate) fn kill() -> Self {
        let file = std::env::var("CHAT_TEST_AMQP_PID").expect("CHAT_TEST_AMQP_PID: see scripts/services");
        let pid = std::fs::read_to_string(file).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        // A port that still answers would be taken for another program's, and the next broker gets another one.
        while TcpStream::connect(server()).is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
        Self
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let started = services().args(["start", "rabbitmq"]).output();
        assert!(started.is_ok_and(|started| started.status.success()), "RabbitMQ does not start again");
    }
}
