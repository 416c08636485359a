//! Opening all that a chat is kept in: one store, or two.

use std::sync::Arc;

use chat_core::{Seq, store::FullStore};

use crate::{Failure, url::StoreUrl};

/// Opens a store, together with that of its messages if they are in another. Refuses rooms whose messages are elsewhere when nobody
/// says where: half of a chat would be copied, or half of a person be forgotten.
pub(crate) async fn open(store: &StoreUrl, messages: Option<&StoreUrl>) -> Result<Arc<dyn FullStore>, Failure> {
    if let Some(messages) = messages {
        return Ok(chat_engine::open_hybrid(messages.reveal(), store.reveal()).await?);
    }
    let opened = chat_engine::open_full_store(store.reveal()).await?;
    if let Some(room) = opened.logs(None, 1).await?.first()
        && opened.kept(*room, Seq::ZERO, 1).await?.is_empty()
    {
        return Err(format!("{store} has rooms and no messages: say in which store those are (see --help)").into());
    }
    Ok(opened)
}
