//! Work queues by URL.

use std::sync::Arc;

use chat_core::{WorkQueue, memory::MemoryQueue};

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
        "amqp" => {
            let config = chat_broker_amqp::AmqpConfig::parse(url.as_str());
            let config = config.map_err(|source| OpenError::refused(Part::Queue, url, source))?;
            Ok(Arc::new(chat_broker_amqp::AmqpQueue::new(config)))
        }
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => {
            match chat_redis::RedisQueue::open(url.as_str()).await {
                Ok(queue) => Ok(Arc::new(queue)),
                Err(source) => Err(OpenError::refused(Part::Queue, url, source)),
            }
        }
        scheme => Err(OpenError::unknown(Part::Queue, scheme)),
    }
}
