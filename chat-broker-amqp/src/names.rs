//! What the queues are called, and how they are made.

use std::{sync::Arc, time::Duration};

use chat_core::queue::{Priority, QueueName};
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use uuid::Uuid;

use crate::{
    AmqpConfig,
    error::{Failure, ask},
};

/// Dead letters kept per queue: enough to see what goes wrong; older ones are forgotten.
pub(crate) const DEAD_MAX: u16 = 1_000;
/// What they may hold together.
const DEAD_BYTES_MAX: i32 = 64 * 1024 * 1024;
/// How long a job can be sent away for; longer delays are several of these. The broker lets messages expire at the
/// head of a queue only, so there is a queue for each length.
const STEPS: [Duration; 7] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
];

/// Knows the names under one namespace.
#[derive(Clone)]
pub(crate) struct Names {
    namespace: Arc<str>,
    jobs_max: i64,
}

impl Names {
    pub(crate) fn of(config: &AmqpConfig) -> Self {
        Self { namespace: config.namespace.clone(), jobs_max: config.jobs_max.into() }
    }

    pub(crate) fn jobs(&self, queue: &QueueName, priority: Priority) -> ShortString {
        let priority = match priority {
            Priority::High => "high",
            Priority::Normal => "normal",
        };
        format!("{}.jobs.{queue}.{priority}", self.namespace).into()
    }

    pub(crate) fn dead(&self, queue: &QueueName) -> ShortString {
        format!("{}.dead.{queue}", self.namespace).into()
    }

    /// Returns the exchange, and the queue, in which messages wait for a time.
    pub(crate) fn delay(&self, after: Duration) -> (ShortString, Duration) {
        let step = STEPS.iter().find(|step| **step >= after).unwrap_or(&STEPS[STEPS.len() - 1]);
        (format!("{}.delay.{}ms", self.namespace, step.as_millis()).into(), *step)
    }

    /// Returns the exchange over which workers are told that there may be a job.
    pub(crate) fn bells(&self) -> ShortString {
        format!("{}.bells", self.namespace).into()
    }

    /// Makes the queues for jobs of this name.
    pub(crate) async fn declare_jobs(&self, channel: &Channel, queue: &QueueName) -> Result<(), Failure> {
        for priority in [Priority::High, Priority::Normal] {
            let arguments = [("x-max-length", AMQPValue::LongLongInt(self.jobs_max)), refuse()];
            declare(channel, self.jobs(queue, priority), arguments).await?;
        }
        self.declare_dead(channel, queue).await?;
        self.write_down(channel).await
    }

    /// Makes the queue for dead letters, and returns how many it holds.
    pub(crate) async fn declare_dead(&self, channel: &Channel, queue: &QueueName) -> Result<u32, Failure> {
        let arguments = [("x-max-length", DEAD_MAX.into()), ("x-max-length-bytes", DEAD_BYTES_MAX.into())];
        declare(channel, self.dead(queue), arguments).await
    }

    /// Makes the queue in which jobs wait: when their time is over the broker moves them to the queue that they are
    /// addressed to.
    pub(crate) async fn declare_delay(&self, channel: &Channel, after: Duration) -> Result<ShortString, Failure> {
        let (name, step) = self.delay(after);
        let ttl = u32::try_from(step.as_millis()).unwrap_or(u32::MAX); // an hour at most
        let arguments = [
            ("x-message-ttl", AMQPValue::LongUInt(ttl)),
            ("x-dead-letter-exchange", AMQPValue::LongString("".into())),
            // Or a message is lost when the broker dies while it moves it.
            ("x-dead-letter-strategy", AMQPValue::LongString("at-least-once".into())),
            refuse(),
        ];
        declare(channel, name.clone(), arguments).await?;
        exchange(channel, name.clone(), ExchangeKind::Fanout).await?;
        bind(channel, name.clone(), name.clone(), "".into()).await?;
        self.write_down(channel).await?;
        Ok(name)
    }

    /// Has the broker write down which queues it has made: what it confirms is on disk, but it keeps the name of the newest
    /// quorum queue in memory for three seconds. Killed within them, it would not find again what that queue held. The
    /// next quorum queue that is made has the ones before it written down, so one is made, and removed.
    async fn write_down(&self, channel: &Channel) -> Result<(), Failure> {
        // Under a fresh name each time: one that is still in memory would not do.
        let name = ShortString::from(format!("{}.next.{}", self.namespace, Uuid::now_v7().simple()));
        let soon_gone = ("x-expires", AMQPValue::LongUInt(60_000)); // if we do not come to removing it
        declare(channel, name.clone(), [soon_gone]).await?;
        ask(channel.queue_delete(name, QueueDeleteOptions::default())).await.map(drop)
    }

    pub(crate) async fn declare_bells(&self, channel: &Channel) -> Result<(), Failure> {
        exchange(channel, self.bells(), ExchangeKind::Direct).await
    }

    /// Makes a worker's own bell. It rings once, however often it was pulled.
    pub(crate) async fn declare_bell(&self, channel: &Channel, queue: &QueueName) -> Result<ShortString, Failure> {
        let name = ShortString::from(format!("{}.bell.{}", self.namespace, Uuid::now_v7().simple()));
        let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), 1.into());
        ask(channel.queue_declare(name.clone(), own, arguments)).await?;
        bind(channel, name.clone(), self.bells(), queue.as_str().into()).await?;
        Ok(name)
    }
}

/// RabbitMQ 4 throws away what came back twenty times, unless it is told another number. Whoever looks at a dead letter puts
/// it back, and how often a job may fail is counted here.
const DELIVERIES_MAX: i32 = 1_000_000;

type Argument = (&'static str, AMQPValue);

/// A full queue refuses what comes, so that whoever pushes learns of it.
fn refuse() -> Argument {
    ("x-overflow", AMQPValue::LongString("reject-publish".into()))
}

/// Declares a queue that survives the broker's restart and, in a cluster, the loss of a member.
async fn declare(
    channel: &Channel,
    name: ShortString,
    arguments: impl IntoIterator<Item = Argument>,
) -> Result<u32, Failure> {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERIES_MAX));
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    Ok(ask(channel.queue_declare(name, durable, table)).await?.message_count())
}

async fn exchange(channel: &Channel, name: ShortString, kind: ExchangeKind) -> Result<(), Failure> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    ask(channel.exchange_declare(name, kind, durable, FieldTable::default())).await
}

async fn bind(channel: &Channel, queue: ShortString, to: ShortString, key: ShortString) -> Result<(), Failure> {
    ask(channel.queue_bind(queue, to, key, QueueBindOptions::default(), FieldTable::default())).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_delay_is_at_least_as_long_as_asked_up_to_an_hour() {
        let names = Names::of(&AmqpConfig::parse("amqp://127.0.0.1").unwrap());
        for ms in [1, 100, 101, 3_000, 60_000, 3_600_000] {
            assert!(names.delay(Duration::from_millis(ms)).1 >= Duration::from_millis(ms), "{ms}");
        }
        assert_eq!(names.delay(Duration::from_hours(5)).1, Duration::from_hours(1));
    }
}
