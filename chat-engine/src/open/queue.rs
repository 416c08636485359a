//! Work queues by URL.

use std::sync::Arc;

use chat_core::{WorkQueue, memory::MemoryQueue, queue::DeadLetters};

use super::{OpenError, Part, Url};

/// Opens a work queue by URL, as [`ChatBuilder::queue`](crate::ChatBuilder::queue) does: for workers in a process of their
/// own, which need no chat.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), chat_engine::OpenError> {
/// let queue = chat_engine::open_queue("memory:").await?;
/// # drop(queue);
/// # Ok(())
/// # }
/// ```
pub async fn open_queue(url: &str) -> Result<Arc<dyn WorkQueue>, OpenError> {
    queue(&Url::new(url)).await
}

// Opening another one may need the network.
#[allow(clippy::unused_async)]
pub(crate) async fn queue(url: &Url) -> Result<Arc<dyn WorkQueue>, OpenError> {
    match url.scheme(Part::Queue)? {
        "memory" => Ok(Arc::new(MemoryQueue::new())),
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" => Ok(Arc::new(amqp(url)?)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => Ok(Arc::new(redis(url).await?)),
        scheme => Err(OpenError::unknown(Part::Queue, scheme)),
    }
}

/// Opens what a work queue on the network gave up, for operators' tools. That of a queue in memory is seen by its own
/// process only.
#[allow(clippy::unused_async)] // opening another one may need the network
pub async fn open_dead_letters(url: &str) -> Result<Arc<dyn DeadLetters>, OpenError> {
    let url = &Url::new(url);
    match url.scheme(Part::Queue)? {
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" => Ok(Arc::new(amqp(url)?)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => Ok(Arc::new(redis(url).await?)),
        scheme => Err(OpenError::unknown(Part::Queue, scheme)),
    }
}

#[cfg(feature = "amqp")]
fn amqp(url: &Url) -> Result<chat_broker_amqp::AmqpQueue, OpenError> {
    let config = chat_broker_amqp::AmqpConfig::parse(url.as_str());
    let config = config.map_err(|source| OpenError::refused(Part::Queue, url, source))?;
    Ok(chat_broker_amqp::AmqpQueue::new(config))
}

#[cfg(feature = "redis")]
async fn redis(url: &Url) -> Result<chat_redis::RedisQueue, OpenError> {
    let queue = chat_redis::RedisQueue::open(url.as_str()).await;
    queue.map_err(|source| OpenError::refused(Part::Queue, url, source))
}
