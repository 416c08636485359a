//! What one node hears: a queue of its own, made anew after whatever goes wrong.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use chat_core::{
    broker::{Heard, Hearing, Topic},
    model::NodeId,
};
use futures::{FutureExt, StreamExt, future::try_join_all};
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, interval},
};
use uuid::Uuid;

use crate::{
    AmqpConfig,
    broker::{Exchange, key},
    connection::{Dialer, Pause},
    envelope,
    error::{Failure, ask},
};

/// Messages that the broker sends ahead: the driver's own buffer has no other bound.
const AHEAD_MAX: u16 = 64;
/// So many messages are acknowledged at once, well before the broker waits for it.
const ACK_EVERY: u64 = 16;
/// Bindings are made again this often: nobody is told when somebody deletes an exchange with all that is bound to it.
const BIND_EVERY: Duration = Duration::from_secs(10);
/// While the broker is away the engine is reminded of it this often: it polls faster for 30 s after each time.
const REMIND_EVERY: Duration = Duration::from_secs(15);

/// Hears for one node.
pub(crate) struct Ear {
    pub(crate) hearing: Hearing,
    dialer: Dialer,
    exchange: Exchange,
    namespace: Arc<str>,
    node: NodeId,
    topics: Mutex<BTreeSet<Topic>>,
    /// The queue of the session that hears now, for further bindings.
    queue: Mutex<Option<Queue>>,
    doubted: Notify,
}

#[derive(Clone)]
struct Queue {
    channel: Channel,
    name: ShortString,
}

/// Is a connection over which messages come.
pub(crate) struct Session {
    queue: Queue,
    consumer: Consumer,
    /// Dropping it ends the connection.
    _connection: Connection,
}

impl Ear {
    pub(crate) fn new(config: &AmqpConfig, exchange: Exchange, node: NodeId) -> Self {
        Self {
            hearing: Hearing::default(),
            dialer: Dialer::new(config.clone(), "hears"),
            exchange,
            namespace: config.namespace.clone(),
            node,
            topics: Mutex::default(),
            queue: Mutex::default(),
            doubted: Notify::new(),
        }
    }

    /// Makes the session in hand anew: something says that it may be deaf.
    pub(crate) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Hears until the task is aborted; `first` is the session to begin with, if there is one already.
    pub(crate) async fn run(self: Arc<Self>, mut first: Option<Session>) {
        let (mut pause, mut reminded) = (Pause::new(), None::<Instant>);
        while !self.hearing.is_closed() {
            let session = match first.take() {
                Some(session) => Ok(session),
                None => self.open().await.inspect(|_| self.hearing.hear(Heard::Interrupted)),
            };
            let failure = match session {
                Ok(mut session) => {
                    let since = Instant::now();
                    reminded = None;
                    let _ = self.doubted.notified().now_or_never(); // of the session before
                    if self.hearing.is_closed() {
                        return;
                    }
                    let failure = self.hear(&mut session).await;
                    pause.after(since);
                    failure
                }
                Err(failure) => failure,
            };
            *self.queue.lock() = None;
            if reminded.is_none_or(|last| last.elapsed() >= REMIND_EVERY) && !self.hearing.is_closed() {
                tracing::warn!(error = %failure, "RabbitMQ is not heard; other nodes' messages are polled");
                self.hearing.hear(Heard::Interrupted);
                reminded = Some(Instant::now());
            }
            pause.wait().await;
        }
    }

    /// Connects and begins to hear, under a fresh name: the queue of a connection that only we take for broken is
    /// still locked by it.
    pub(crate) async fn open(&self) -> Result<Session, Failure> {
        let connection = self.dialer.dial().await?;
        let channel = ask(connection.create_channel()).await?;
        self.exchange.declare(&channel).await?;
        ask(channel.basic_qos(AHEAD_MAX, BasicQosOptions::default())).await?;
        let name = format!("{}.node.{}.{}", self.namespace, self.node, Uuid::now_v7().simple());
        let queue = Queue { channel: channel.clone(), name: name.into() };
        let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        ask(channel.queue_declare(queue.name.clone(), own, FieldTable::default())).await?;
        // From here on who listens binds by themselves; who did so before is bound below.
        *self.queue.lock() = Some(queue.clone());
        self.bind_all(&queue).await?;
        let consume =
            channel.basic_consume(queue.name.clone(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
        Ok(Session { consumer: ask(consume).await?, queue, _connection: connection })
    }

    /// Hears until something goes wrong.
    async fn hear(&self, session: &mut Session) -> Failure {
        let mut assure = interval(BIND_EVERY);
        assure.reset();
        let (consumer, queue) = (&mut session.consumer, &session.queue);
        loop {
            let heard = tokio::select! {
                message = consumer.next() => match message {
                    Some(Ok(message)) => self.take(queue, message).await,
                    Some(Err(error)) => Err(error.into()),
                    None => Err(Failure::Cancelled),
                },
                _ = assure.tick() => self.assure(queue).await,
                () = self.doubted.notified() => Err(Failure::Unconnected),
            };
            if let Err(failure) = heard {
                return failure;
            }
        }
    }

    async fn take(&self, queue: &Queue, message: Delivery) -> Result<(), Failure> {
        if let Some(batch) = envelope::unpack(Bytes::from(message.data)) {
            let topics = self.topics.lock();
            let wanted = batch.into_iter().filter(|(topic, _)| topics.contains(topic));
            wanted.for_each(|(topic, bytes)| self.hearing.hear(Heard::Payload { topic, bytes }));
        } else {
            metrics::counter!("chat_hints_unreadable_total").increment(1);
        }
        if message.delivery_tag.is_multiple_of(ACK_EVERY) {
            ask(queue.channel.basic_ack(message.delivery_tag, BasicAckOptions { multiple: true })).await?;
        }
        Ok(())
    }

    async fn assure(&self, queue: &Queue) -> Result<(), Failure> {
        self.exchange.declare(&queue.channel).await?;
        self.bind_all(queue).await
    }

    /// Binds all that is listened to.
    async fn bind_all(&self, queue: &Queue) -> Result<(), Failure> {
        let keys: Vec<_> = if self.exchange.partitioned {
            self.topics.lock().iter().copied().map(key).collect()
        } else {
            vec!["".into()]
        };
        self.bind(queue, keys).await
    }

    /// Binds a queue. The broker answers only the last one: the others came before it.
    async fn bind(&self, queue: &Queue, keys: Vec<ShortString>) -> Result<(), Failure> {
        let count = keys.len();
        for (number, key) in keys.into_iter().enumerate() {
            let options = QueueBindOptions { nowait: number + 1 < count };
            let (name, exchange) = (queue.name.clone(), self.exchange.name.clone());
            ask(queue.channel.queue_bind(name, exchange, key, options, FieldTable::default())).await?;
        }
        Ok(())
    }

    /// Hears these topics from now on, or, while there is no connection, from the next one on.
    pub(crate) async fn listen(&self, topics: &[Topic]) -> Result<(), Failure> {
        self.topics.lock().extend(topics);
        let Some(queue) = self.queue_if_partitioned() else { return Ok(()) };
        let bound = self.bind(&queue, topics.iter().copied().map(key).collect()).await;
        bound.inspect_err(|_| self.doubt())
    }

    pub(crate) async fn ignore(&self, topics: &[Topic]) -> Result<(), Failure> {
        self.topics.lock().retain(|topic| !topics.contains(topic));
        let Some(queue) = self.queue_if_partitioned() else { return Ok(()) };
        // Unlike a binding, each has an answer: all are asked before the first one is there.
        let unbound = topics.iter().map(|topic| {
            let (name, exchange) = (queue.name.clone(), self.exchange.name.clone());
            queue.channel.queue_unbind(name, exchange, key(*topic), FieldTable::default())
        });
        ask(try_join_all(unbound)).await.map(drop).inspect_err(|_| self.doubt())
    }

    fn queue_if_partitioned(&self) -> Option<Queue> {
        self.queue.lock().clone().filter(|_| self.exchange.partitioned)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use lapin::{
        BasicProperties,
        options::{BasicPublishOptions, ExchangeDeleteOptions},
    };

    use super::*;

    #[tokio::test]
    #[ignore = "needs RabbitMQ: scripts/test"]
    async fn what_was_said_of_an_old_session_does_not_end_the_next_one() {
        let config = crate::tests::config();
        let exchange = Exchange { name: format!("{}.fanout", config.namespace).into(), partitioned: false };
        let ear = Arc::new(Ear::new(&config, exchange.clone(), NodeId::random([1; 16])));
        let topic = Topic::new(7).unwrap();
        ear.listen(&[topic]).await.unwrap();
        let session = ear.open().await.unwrap();
        let channel = session.queue.channel.clone();
        ear.doubt(); // as a call does that failed after its connection was lost
        let mut heard = ear.hearing.stream(());
        let task = tokio::spawn(ear.clone().run(Some(session)));
        tokio::task::yield_now().await; // the session is heard, or was ended
        let bytes = Bytes::from("hello");
        for message in envelope::pack(&[(topic, bytes.clone())]) {
            let (name, properties) = (exchange.name.clone(), BasicProperties::default());
            let sent =
                channel.basic_publish(name, "".into(), BasicPublishOptions::default(), &message.bytes, properties);
            sent.await.unwrap();
        }
        assert_eq!(heard.next().await, Some(Heard::Payload { topic, bytes }));
        channel.exchange_delete(exchange.name, ExchangeDeleteOptions::default()).await.unwrap();
        task.abort();
    }
}
