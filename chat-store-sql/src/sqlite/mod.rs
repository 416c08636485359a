//! SQLite: one writer, several readers, one file.

mod append;
mod open;
#[cfg(test)]
mod plans;
mod project;
mod read;
mod rooms;
mod writer;

use chat_core::{StoreError, StoreErrorKind};
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};

use self::writer::{Answer, Job, Work, Writer};
use crate::{SqlConfig, error::during, prefix::Prefix};

/// How many calls wait for the writer before callers wait to join them. A call is bounded itself (the engine's batches).
const WAITING_MAX: usize = 256;

/// Is a store in one SQLite file.
///
/// SQLite lets one connection write at a time, so there is one, owned by a task that takes all that waits into one
/// transaction. Readers have connections of their own and are never in its way (write-ahead log).
pub(crate) struct Sqlite {
    work: mpsc::Sender<Job>,
    readers: SqlitePool,
    prefix: Prefix,
}

impl Sqlite {
    pub(crate) async fn connect(config: &SqlConfig) -> Result<Self, StoreError> {
        let prefix = Prefix::new(&config.namespace)?;
        let options = open::options(config)?;
        let mut connection = open::connect(&options, config.busy_timeout).await?;
        open::prepare(&mut connection, &prefix, config.migrate).await?;
        let readers = open::readers(&options, config.readers).await?;

        let (work, jobs) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Writer::new(connection, options, prefix.clone()).run(jobs));
        Ok(Self { work, readers, prefix })
    }

    /// Hands work to the writer and waits for its answer. A caller who leaves changes nothing: the work is done.
    async fn write(&self, work: Work) -> Result<Answer, StoreError> {
        let gone = || StoreError::new(StoreErrorKind::Unavailable, "write to a store that is closed");
        let (answer, answered) = oneshot::channel();
        self.work.send(Job { work, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    async fn reader(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(during("take a connection to read"))
    }
}

/// Writes rows as a JSON array, which a statement takes apart with `json_each`: any number of rows in one parameter.
fn array(rows: impl IntoIterator<Item = impl serde::Serialize>) -> Result<String, StoreError> {
    let rows: Vec<_> = rows.into_iter().collect();
    serde_json::to_string(&rows)
        .map_err(|error| StoreError::new(StoreErrorKind::Other, "write rows").with_source(error))
}

/// Writes 16 bytes as a text that `unhex` reads, for use in such an array.
fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
