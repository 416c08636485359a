//! Brokers by URL.

use std::sync::Arc;

use chat_core::{Broker, memory::MemoryBroker};

use super::{OpenError, Part, Url};

pub(crate) async fn broker(url: &Url) -> Result<Arc<dyn Broker>, OpenError> {
    match url.scheme(Part::Broker)? {
        "memory" => Ok(Arc::new(MemoryBroker::new())),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => {
            match chat_redis::RedisBroker::open(url.as_str()).await {
                Ok(broker) => Ok(Arc::new(broker)),
                Err(source) => Err(OpenError::Broker { url: url.redacted(), source }),
            }
        }
        scheme => Err(OpenError::unknown(Part::Broker, scheme)),
    }
}
