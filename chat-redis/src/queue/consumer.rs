//! Taking jobs, holding them, and saying what became of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::queue::{Consume, Delivery, QueueError, QueueErrorKind, Settle, Settlement};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use redis::{Value, from_redis_value};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{interval, sleep, timeout},
};

use super::{job, tray::Tray};
use crate::{error::Failure, servers::read, subscriber::Subscriber};

/// How often the queue is looked at when no bell rings: for what dead workers held, and should the bell be lost.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait after an error, of which the stream has told.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Returns what comes to one worker.
pub(super) fn deliveries(
    tray: Arc<Tray>,
    how: Consume,
    lease: Duration,
    subscriber: Arc<Subscriber>,
) -> BoxStream<'static, Result<Delivery, QueueError>> {
    let hands = Arc::new(Hands { tray, how, lease, held: Mutex::default(), room: Notify::new() });
    let keeping = tokio::spawn(keep(hands.clone())).abort_handle();
    let consumer = Consumer { hands, keeping, failed: false, _bell: subscriber };
    stream::unfold(consumer, |mut consumer| async move { Some((consumer.next().await, consumer)) }).boxed()
}

/// Is what one worker holds.
struct Hands {
    tray: Arc<Tray>,
    how: Consume,
    lease: Duration,
    /// Jobs, each with its attempt.
    held: Mutex<BTreeMap<u64, u32>>,
    /// Rings when one is settled.
    room: Notify,
}

struct Consumer {
    hands: Arc<Hands>,
    keeping: AbortHandle,
    failed: bool,
    _bell: Arc<Subscriber>,
}

impl Consumer {
    async fn next(&mut self) -> Result<Delivery, QueueError> {
        if std::mem::take(&mut self.failed) {
            sleep(AFTER_ERROR).await;
        }
        loop {
            let (room, bell) = (self.hands.room.notified(), self.hands.tray.bell.notified());
            if self.hands.held.lock().len() >= usize::from(self.hands.how.prefetch.max(1)) {
                room.await;
                continue;
            }
            // A task of its own: if this stream is dropped meanwhile, so is the delivery, which gives the job back.
            let taking = tokio::spawn(take(self.hands.clone()));
            let gone = || QueueError::new(QueueErrorKind::Unavailable, "the runtime ends");
            match taking.await.map_err(|_| gone()).and_then(|taken| taken.map_err(QueueError::from)) {
                Ok(Taken::Job(delivery)) => return Ok(delivery),
                Ok(Taken::Nothing(wait)) => _ = timeout(wait.min(LOOK), bell).await,
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.keeping.abort();
        let held = std::mem::take(&mut *self.hands.held.lock());
        for (id, attempt) in held {
            self.hands.give_back(id, attempt);
        }
    }
}

/// Is what there was to take.
enum Taken {
    Job(Delivery),
    /// Nothing for so long, unless the bell rings.
    Nothing(Duration),
}

async fn take(hands: Arc<Hands>) -> Result<Taken, Failure> {
    let what = "take a job";
    let mut call = hands.tray.call(include_str!("take.lua"));
    call.arg(ms(hands.lease)).arg(hands.how.attempts_max);
    let mut answer: Vec<Value> = hands.tray.ask(what, call).await?;
    if answer.len() < 6 {
        let wait: i64 = read(what, answer.pop().unwrap_or_default())?;
        return Ok(Taken::Nothing(u64::try_from(wait).map_or(LOOK, Duration::from_millis)));
    }
    let unreadable = |_| Failure::refused("read a job");
    let answer = from_redis_value(Value::Array(answer.split_off(1))).map_err(unreadable)?;
    let (id, attempt, priority, expires, body): (u64, u32, String, String, Vec<u8>) = answer;
    hands.held.lock().insert(id, attempt);
    let receipt = Receipt { hands, id, attempt };
    Ok(Taken::Job(Delivery::new(job(&priority, &expires, body), attempt, Box::new(receipt))))
}

/// Says every third of a lease what is held here still, until it is aborted.
async fn keep(hands: Arc<Hands>) {
    let mut tick = interval(hands.lease / 3);
    loop {
        tick.tick().await;
        let held = hands.held.lock().clone();
        if held.is_empty() {
            continue;
        }
        let mut call = hands.tray.call(include_str!("extend.lua"));
        for (id, attempt) in held {
            call.arg(id).arg(attempt);
        }
        if let Err(error) = hands.tray.ask::<Value>("keep jobs", call).await {
            tracing::debug!(?error, "others may take over what is held here");
        }
    }
}

impl Hands {
    /// Says what became of a delivery; `false` when it was given back meanwhile.
    async fn settle(&self, id: u64, attempt: u32, how: &Settlement) -> Result<bool, Failure> {
        let mut call = self.tray.call(include_str!("settle.lua"));
        call.arg(id).arg(attempt);
        match how {
            Settlement::Retry(after) => call.arg("retry").arg(self.how.attempts_max).arg(ms(*after)),
            Settlement::Dead(reason) => call.arg("dead").arg(self.how.attempts_max).arg(reason),
            _ => call.arg("done").arg(self.how.attempts_max),
        };
        self.tray.ask("settle a job", call).await
    }

    /// Lets others have a job at once. If that fails they have it when the lease is over.
    fn give_back(self: &Arc<Self>, id: u64, attempt: u32) {
        let hands = self.clone();
        self.tray.runtime.spawn(async move {
            if let Err(error) = hands.settle(id, attempt, &Settlement::Retry(Duration::ZERO)).await {
                tracing::debug!(?error, "a job is not given back before its lease is over");
            }
        });
    }

    fn let_go(&self, id: u64, attempt: u32) -> bool {
        let mut held = self.held.lock();
        let had = held.get(&id) == Some(&attempt) && held.remove(&id).is_some();
        drop(held);
        self.room.notify_waiters();
        had
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct Receipt {
    hands: Arc<Hands>,
    id: u64,
    attempt: u32,
}

#[async_trait]
impl Settle for Receipt {
    async fn settle(self: Box<Self>, how: Settlement) -> Result<(), QueueError> {
        let gone = || QueueError::new(QueueErrorKind::Other, "settle a delivery that was given back");
        if !self.hands.held.lock().contains_key(&self.id) {
            return Err(gone());
        }
        let settled = self.hands.settle(self.id, self.attempt, &how).await;
        // Whether or not the answer came: what is not settled comes again, here or elsewhere, when its lease is over.
        self.hands.let_go(self.id, self.attempt);
        if settled? { Ok(()) } else { Err(gone()) }
    }
}

impl Drop for Receipt {
    /// Gives the job back, unless it was settled.
    fn drop(&mut self) {
        if self.hands.let_go(self.id, self.attempt) {
            self.hands.give_back(self.id, self.attempt);
        }
    }
}
