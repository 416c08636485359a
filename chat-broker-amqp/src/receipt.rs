//! Saying what became of a job.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    clock::{Clock, SystemClock},
    queue::{QueueError, QueueName, Settle, Settlement},
};
use lapin::{
    message::Delivery as Message,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use crate::{
    error::{Failure, ask},
    letter::Letter,
    publisher::Publisher,
    worker::exhausted,
};

/// Settles one delivery. What has to be kept goes where it belongs before the broker may forget the delivery: in
/// between, a job may be twice, and never nowhere.
pub(crate) struct Receipt {
    /// The job, with this delivery counted.
    pub(crate) letter: Letter,
    pub(crate) message: Message,
    /// The session it was taken in.
    pub(crate) taken: Weak<()>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) queue: QueueName,
    pub(crate) attempts_max: u32,
    /// The hand that holds it; `None` as soon as it is settled.
    pub(crate) hand: Option<OwnedSemaphorePermit>,
}

impl Receipt {
    async fn pass_on(&mut self, how: Settlement) -> Result<(), Failure> {
        if self.taken.strong_count() == 0 {
            return Err(Failure::GivenBack);
        }
        match how {
            Settlement::Retry(_) if self.letter.attempts >= self.attempts_max => {
                self.bury(&exhausted(self.letter.attempts)).await?;
            }
            Settlement::Retry(after) => self.send_away(after).await?,
            Settlement::Dead(reason) => self.bury(&reason).await?,
            Settlement::Done | _ => {}
        }
        let settled = ask(self.message.ack(BasicAckOptions::default())).await?;
        self.hand = None;
        if settled { Ok(()) } else { Err(Failure::GivenBack) }
    }

    async fn send_away(&mut self, after: Duration) -> Result<(), Failure> {
        let ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        self.letter.due = (ms > 0).then(|| SystemClock.now().plus_ms(ms));
        self.publisher.delay(&self.queue, &self.letter, after).await
    }

    async fn bury(&self, reason: &str) -> Result<(), Failure> {
        self.publisher.bury(&self.queue, &self.letter, reason).await
    }
}

#[async_trait]
impl Settle for Receipt {
    async fn settle(mut self: Box<Self>, how: Settlement) -> Result<(), QueueError> {
        self.pass_on(how).await.map_err(|failure| failure.queue("settle a job"))
    }
}

impl Drop for Receipt {
    /// Gives the job back; the hand is free when the broker has been told. Without a runtime the job goes back with the
    /// session.
    fn drop(&mut self) {
        let (Some(hand), Ok(runtime)) = (self.hand.take(), Handle::try_current()) else { return };
        let acker = self.message.acker.clone();
        runtime.spawn(async move {
            let back = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            let _ = ask(acker.nack(back)).await; // a session that is gone has given it back
            drop(hand);
        });
    }
}
