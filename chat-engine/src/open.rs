//! Opens stores, brokers, presence and queues by URL: one arm per adapter, a file per kind, here and nowhere else.

mod broker;
mod presence;
mod queue;

use std::{fmt, sync::Arc};

use chat_core::{
    Store,
    memory::MemoryStore,
    store::{FullStore, Restore},
};

use crate::{error::OpenError, url::Url};

pub use queue::{open_dead_letters, open_queue};
pub(crate) use {broker::broker, presence::presence, queue::queue};

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
    /// Returns the schemes that are compiled in.
    pub(crate) fn opened(self) -> impl Iterator<Item = &'static str> {
        let features = [
            ("sqlite", cfg!(feature = "sqlite")),
            ("postgres", cfg!(feature = "postgres")),
            ("mysql", cfg!(feature = "mysql")),
            ("mongodb", cfg!(feature = "mongodb")),
            ("amqp", cfg!(feature = "amqp")),
            ("redis", cfg!(feature = "redis")),
        ];
        let is_on = move |feature: &str| features.contains(&(feature, true));
        self.schemes().iter().filter(move |(_, feature)| feature.is_none_or(is_on)).map(|(scheme, _)| *scheme)
    }

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
            Self::Broker | Self::Queue => &[
                ("memory", None),
                ("amqp", Some("amqp")),
                ("amqps", Some("amqp")),
                ("redis", Some("redis")),
                ("rediss", Some("redis")),
                ("redis+cluster", Some("redis")),
                ("rediss+cluster", Some("redis")),
            ],
            Self::Presence => &[
                ("memory", None),
                ("redis", Some("redis")),
                ("rediss", Some("redis")),
                ("redis+cluster", Some("redis")),
                ("rediss+cluster", Some("redis")),
            ],
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

/// Opens a store by URL to move whole logs out of it or into it.
pub async fn open_restore(url: &str) -> Result<Arc<dyn Restore>, OpenError> {
    Ok(full_store(&Url::new(url)).await?)
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
