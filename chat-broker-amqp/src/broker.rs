//! Hints over RabbitMQ.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    broker::{Attached, Broker, BrokerError, BrokerErrorKind, Link, Topic},
    model::NodeId,
};
use lapin::{
    BasicProperties, Channel, ExchangeKind,
    options::{BasicPublishOptions, ExchangeDeclareOptions},
    types::{AMQPValue, FieldArray, FieldTable, ShortString},
};
use tokio::{
    sync::Mutex,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use crate::{
    AmqpConfig,
    connection::{Dialer, Voice},
    ear::Ear,
    envelope::{self, Message},
    error::{CALL_WITHIN, Failure, ask},
};

/// What gathers in this time after a publication goes out as one: at 10,000 messages a second it saves nine tenths of
/// the work, and who speaks after a silence does not wait.
const PACE: Duration = Duration::from_millis(2);

/// Carries hints between nodes over RabbitMQ.
///
/// Each node hears over a queue of its own, which goes with its connection. By default everything is published to the
/// exchange `chat.fanout`, and every node hears everything: simple, and right for a few nodes. With `partitioned=1`
/// it is `chat.direct`, whose routing keys are topics: a node hears only what its rooms need, so that nodes can be
/// added. All nodes of a cluster use the same of the two.
///
/// Nothing is durable, and nothing is confirmed: nodes find what gets lost in the log. A broker that cannot be reached
/// keeps no node from starting; one that refuses, does.
#[derive(Clone)]
pub struct AmqpBroker {
    config: AmqpConfig,
}

impl AmqpBroker {
    /// Names the broker; a node connects when it is attached.
    pub fn new(config: AmqpConfig) -> Self {
        Self { config }
    }
}

impl fmt::Debug for AmqpBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AmqpBroker").field(&self.config).finish()
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn attach(&self, node: NodeId) -> Result<Attached, BrokerError> {
        let exchange = Exchange::of(&self.config);
        let ear = Arc::new(Ear::new(&self.config, exchange.clone(), node));
        let first = match ear.open().await {
            Ok(session) => Some(session),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "RabbitMQ cannot be reached; until it is, other nodes' messages are polled");
                None
            }
            Err(error) => return Err(error.broker("attach to RabbitMQ")),
        };
        let reached = first.is_some();
        let declare = exchange.clone();
        let prepare = Box::new(move |channel| {
            let exchange = declare.clone();
            Box::pin(async move { exchange.declare(&channel).await }) as _
        });
        let voice = Voice::start(Dialer::new(self.config.clone(), "speaks"), prepare);
        if reached {
            // So that what is published first is not lost. If it fails now, it is tried again later.
            let _ = voice.channel_by(Instant::now() + CALL_WITHIN).await;
        }
        let hearing = Hearing(tokio::spawn(ear.clone().run(first)).abort_handle());
        let heard = ear.hearing.stream(hearing);
        Ok(Attached { link: Arc::new(AmqpLink { ear, voice, exchange, spoken: Mutex::new(None) }), heard })
    }
}

/// Is the task that hears; it ends with the stream.
struct Hearing(AbortHandle);

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Is where all nodes publish.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) name: ShortString,
    pub(crate) partitioned: bool,
}

impl Exchange {
    fn of(config: &AmqpConfig) -> Self {
        let kind = if config.partitioned { "direct" } else { "fanout" };
        Self { name: format!("{}.{kind}", config.namespace).into(), partitioned: config.partitioned }
    }

    pub(crate) async fn declare(&self, channel: &Channel) -> Result<(), Failure> {
        let kind = if self.partitioned { ExchangeKind::Direct } else { ExchangeKind::Fanout };
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        ask(channel.exchange_declare(self.name.clone(), kind, durable, FieldTable::default())).await
    }

    async fn publish(&self, channel: &Channel, message: &Message) -> Result<(), Failure> {
        let (key, properties) = self.address(&message.topics);
        let options = BasicPublishOptions::default();
        // The confirmation that this returns is of none: hints are not confirmed.
        ask(channel.basic_publish(self.name.clone(), key, options, &message.bytes, properties)).await.map(drop)
    }

    /// Returns the routing key of the first topic, and the header that names the others: the broker then makes one copy
    /// for each queue that is bound to any of them.
    fn address(&self, topics: &[Topic]) -> (ShortString, BasicProperties) {
        let properties = BasicProperties::default();
        let (true, Some((first, others))) = (self.partitioned, topics.split_first()) else {
            return ("".into(), properties);
        };
        let others: Vec<_> =
            others.iter().map(|topic| AMQPValue::LongString(topic.number().to_string().into())).collect();
        let mut headers = FieldTable::default();
        headers.insert("CC".into(), AMQPValue::FieldArray(FieldArray::from(others)));
        (key(*first), properties.with_headers(headers))
    }
}

pub(crate) fn key(topic: Topic) -> ShortString {
    topic.number().to_string().into()
}

struct AmqpLink {
    ear: Arc<Ear>,
    voice: Voice,
    exchange: Exchange,
    /// When something was last published.
    spoken: Mutex<Option<Instant>>,
}

impl AmqpLink {
    fn open(&self) -> Result<(), BrokerError> {
        let closed = self.ear.hearing.is_closed();
        if closed { Err(BrokerError::new(BrokerErrorKind::Closed, "a link to RabbitMQ")) } else { Ok(()) }
    }

    async fn say(&self, batch: &[(Topic, Bytes)]) -> Result<(), Failure> {
        let channel = self.voice.channel()?;
        for message in envelope::pack(batch) {
            if let Err(failure) = self.exchange.publish(&channel, &message).await {
                self.voice.give_up();
                // Whatever is wrong here may be wrong there, and the other side would not always notice.
                self.ear.doubt();
                return Err(failure);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Link for AmqpLink {
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.open()?;
        self.ear.listen(topics).await.map_err(|failure| failure.broker("listen to topics"))
    }

    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.open()?;
        self.ear.ignore(topics).await.map_err(|failure| failure.broker("ignore topics"))
    }

    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        self.open()?;
        let mut spoken = self.spoken.lock().await;
        if let Some(spoken) = *spoken {
            sleep_until(spoken + PACE).await;
        }
        let said = self.say(batch).await;
        *spoken = Some(Instant::now());
        said.map_err(|failure| failure.broker("publish hints"))
    }

    async fn close(&self) {
        // Ends the stream, and with it the task that hears; the connections go with the link.
        self.ear.hearing.close();
        self.ear.doubt();
        self.voice.close();
    }
}
