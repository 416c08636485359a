//! What was given up, for operators.

use async_trait::async_trait;
use chat_core::{
    Timestamp,
    queue::{DeadId, DeadLetter, DeadLetters, Job, QueueError, QueueErrorKind, QueueName},
};

use super::{BYTES_MAX, RedisQueue, job};

/// The latest 1,000 letters of a queue are kept, or fewer if they are large.
#[async_trait]
impl DeadLetters for RedisQueue {
    async fn list(&self, queue: &QueueName, after: Option<&DeadId>, limit: u16) -> Result<Vec<DeadLetter>, QueueError> {
        let tray = self.tray(queue);
        let mut call = tray.call(include_str!("list.lua"));
        // Ids are of a stream: `(` leaves out the one after which the page begins.
        match after {
            Some(id) if !is_ours(id) => return Ok(Vec::new()),
            Some(id) => call.arg(format!("({}", id.as_str())),
            None => call.arg("-"),
        };
        call.arg(limit);
        let letters: Vec<(String, u32, String)> = tray.ask("list dead letters", call).await?;
        let letter = |(id, attempts, reason): (String, u32, String)| {
            let died = id.split_once('-').and_then(|(ms, _)| ms.parse().ok()).unwrap_or_default();
            DeadLetter::new(DeadId::new(id), reason, attempts, Timestamp(died))
        };
        Ok(letters.into_iter().map(letter).collect())
    }

    async fn inspect(&self, queue: &QueueName, id: &DeadId) -> Result<Option<Job>, QueueError> {
        if !is_ours(id) {
            return Ok(None);
        }
        let tray = self.tray(queue);
        let mut call = tray.call(include_str!("inspect.lua"));
        call.arg(id.as_str());
        let found: Option<(String, String, Vec<u8>)> = tray.ask("inspect a dead letter", call).await?;
        Ok(found.map(|(priority, expires, body)| job(&priority, &expires, body)))
    }

    async fn replay(&self, queue: &QueueName, id: &DeadId) -> Result<bool, QueueError> {
        if !is_ours(id) {
            return Ok(false);
        }
        let tray = self.tray(queue);
        let mut call = tray.call(include_str!("replay.lua"));
        call.arg(id.as_str()).arg(self.jobs_max).arg(BYTES_MAX);
        match tray.ask("replay a dead letter", call).await? {
            -1 => Err(QueueError::new(QueueErrorKind::Full, format!("replay a dead letter of {queue}"))),
            replayed => Ok(replayed == 1),
        }
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, QueueError> {
        let tray = self.tray(queue);
        Ok(tray.ask("purge dead letters", tray.call(include_str!("purge.lua"))).await?)
    }
}

/// Tells whether an id can be one of this adapter's; of another, there is no letter here.
fn is_ours(id: &DeadId) -> bool {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    id.as_str().split_once('-').is_some_and(|(ms, count)| is_number(ms) && is_number(count))
}
