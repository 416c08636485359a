//! Which URL opens which presence store.

use std::sync::Arc;

use chat_core::{Presence, memory::MemoryPresence};

use super::Part;
use crate::{error::OpenError, url::Url};

// Opening another one needs the network.
#[cfg_attr(not(feature = "redis"), allow(clippy::unused_async))]
pub(crate) async fn presence(url: &Url) -> Result<Arc<dyn Presence>, OpenError> {
    match url.scheme(Part::Presence)? {
        "memory" => Ok(Arc::new(MemoryPresence::new())),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => {
            match chat_redis::RedisPresence::open(url.as_str()).await {
                Ok(presence) => Ok(Arc::new(presence)),
                Err(source) => Err(OpenError::refused(Part::Presence, url, source)),
            }
        }
        scheme => Err(OpenError::unknown(Part::Presence, scheme)),
    }
}
