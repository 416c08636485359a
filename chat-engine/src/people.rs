//! Stores whose people can be exported and erased.

use std::sync::Arc;

use chat_core::{Personal, memory::MemoryStore};

use crate::{error::OpenError, open::Part, url::Url};

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
    let url = &Url::new(url);
    match url.scheme(Part::Store)? {
        "memory" => Ok(Arc::new(MemoryStore::new())),
        #[cfg(feature = "sqlite")]
        "sqlite" => sql(url).await,
        #[cfg(feature = "postgres")]
        "postgres" => sql(url).await,
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => sql(url).await,
        #[cfg(feature = "mongodb")]
        "mongodb" => match chat_store_mongo::MongoStore::open(url.as_str()).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(source) => Err(OpenError::Store { url: url.redacted(), source }),
        },
        scheme => Err(OpenError::unknown(Part::Store, scheme)),
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
async fn sql(url: &Url) -> Result<Arc<dyn Personal>, OpenError> {
    match chat_store_sql::SqlStore::open(url.as_str()).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => Err(OpenError::Store { url: url.redacted(), source }),
    }
}
