//! Work queues by URL.

use std::sync::Arc;

use chat_core::{WorkQueue, memory::MemoryQueue};

use super::{OpenError, Part, Url};

// Opening one may need the network, so that all parts are opened alike.
pub(crate) async fn queue(url: &Url) -> Result<Arc<dyn WorkQueue>, OpenError> {
    match url.scheme(Part::Queue)? {
        "memory" => Ok(Arc::new(MemoryQueue::new())),
        scheme => Err(OpenError::unknown(Part::Queue, scheme)),
    }
}
