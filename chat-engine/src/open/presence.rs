//! Presence stores by URL.

use std::sync::Arc;

use chat_core::{Presence, memory::MemoryPresence};

use super::{OpenError, Part, Url};

pub(crate) async fn presence(url: &Url) -> Result<Arc<dyn Presence>, OpenError> {
    match url.scheme(Part::Presence)? {
        "memory" => Ok(Arc::new(MemoryPresence::new())),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => {
            match chat_redis::RedisPresence::open(url.as_str()).await {
                Ok(presence) => Ok(Arc::new(presence)),
                Err(source) => Err(OpenError::Presence { url: url.redacted(), source }),
            }
        }
        scheme => Err(OpenError::unknown(Part::Presence, scheme)),
    }
}
