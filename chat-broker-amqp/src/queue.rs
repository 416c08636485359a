//! Jobs over RabbitMQ.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chat_core::queue::{Consume, Delivery, Job, QueueError, QueueErrorKind, QueueName, WorkQueue};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    AmqpConfig,
    connection::Dialer,
    letter::Letter,
    names::Names,
    publisher::Publisher,
    worker::{JOB_BYTES_MAX, Worker},
};

/// Hands jobs to workers over RabbitMQ. Cheap to clone.
///
/// Jobs are kept in durable quorum queues, two per name, one for each priority: a job that was pushed is on disk, and
/// in a cluster on most of its members. What is not settled comes again, also when its worker dies; after
/// [`Consume::attempts_max`] deliveries, or when it has expired, it goes to the dead letters, which are a queue, too,
/// and stay with their reason until somebody replays or purges them.
///
/// A delay is rounded up to one of seven lengths between a tenth of a second and an hour; a longer one is several.
#[derive(Clone)]
pub struct AmqpQueue(Arc<Inner>);

struct Inner {
    config: AmqpConfig,
    publisher: Arc<Publisher>,
    /// Dead letters are taken out to be looked at: two who look at once would each see a part.
    drawer: Mutex<()>,
}

impl AmqpQueue {
    /// Names the queues; connections are made when they are needed.
    pub fn new(config: AmqpConfig) -> Self {
        let publisher = Arc::new(Publisher::new(config.clone()));
        Self(Arc::new(Inner { config, publisher, drawer: Mutex::default() }))
    }

    pub(crate) fn dialer(&self, purpose: &'static str) -> Dialer {
        Dialer::new(self.0.config.clone(), purpose)
    }

    pub(crate) fn publisher(&self) -> &Arc<Publisher> {
        &self.0.publisher
    }

    pub(crate) fn names(&self) -> &Names {
        &self.0.publisher.names
    }

    pub(crate) async fn drawer_turn(&self) -> MutexGuard<'_, ()> {
        self.0.drawer.lock().await
    }
}

impl fmt::Debug for AmqpQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AmqpQueue").field(&self.0.config).finish()
    }
}

#[async_trait]
impl WorkQueue for AmqpQueue {
    async fn push(&self, queue: &QueueName, job: Job) -> Result<(), QueueError> {
        if job.body.len() > JOB_BYTES_MAX {
            return Err(QueueError::new(QueueErrorKind::Invalid, "push more than 1 MiB"));
        }
        self.publisher().push(queue, &Letter::new(job)).await.map_err(|failure| failure.queue("push a job"))
    }

    async fn consume(
        &self,
        queue: &QueueName,
        how: Consume,
    ) -> Result<BoxStream<'static, Result<Delivery, QueueError>>, QueueError> {
        let worker = Worker::start(self.dialer("works"), self.publisher().clone(), queue.clone(), how).await;
        let worker = worker.map_err(|failure| failure.queue("consume a queue"))?;
        Ok(stream::unfold(worker, |mut worker| async move { Some((worker.next().await, worker)) }).boxed())
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn is_networked(&self) -> bool {
        true
    }
}
