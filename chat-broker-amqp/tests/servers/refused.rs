//! A broker that does not let us in.

use chat_broker_amqp::{AmqpBroker, AmqpConfig, AmqpQueue};
use chat_core::{
    broker::{Broker, BrokerErrorKind},
    model::NodeId,
    queue::{Consume, QueueErrorKind, QueueName, WorkQueue},
};

use crate::common::server;

fn wrong() -> [(String, &'static str); 2] {
    let server = server();
    [
        (format!("amqp://guest:hunter2@{server}"), "a wrong password"),
        (format!("amqp://guest:guest@{server}/nowhere"), "a virtual host that is not there"),
    ]
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_broker_that_refuses_keeps_the_node_from_starting() {
    for (url, why) in wrong() {
        let broker = AmqpBroker::new(AmqpConfig::parse(&url).unwrap());
        let error = broker.attach(NodeId::random([1; 16])).await.unwrap_err();
        assert_eq!(error.kind(), BrokerErrorKind::Other, "{why}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_queue_that_refuses_is_no_transient_error() {
    for (url, why) in wrong() {
        let queue = AmqpQueue::new(AmqpConfig::parse(&url).unwrap());
        let Err(error) = queue.consume(&QueueName::new("jobs").unwrap(), Consume::default()).await else {
            panic!("{why} is refused");
        };
        assert_eq!(error.kind(), QueueErrorKind::Other, "{why}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
