//! A chat on two stores: the logs in one, the rooms in the other.

use std::sync::Arc;

use chat_core::store::{FullStore, Hybrid, RoomStore};

use crate::{OpenError, open, url::Url};

/// Opens two stores as one by their URLs, as [`ChatBuilder::messages`](crate::ChatBuilder::messages) does: for tools, and for hosts
/// that want to know that they can be opened. What a crash left is caught up with before it returns.
pub async fn open_hybrid(messages: &str, store: &str) -> Result<Arc<dyn FullStore>, OpenError> {
    let rooms = open::full_store(&Url::new(store)).await?;
    Ok(join(open::full_store(&Url::new(messages)).await?, rooms).await?)
}

/// Joins two stores.
pub(crate) async fn join<R: RoomStore + 'static>(
    log: Arc<dyn FullStore>,
    rooms: R,
) -> Result<Arc<Hybrid<Arc<dyn FullStore>, R>>, OpenError> {
    Hybrid::open(log, rooms).await.map_err(OpenError::Hybrid)
}
