//! Dead letters with one defect each.

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{
    WorkQueue,
    conformance::{dead_letters::DeadLettersUnderTest, queue::QueueUnderTest},
    memory::MemoryQueue,
    queue::{DeadId, DeadLetter, DeadLetters, Job, QueueError, QueueName},
};

use super::mutants;

mutants! {
    dead_letters, under_test;
    dead_letters_are_listed_oldest_first: ListsBackwards,
    a_dead_letter_can_be_inspected: ForgetsWhatWasSaid,
    a_replayed_job_is_delivered_again: KeepsTheLetter,
    a_purge_forgets_all_letters: PurgesWhatLives,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    ListsBackwards,
    ForgetsWhatWasSaid,
    KeepsTheLetter,
    PurgesWhatLives,
}

fn under_test(defect: Defect) -> DeadLettersUnderTest {
    let memory = MemoryQueue::new();
    let queue = QueueUnderTest::new(Arc::new(memory.clone()));
    DeadLettersUnderTest::new(queue, Arc::new(Broken { memory, defect }))
}

struct Broken {
    memory: MemoryQueue,
    defect: Defect,
}

#[async_trait]
impl DeadLetters for Broken {
    async fn list(&self, queue: &QueueName, after: Option<&DeadId>, limit: u16) -> Result<Vec<DeadLetter>, QueueError> {
        let mut letters = self.memory.list(queue, after, limit).await?;
        if self.defect == Defect::ListsBackwards {
            letters.reverse();
        }
        Ok(letters)
    }

    async fn inspect(&self, queue: &QueueName, id: &DeadId) -> Result<Option<Job>, QueueError> {
        let job = self.memory.inspect(queue, id).await?;
        Ok(if self.defect == Defect::ForgetsWhatWasSaid { job.map(|_| Job::new("")) } else { job })
    }

    async fn replay(&self, queue: &QueueName, id: &DeadId) -> Result<bool, QueueError> {
        if self.defect != Defect::KeepsTheLetter {
            return self.memory.replay(queue, id).await;
        }
        let Some(job) = self.memory.inspect(queue, id).await? else { return Ok(false) };
        self.memory.push(queue, job).await.map(|()| true)
    }

    async fn purge(&self, queue: &QueueName) -> Result<u64, QueueError> {
        let letters = self.memory.purge(queue).await?;
        if self.defect == Defect::PurgesWhatLives {
            let mut jobs = self.memory.consume(queue, chat_core::queue::Consume::default()).await?;
            if let Some(Ok(alive)) = futures::StreamExt::next(&mut jobs).await {
                alive.settle(chat_core::queue::Settlement::Done).await?;
            }
        }
        Ok(letters)
    }
}
