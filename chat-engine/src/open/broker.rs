//! Brokers by URL.

use std::sync::Arc;

use chat_core::{Broker, memory::MemoryBroker};

use super::{OpenError, Part, Url};

// Opening another one may need the network.
#[allow(clippy::unused_async)]
pub(crate) async fn broker(url: &Url) -> Result<Arc<dyn Broker>, OpenError> {
    match url.scheme(Part::Broker)? {
        "memory" => Ok(Arc::new(MemoryBroker::new())),
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" => {
            let config = chat_broker_amqp::AmqpConfig::parse(url.as_str());
            let config = config.map_err(|source| OpenError::refused(Part::Broker, url, source))?;
            Ok(Arc::new(chat_broker_amqp::AmqpBroker::new(config)))
        }
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => {
            match chat_redis::RedisBroker::open(url.as_str()).await {
                Ok(broker) => Ok(Arc::new(broker)),
                Err(source) => Err(OpenError::refused(Part::Broker, url, source)),
            }
        }
        scheme => Err(OpenError::unknown(Part::Broker, scheme)),
    }
}
