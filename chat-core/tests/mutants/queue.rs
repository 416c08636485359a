//! Work queues with one defect each.

use std::{
    mem::{ManuallyDrop, forget},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    WorkQueue,
    conformance::queue::QueueUnderTest,
    memory::MemoryQueue,
    queue::{Consume, Delivery, Job, Priority, QueueError, QueueName, Settle, Settlement},
};
use futures::{Stream, StreamExt, stream::BoxStream};

use super::mutants;

mutants! {
    queue, under_test;
    a_pushed_job_is_delivered_once_it_is_consumed: RepeatsWhatIsDone,
    high_priority_goes_first: KnowsNoPriority,
    an_expired_job_is_never_delivered: KnowsNoExpiry,
    a_job_goes_to_one_worker: PushesTwice,
    prefetch_bounds_what_one_worker_holds: KnowsNoPrefetch,
    a_dropped_delivery_comes_again: LosesWhatIsDropped,
    a_consumer_that_leaves_gives_back_what_it_held: KeepsWhatALeaverHeld,
    a_retry_comes_after_its_delay: KnowsNoDelay,
    a_job_that_keeps_failing_goes_dead: NeverGivesUp,
    a_dead_job_never_comes_again: RaisesTheDead,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    RepeatsWhatIsDone,
    KnowsNoPriority,
    KnowsNoExpiry,
    PushesTwice,
    KnowsNoPrefetch,
    LosesWhatIsDropped,
    KeepsWhatALeaverHeld,
    KnowsNoDelay,
    NeverGivesUp,
    RaisesTheDead,
}

fn under_test(defect: Defect) -> QueueUnderTest {
    QueueUnderTest::new(Arc::new(Broken { memory: MemoryQueue::new(), defect }))
}

struct Broken {
    memory: MemoryQueue,
    defect: Defect,
}

type Jobs = BoxStream<'static, Result<Delivery, QueueError>>;

#[async_trait]
impl WorkQueue for Broken {
    async fn push(&self, queue: &QueueName, mut job: Job) -> Result<(), QueueError> {
        match self.defect {
            Defect::KnowsNoPriority => job.priority = Priority::Normal,
            Defect::KnowsNoExpiry => job.expires = None,
            Defect::PushesTwice => self.memory.push(queue, job.clone()).await?,
            _ => {}
        }
        self.memory.push(queue, job).await
    }

    async fn consume(&self, queue: &QueueName, mut how: Consume) -> Result<Jobs, QueueError> {
        match self.defect {
            Defect::KnowsNoPrefetch => how.prefetch = u16::MAX,
            Defect::NeverGivesUp => how.attempts_max = u32::MAX,
            _ => {}
        }
        let defect = self.defect;
        let jobs = self.memory.consume(queue, how).await?.map(move |delivery| {
            let delivery = delivery?;
            let (job, attempt) = (delivery.job.clone(), delivery.attempt);
            Ok(Delivery::new(job, attempt, Box::new(BrokenSettle(Some(delivery), defect))))
        });
        let jobs = jobs.boxed();
        Ok(if defect == Defect::KeepsWhatALeaverHeld {
            Leaked(ManuallyDrop::new(jobs.boxed())).boxed()
        } else {
            jobs.boxed()
        })
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn is_networked(&self) -> bool {
        false
    }
}

struct BrokenSettle(Option<Delivery>, Defect);

#[async_trait]
impl Settle for BrokenSettle {
    async fn settle(mut self: Box<Self>, how: Settlement) -> Result<(), QueueError> {
        let how = match (self.1, how) {
            (Defect::RepeatsWhatIsDone, Settlement::Done)
            | (Defect::KnowsNoDelay, Settlement::Retry(_))
            | (Defect::RaisesTheDead, Settlement::Dead(_)) => Settlement::Retry(Duration::ZERO),
            (_, how) => how,
        };
        match self.0.take() {
            Some(delivery) => delivery.settle(how).await,
            None => Ok(()),
        }
    }
}

impl Drop for BrokenSettle {
    fn drop(&mut self) {
        if self.1 == Defect::LosesWhatIsDropped {
            forget(self.0.take());
        }
    }
}

/// A consumer that is never seen to leave.
struct Leaked(ManuallyDrop<Jobs>);

impl Stream for Leaked {
    type Item = Result<Delivery, QueueError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}
