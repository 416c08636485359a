//! A worker in a process of its own: it does the jobs of the queue `jobs` and reports them in the queue `done`.
//!
//! ```sh
//! cargo run -p chat-redis --example worker -- redis://127.0.0.1:6379
//! ```
//!
//! Start several, and kill some: what they had in hand is done by the others when its lease is over. A second argument
//! is the lease in milliseconds.

use std::{error::Error, time::Duration};

use chat_core::queue::{Consume, Job, QueueName, Settlement, WorkQueue};
use chat_redis::RedisQueue;
use futures::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: worker URL [LEASE]")?;
    let lease = Duration::from_millis(arguments.next().map_or(Ok(30_000), |ms| ms.parse())?);
    let queue = RedisQueue::open(&url).await?.with_lease(lease);
    let mut how = Consume::default();
    how.attempts_max = 100; // a worker that is killed is not the job's fault
    let mut jobs = queue.consume(&QueueName::new("jobs")?, how).await?;
    while let Some(job) = jobs.next().await {
        let job = job?;
        tokio::time::sleep(Duration::from_millis(20)).await; // the work
        queue.push(&QueueName::new("done")?, Job::new(job.job.body.clone())).await?;
        job.settle(Settlement::Done).await?;
    }
    Ok(())
}
