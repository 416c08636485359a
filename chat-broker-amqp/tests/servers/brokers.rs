//! A broker that is cut off, hangs, is full, or whose things are deleted under our hands.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chat_broker_amqp::AmqpBroker;
use chat_check::proxy::{Proxy, Way};
use chat_core::{
    broker::{Attached, Bridge, Broker, BrokerErrorKind, Heard, Topic},
    memory::MemoryBroker,
    model::NodeId,
};
use futures::{StreamExt, future::join_all};
use lapin::{
    BasicProperties, ExchangeKind,
    options::{BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions},
    types::FieldTable,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    PATIENCE,
    common::{Place, Vhost, channel, erlang, server},
};

/// Is a node under the name that its queue begins with.
pub(crate) struct Node {
    id: NodeId,
    attached: Attached,
}

static NODES: AtomicU32 = AtomicU32::new(1);

fn topic() -> Topic {
    Topic::new(7).unwrap()
}

impl Node {
    pub(crate) async fn attach(broker: &AmqpBroker) -> Self {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&NODES.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let id = NodeId::random(bytes);
        let attached = broker.attach(id).await.unwrap();
        attached.link.listen(&[topic()]).await.unwrap();
        Self { id, attached }
    }

    pub(crate) async fn says(&self, text: &'static str) -> Result<(), BrokerErrorKind> {
        let batch = [(topic(), Bytes::from(text))];
        self.attached.link.publish(&batch).await.map_err(|error| error.kind())
    }

    async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.attached.heard.next()).await.expect("something is heard").expect("the stream goes on")
    }

    /// Waits for word of an interruption; what was heard before it does not matter.
    async fn is_interrupted(&mut self) {
        while self.next().await != Heard::Interrupted {}
    }

    async fn hears(&mut self, text: &'static str) {
        let wanted = Heard::Payload { topic: topic(), bytes: Bytes::from(text) };
        while self.next().await != wanted {}
    }
}

/// Publishes again and again until a listener hears it.
pub(crate) async fn are_joined(speaker: &Node, listener: &mut Node) {
    let hello = async {
        loop {
            let _ = speaker.says("hello again").await; // refused as long as there is no connection
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = hello => {}
        () = listener.hears("hello again") => {}
    }
}

async fn pair_over(proxy: &Proxy, place: &Place, parameters: &str) -> (Node, Node) {
    let there = AmqpBroker::new(place.config_at(&proxy.address().to_string(), parameters));
    let here = AmqpBroker::new(place.config(parameters));
    (Node::attach(&here).await, Node::attach(&there).await)
}

/// A broken connection is one for the client at once, and for the broker only when it notices: it still holds the old
/// queue then, so a second one of the same name could not be made.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_connection_that_only_we_take_for_broken_is_made_again_under_a_fresh_name() {
    let (place, proxy) = (Place::make(), Proxy::to(server()).await.unwrap());
    for parameters in ["", "&partitioned=1"] {
        let (speaker, mut listener) = pair_over(&proxy, &place, parameters).await;
        proxy.half_close();
        listener.is_interrupted().await; // at the loss
        listener.is_interrupted().await; // and when it is heard again
        are_joined(&speaker, &mut listener).await;
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_reset_connection_is_interrupted_once_lost_and_once_found() {
    let (place, proxy) = (Place::make(), Proxy::to(server()).await.unwrap());
    let (speaker, mut listener) = pair_over(&proxy, &place, "").await;
    speaker.says("before").await.unwrap();
    listener.hears("before").await;
    proxy.reset();
    listener.is_interrupted().await;
    listener.is_interrupted().await;
    are_joined(&speaker, &mut listener).await;
}

/// The driver's consumer ends without an error then, and is never recovered.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_queue_deleted_under_its_consumer_is_made_again() {
    let place = Place::make();
    let broker = AmqpBroker::new(place.config(""));
    let (speaker, mut listener) = (Node::attach(&broker).await, Node::attach(&broker).await);
    // It is exclusive, so only the broker itself can delete it. Its end is fresh with each connection.
    let name = place.name(&format!("node.{}", listener.id));
    erlang(&format!(
        "[rabbit_amqqueue:delete(Q, false, false, <<\"test\">>) || Q <- rabbit_amqqueue:list(<<\"/\">>), \
         binary:match(element(4, amqqueue:get_name(Q)), <<\"{name}\">>) =/= nomatch]"
    ));
    listener.is_interrupted().await;
    are_joined(&speaker, &mut listener).await;
}

/// Nobody is told that an exchange is gone with all bindings; a publication to it closes the channel, later.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn an_exchange_deleted_with_its_bindings_is_made_again() {
    let kinds = [("", "fanout"), ("&partitioned=1", "direct")].map(async |(parameters, name)| {
        let place = Place::make();
        let broker = AmqpBroker::new(place.config(parameters));
        let (speaker, mut listener) = (Node::attach(&broker).await, Node::attach(&broker).await);
        let (_connection, channel) = channel().await;
        channel.exchange_delete(place.name(name).into(), ExchangeDeleteOptions::default()).await.unwrap();
        are_joined(&speaker, &mut listener).await;
    });
    join_all(kinds).await; // each looks after its bindings every ten seconds
}

/// The socket stays open and takes some more; nothing comes back.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_broker_that_hangs_delays_nobody_and_is_given_up() {
    let (place, proxy) = (Place::make(), Proxy::to(server()).await.unwrap());
    let (mut listener, speaker) = pair_over(&proxy, &place, "").await;
    proxy.requests(Way::Hold);
    proxy.answers(Way::Hold);
    let payload = Bytes::from(vec![0; 60_000]);
    let (mut slowest, mut refused) = (Duration::ZERO, 0);
    let deadline = Instant::now() + PATIENCE;
    // Until the connection is given up: some megabytes go into buffers of the kernel before.
    while refused < 3 {
        let begun = Instant::now();
        let batch = vec![(topic(), payload.clone()); 4];
        refused += u32::from(speaker.attached.link.publish(&batch).await.is_err());
        slowest = slowest.max(begun.elapsed());
        assert!(Instant::now() < deadline, "a broker that hangs is never given up");
    }
    // Nobody but the relay waits, and it waits 5 s at most.
    assert!(slowest < Duration::from_secs(5), "one publication took {slowest:?}");
    proxy.requests(Way::Pass);
    proxy.answers(Way::Pass);
    proxy.cut();
    are_joined(&speaker, &mut listener).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn of_several_hosts_one_that_is_there_is_enough() {
    let (place, proxy) = (Place::make(), Proxy::to(server()).await.unwrap());
    let hosts = format!("127.0.0.1:1,{},{}", proxy.address(), server());
    let broker = AmqpBroker::new(place.config_at(&hosts, ""));
    let (speaker, mut listener) = (Node::attach(&broker).await, Node::attach(&broker).await);
    are_joined(&speaker, &mut listener).await;
    proxy.refuse(true);
    proxy.reset();
    are_joined(&speaker, &mut listener).await;
}

/// The broker ends all connections to it, and refuses new ones as if the URL were wrong.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_virtual_host_that_is_gone_is_waited_for() {
    let place = Place::make();
    let vhost = Vhost(place.name("vhost"));
    vhost.make();
    let broker = AmqpBroker::new(place.config_at(&format!("{}/{}", server(), vhost.0), ""));
    let (speaker, mut listener) = (Node::attach(&broker).await, Node::attach(&broker).await);
    are_joined(&speaker, &mut listener).await;
    vhost.delete();
    listener.is_interrupted().await;
    assert!(speaker.says("to nobody").await.is_err());
    vhost.make();
    are_joined(&speaker, &mut listener).await;
}

/// A node does not wait for a broker in order to start: hints only make things fast.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_node_starts_without_its_broker_and_is_told_when_it_comes() {
    let (place, proxy) = (Place::make(), Proxy::to(server()).await.unwrap());
    proxy.refuse(true);
    let (speaker, mut listener) = pair_over(&proxy, &place, "").await;
    assert_eq!(listener.says("to nobody").await, Err(BrokerErrorKind::Unavailable));
    listener.is_interrupted().await;
    proxy.refuse(false);
    are_joined(&speaker, &mut listener).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn two_namespaces_never_hear_each_other() {
    for parameters in ["", "&partitioned=1"] {
        let (one, other) = (Place::make(), Place::make());
        let (mut ours, theirs) = (AmqpBroker::new(one.config(parameters)), AmqpBroker::new(other.config(parameters)));
        let (speaker, stranger) = (Node::attach(&ours).await, Node::attach(&theirs).await);
        let mut listener = Node::attach(&ours).await;
        stranger.says("from another namespace").await.unwrap();
        speaker.says("from ours").await.unwrap();
        let first = listener.next().await;
        assert_eq!(first, Heard::Payload { topic: topic(), bytes: Bytes::from("from ours") });
        ours = theirs; // both live until here
        drop(ours);
    }
}

/// A node that restarts, or whose people leave, says this of all its topics at once. Asked one after the other on a
/// link as slow as this, they would take ten seconds, and the bridge would give up and be asked again and again.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn all_topics_are_listened_to_and_ignored_in_time_behind_a_bridge_on_a_slow_link() {
    let (place, proxy) = (Place::make(), Proxy::to(server()).await.unwrap());
    let slow = AmqpBroker::new(place.config_at(&proxy.address().to_string(), "&partitioned=1"));
    let bridge = Bridge::new(Arc::new(MemoryBroker::new()), Arc::new(slow));
    let Attached { link, heard: _heard } = bridge.attach(NodeId::random([8; 16])).await.unwrap();
    for way in [Proxy::requests, Proxy::answers] {
        way(&proxy, Way::Delay(Duration::from_millis(5)));
    }
    let all: Vec<_> = (0..Topic::COUNT).filter_map(Topic::new).collect();
    link.listen(&all).await.unwrap();
    assert_bindings(&place, all.len());
    link.ignore(&all[1..]).await.unwrap();
    assert_bindings(&place, 1);
}

/// Says how many keys lead from the exchange of the partitions to queues.
fn assert_bindings(place: &Place, count: usize) {
    let exchange = place.name("direct");
    erlang(&format!(
        "{count} = length(rabbit_binding:list_for_source(rabbit_misc:r(<<\"/\">>, exchange, <<\"{exchange}\">>)))"
    ));
}

/// Whoever can publish to the exchange can write anything.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn messages_that_nobody_can_read_are_passed_over() {
    let place = Place::make();
    let broker = AmqpBroker::new(place.config(""));
    let (speaker, mut listener) = (Node::attach(&broker).await, Node::attach(&broker).await);
    let (_connection, channel) = channel().await;
    let (name, options) = (place.name("fanout"), BasicPublishOptions::default());
    // More of them than the broker sends ahead: each must be acknowledged, too.
    let long = vec![b'x'; 100_000];
    for garbage in [&b""[..], b"\x01\xff", b"{}", &long].into_iter().cycle().take(200) {
        let sent = channel.basic_publish(name.clone().into(), "".into(), options, garbage, BasicProperties::default());
        sent.await.unwrap().await.unwrap();
    }
    speaker.says("and then").await.unwrap();
    assert_eq!(listener.next().await, Heard::Payload { topic: topic(), bytes: Bytes::from("and then") });
}

/// The broker refuses what is declared otherwise than it is there: at the start, so that somebody can act on it.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn an_exchange_of_another_kind_is_a_clear_error() {
    let place = Place::make();
    let (_connection, channel) = channel().await;
    let (kind, options) = (ExchangeKind::Topic, ExchangeDeclareOptions::default());
    channel.exchange_declare(place.name("fanout").into(), kind, options, FieldTable::default()).await.unwrap();
    let error = AmqpBroker::new(place.config("")).attach(NodeId::random([9; 16])).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Other, "{error}");
    assert!(error.to_string().contains("PRECONDITION_FAILED"), "{error}");
}
