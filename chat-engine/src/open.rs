//! Opens stores, brokers, presence and queues by URL: one arm per adapter, here and nowhere else.

use std::{fmt, sync::Arc};

use chat_core::{
    Broker, Presence, Store, WorkQueue,
    memory::{MemoryBroker, MemoryPresence, MemoryQueue, MemoryStore},
    store::FullStore,
};

use crate::{error::OpenError, url::Url};

/// Is what an engine is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Where the logs and the rooms are kept.
    Store,
    /// What carries hints between nodes.
    Broker,
    /// What knows who is online.
    Presence,
    /// What hands jobs to workers.
    Queue,
}

impl Part {
    /// Returns the schemes that this part can be opened by, each with the cargo feature that adds it, if it needs one.
    pub(crate) const fn schemes(self) -> &'static [(&'static str, Option<&'static str>)] {
        match self {
            Self::Store => &[
                ("memory", None),
                ("sqlite", Some("sqlite")),
                ("postgres", Some("postgres")),
                ("mysql", Some("mysql")),
                ("mariadb", Some("mysql")),
                ("mongodb", Some("mongodb")),
            ],
            Self::Broker | Self::Presence | Self::Queue => &[("memory", None)],
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store => "store",
            Self::Broker => "broker",
            Self::Presence => "presence",
            Self::Queue => "queue",
        })
    }
}

/// Opens a store by URL, as [`ChatBuilder::store`](crate::ChatBuilder::store) does: for tools that need no chat, and
/// for hosts that want to know that it can be opened before they go on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), chat_engine::OpenError> {
/// let store = chat_engine::open_store("memory:").await?;
/// let chat = chat_engine::Chat::builder().store(store).build().await?;
/// # drop(chat);
/// # Ok(())
/// # }
/// ```
pub async fn open_store(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    store(&Url::new(url)).await
}

/// Opens a store by URL with all that is optional, such as its feed: for operators' tools.
pub async fn open_full_store(url: &str) -> Result<Arc<dyn FullStore>, OpenError> {
    full_store(&Url::new(url)).await
}

pub(crate) async fn store(url: &Url) -> Result<Arc<dyn Store>, OpenError> {
    Ok(full_store(url).await?)
}

pub(crate) async fn full_store(url: &Url) -> Result<Arc<dyn FullStore>, OpenError> {
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
async fn sql(url: &Url) -> Result<Arc<dyn FullStore>, OpenError> {
    match chat_store_sql::SqlStore::open(url.as_str()).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(source) => Err(OpenError::Store { url: url.redacted(), source }),
    }
}

// Opening any of these may need the network one day, so that all are async alike.
pub(crate) async fn broker(url: &Url) -> Result<Arc<dyn Broker>, OpenError> {
    match url.scheme(Part::Broker)? {
        "memory" => Ok(Arc::new(MemoryBroker::new())),
        scheme => Err(OpenError::unknown(Part::Broker, scheme)),
    }
}

pub(crate) async fn presence(url: &Url) -> Result<Arc<dyn Presence>, OpenError> {
    match url.scheme(Part::Presence)? {
        "memory" => Ok(Arc::new(MemoryPresence::new())),
        scheme => Err(OpenError::unknown(Part::Presence, scheme)),
    }
}

pub(crate) async fn queue(url: &Url) -> Result<Arc<dyn WorkQueue>, OpenError> {
    match url.scheme(Part::Queue)? {
        "memory" => Ok(Arc::new(MemoryQueue::new())),
        scheme => Err(OpenError::unknown(Part::Queue, scheme)),
    }
}
