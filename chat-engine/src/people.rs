//! Stores whose people can be exported and erased.

use std::sync::Arc;

use chat_core::Personal;

use crate::{error::OpenError, open, url::Url};

/// Opens a store by URL for [`people`](chat_core::people): to hand out what is held of a person, or to forget them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use chat_engine::{UserId, chat_core::people};
/// let store = chat_engine::open_people("memory:").await?;
/// let erased = people::erase(&*store, &UserId::new("ann")?, |_| {}).await?;
/// assert!(erased.done);
/// # Ok(())
/// # }
/// ```
pub async fn open_people(url: &str) -> Result<Arc<dyn Personal>, OpenError> {
    Ok(open::full_store(&Url::new(url)).await?)
}
