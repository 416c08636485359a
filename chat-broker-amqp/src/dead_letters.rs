//! The jobs that nobody will do.

use async_trait::async_trait;
use chat_core::queue::{DeadId, DeadLetter, DeadLetters, Job, QueueError, QueueName};
use futures::StreamExt;
use lapin::{
    Channel, Connection,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions, QueuePurgeOptions,
    },
    types::FieldTable,
};

use crate::{
    AmqpQueue,
    connection::Dialer,
    error::{Failure, ask},
    letter::{self, Letter},
    names::{DEAD_MAX, Names},
};

/// Holds the dead letters of a queue in hand, oldest first. Others do not see them until it is closed, or until its
/// connection ends, which puts them back, too.
struct Drawer {
    letters: Vec<(DeadLetter, Delivery)>,
    channel: Channel,
    _connection: Connection,
}

impl Drawer {
    /// Takes out the letters that are ready now: a queue shows what is in it only to whoever takes it out. Those that
    /// another process holds at this moment are not among them. The broker hands them out in the order in which they came
    /// or were put back, so they are sorted here.
    async fn open(dialer: &Dialer, names: &Names, queue: &QueueName) -> Result<Self, Failure> {
        let connection = dialer.dial().await?;
        let channel = ask(connection.create_channel()).await?;
        let count = names.declare_dead(&channel, queue).await?;
        ask(channel.basic_qos(DEAD_MAX, BasicQosOptions::default())).await?;
        let all = BasicConsumeOptions::default();
        let mut messages = ask(channel.basic_consume(names.dead(queue), "".into(), all, FieldTable::default())).await?;
        let mut letters = Vec::new();
        for _ in 0..count.min(DEAD_MAX.into()) {
            let message = ask(async { messages.next().await.transpose() }).await?.ok_or(Failure::Cancelled)?;
            match letter::dead(&message) {
                Some(letter) => letters.push((letter, message)),
                None => drop(ask(message.ack(BasicAckOptions::default())).await?), // not ours: it would block the drawer
            }
        }
        letters.sort_by(|(one, _), (other, _)| (one.died, &one.id).cmp(&(other.died, &other.id)));
        Ok(Self { letters, channel, _connection: connection })
    }

    fn position(&self, id: &DeadId) -> Option<usize> {
        self.letters.iter().position(|(letter, _)| letter.id == *id)
    }

    /// Puts back what was not taken, and returns when others can see it again.
    async fn close(self, names: &Names, queue: &QueueName) -> Result<(), Failure> {
        let all = BasicNackOptions { multiple: true, requeue: true };
        ask(self.channel.basic_nack(0, all)).await?;
        // Answered after what was said before it.
        let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        ask(self.channel.queue_declare(names.dead(queue), look, FieldTable::default())).await.map(drop)
    }
}

impl AmqpQueue {
    async fn drawer(&self, queue: &QueueName) -> Result<Drawer, Failure> {
        Drawer::open(&self.dialer("looks after dead letters"), self.names(), queue).await
    }

    async fn replay_one(&self, queue: &QueueName, id: &DeadId) -> Result<bool, Failure> {
        let mut drawer = self.drawer(queue).await?;
        let Some(position) = drawer.position(id) else {
            drawer.close(self.names(), queue).await?;
            return Ok(false);
        };
        let (_, mut message) = drawer.letters.remove(position);
        let mut job = Letter::read(&mut message).job;
        job.expires = None;
        let pushed = self.publisher().push(queue, &Letter::new(job)).await;
        if pushed.is_ok() {
            ask(message.ack(BasicAckOptions::default())).await?;
        }
        drawer.close(self.names(), queue).await?;
        pushed.map(|()| true)
    }
}

#[async_trait]
impl DeadLetters for AmqpQueue {
    async fn list(&self, queue: &QueueName, after: Option<&DeadId>, limit: u16) -> Result<Vec<DeadLetter>, QueueError> {
        let _turn = self.drawer_turn().await;
        let list = async {
            let drawer = self.drawer(queue).await?;
            // Ids rise with time, so paging goes on even when the letter `after` was replayed meanwhile.
            let letters = drawer.letters.iter().map(|(letter, _)| letter);
            let next = letters.filter(|letter| after.is_none_or(|after| letter.id > *after));
            let page = next.take(limit.into()).cloned().collect();
            drawer.close(self.names(), queue).await?;
            Ok(page)
        };
        list.await.map_err(|failure: Failure| failure.queue("list dead letters"))
    }

    async fn inspect(&self, queue: &QueueName, id: &DeadId) -> Result<Option<Job>, QueueError> {
        let _turn = self.drawer_turn().await;
        let inspect = async {
            let mut drawer = self.drawer(queue).await?;
            let job = drawer.position(id).map(|position| Letter::read(&mut drawer.letters[position].1).job);
            drawer.close(self.names(), queue).await?;
            Ok(job)
        };
        inspect.await.map_err(|failure: Failure| failure.queue("inspect a dead letter"))
    }

    async fn replay(&self, queue: &QueueName, id: &DeadId) -> Result<bool, QueueError> {
        let _turn = self.drawer_turn().await;
        self.replay_one(queue, id).await.map_err(|failure| failure.queue("replay a dead letter"))
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, QueueError> {
        let _turn = self.drawer_turn().await;
        let purge = async {
            let connection = self.dialer("looks after dead letters").dial().await?;
            let channel = ask(connection.create_channel()).await?;
            self.names().declare_dead(&channel, queue).await?;
            ask(channel.queue_purge(self.names().dead(queue), QueuePurgeOptions::default())).await
        };
        purge.await.map(u64::from).map_err(|failure| failure.queue("purge dead letters"))
    }
}
