//! Taking jobs out of their queues.
//!
//! A worker asks for one job at a time, the high ones first: a broker that sends ahead would fill a busy worker's hands
//! with jobs that an idle one could do, and mix the priorities. So that nobody has to ask all the time, whoever pushes
//! rings a bell, and who has nothing to do waits for it.

use std::{sync::Arc, time::Duration};

use chat_core::{
    clock::{Clock, SystemClock},
    queue::{Consume, Delivery, Priority, QueueError, QueueName},
};
use futures::StreamExt;
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery as Message,
    options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    connection::{Dialer, Pause},
    error::{Failure, ask},
    letter::Letter,
    publisher::Publisher,
    receipt::Receipt,
};

/// A worker that hears no bell looks by itself this often: for jobs that come back, from a delay or from another
/// worker, and because bells can get lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The largest job; a larger one is none that we pushed.
pub(crate) const JOB_BYTES_MAX: usize = 1024 * 1024;

/// Takes the jobs of one queue, over a connection of its own that is made again whenever it is lost.
pub(crate) struct Worker {
    dialer: Dialer,
    publisher: Arc<Publisher>,
    queue: QueueName,
    how: Consume,
    session: Option<Session>,
    pause: Pause,
}

/// Is a connection over which jobs are taken. With it goes what was taken over it and not settled.
struct Session {
    channel: Channel,
    bell: Consumer,
    hands: Arc<Semaphore>,
    /// Alive as long as this session: a delivery can only be settled where it was taken.
    here: Arc<()>,
    _connection: Connection,
}

impl Worker {
    /// Connects, so that what is wrong with the broker's configuration is known at once.
    pub(crate) async fn start(
        dialer: Dialer,
        publisher: Arc<Publisher>,
        queue: QueueName,
        how: Consume,
    ) -> Result<Self, Failure> {
        let mut worker = Self { dialer, publisher, queue, how, session: None, pause: Pause::new() };
        worker.session = Some(worker.open().await?);
        Ok(worker)
    }

    /// Returns the next job, or, once for each time, that the connection was lost.
    pub(crate) async fn next(&mut self) -> Result<Delivery, QueueError> {
        let next = self.next_over_session().await;
        if next.is_err() {
            self.session = None;
        }
        next.map_err(|failure| failure.queue("take a job from RabbitMQ"))
    }

    async fn next_over_session(&mut self) -> Result<Delivery, Failure> {
        if self.session.is_none() {
            self.pause.wait().await;
            self.session = Some(self.open().await?);
        }
        let session = self.session.as_ref().ok_or(Failure::Unconnected)?;
        let next = self.take(session).await?;
        self.pause = Pause::new();
        Ok(next)
    }

    async fn open(&self) -> Result<Session, Failure> {
        let connection = self.dialer.dial().await?;
        let channel = ask(connection.create_channel()).await?;
        let names = &self.publisher.names;
        names.declare_jobs(&channel, &self.queue).await?;
        names.declare_bells(&channel).await?;
        let bell = names.declare_bell(&channel, &self.queue).await?;
        ask(channel.basic_qos(1, BasicQosOptions::default())).await?; // of bells: jobs are asked for
        let bell = channel.basic_consume(bell, "".into(), BasicConsumeOptions::default(), FieldTable::default());
        let bell = ask(bell).await?;
        let hands = Arc::new(Semaphore::new(self.how.prefetch.max(1).into()));
        Ok(Session { channel, bell, hands, here: Arc::default(), _connection: connection })
    }

    /// Waits until a hand is free and there is a job for it.
    async fn take(&self, session: &Session) -> Result<Delivery, Failure> {
        let hand = session.hands.clone().acquire_owned().await.map_err(|_| Failure::Cancelled)?;
        let mut bell = session.bell.clone();
        loop {
            if let Some(mut message) = self.look(&session.channel).await? {
                let Some(letter) = self.sort_out(&mut message).await? else { continue };
                return Ok(self.hand_out(session, message, letter, hand));
            }
            match timeout(LOOK_EVERY, bell.next()).await {
                Ok(Some(rung)) => ask(rung?.ack(BasicAckOptions::default())).await.map(drop)?,
                Ok(None) => return Err(Failure::Cancelled),
                Err(_) => {} // time to look
            }
        }
    }

    async fn look(&self, channel: &Channel) -> Result<Option<Message>, Failure> {
        for priority in [Priority::High, Priority::Normal] {
            let name = self.publisher.names.jobs(&self.queue, priority);
            if let Some(message) = ask(channel.basic_get(name, BasicGetOptions::default())).await? {
                return Ok(Some(message.delivery));
            }
        }
        Ok(None)
    }

    /// Puts aside what is not to be delivered now, or never.
    async fn sort_out(&self, message: &mut Message) -> Result<Option<Letter>, Failure> {
        let (letter, now) = (Letter::read(message), SystemClock.now());
        let publisher = &self.publisher;
        if let Some(due) = letter.due.filter(|due| *due > now) {
            let left = Duration::from_millis(due.ms_since(now).max(1).cast_unsigned());
            publisher.delay(&self.queue, &letter, left).await?;
        } else if letter.job.body.len() > JOB_BYTES_MAX {
            publisher.bury(&self.queue, &letter, "larger than a job may be").await?;
        } else if letter.job.expires.is_some_and(|expires| expires <= now) {
            publisher.bury(&self.queue, &letter, "expired").await?;
        } else if letter.attempts >= self.how.attempts_max {
            publisher.bury(&self.queue, &letter, &exhausted(letter.attempts)).await?;
        } else {
            return Ok(Some(letter));
        }
        ask(message.ack(BasicAckOptions::default())).await?;
        Ok(None)
    }

    fn hand_out(
        &self,
        session: &Session,
        message: Message,
        mut letter: Letter,
        hand: OwnedSemaphorePermit,
    ) -> Delivery {
        letter.attempts += 1;
        let (job, attempt) = (letter.job.clone(), letter.attempts);
        let receipt = Receipt {
            letter,
            message,
            taken: Arc::downgrade(&session.here),
            publisher: self.publisher.clone(),
            queue: self.queue.clone(),
            attempts_max: self.how.attempts_max,
            hand: Some(hand),
        };
        Delivery::new(job, attempt, Box::new(receipt))
    }
}

/// Says that a job was tried often enough.
pub(crate) fn exhausted(attempts: u32) -> String {
    format!("not done after {attempts} attempts")
}
