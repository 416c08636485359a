//! SQLite: one writer, several readers, one file.

mod open;
#[cfg(test)]
mod plans;
mod reader;
mod sql;
mod writer;

use std::time::Duration;

use chat_core::{StoreError, StoreErrorKind};
use parking_lot::Mutex;
use sqlx::{SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::{mpsc, oneshot};

use self::{
    reader::Reader,
    writer::{Job, Writer},
};
use crate::{
    Dialect, SqlConfig,
    backend::Backend,
    pool::Pool,
    prefix::Prefix,
    work::{Answer, Work},
};

/// How many calls wait for the writer before callers wait to join them. A call is bounded itself (the engine's batches).
const WAITING_MAX: usize = 256;

/// Is a store in one SQLite file.
///
/// SQLite lets one connection write at a time, so there is one, owned by a task that takes all that waits into one
/// transaction. Readers have connections of their own and are never in its way (write-ahead log).
pub(crate) struct Sqlite {
    work: mpsc::Sender<Job>,
    readers: Pool<SqliteConnection>,
    /// A database in memory lives as long as a connection, and the others may be closed.
    _keeper: Option<Mutex<SqliteConnection>>,
    to_read: SqliteConnectOptions,
    prefix: Prefix,
    options: SqliteConnectOptions,
    busy_timeout: Duration,
}

impl Sqlite {
    pub(crate) async fn connect(config: &SqlConfig) -> Result<Self, StoreError> {
        let prefix = Prefix::new(&config.namespace, Dialect::Sqlite)?;
        let options = open::options(config)?;
        let mut connection = open::connect(&options, config.busy_timeout).await?;
        open::prepare(&mut connection, &prefix, config).await?;
        let (readers, to_read) = (Pool::new(config.readers), open::to_read(&options));
        let keeper = if open::is_in_memory(&config.url) {
            Some(Mutex::new(open::connect(&to_read, config.busy_timeout).await?))
        } else {
            None
        };

        let (work, jobs) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Writer::new(connection, options.clone(), prefix.clone()).run(jobs));
        Ok(Self { work, readers, _keeper: keeper, to_read, prefix, options, busy_timeout: config.busy_timeout })
    }
}

impl Backend for Sqlite {
    type Connection = SqliteConnection;
    type Reader = Reader;

    fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    async fn reader(&self) -> Result<Self::Reader, StoreError> {
        self.readers.lend(|| open::connect(&self.to_read, self.busy_timeout)).await.map(Reader::new)
    }

    fn give_back(&self, reader: Self::Reader) {
        reader.give_back();
    }

    async fn write(&self, work: Work) -> Result<Answer, StoreError> {
        let gone = || StoreError::new(StoreErrorKind::Unavailable, "write to a store that is closed");
        let (answer, answered) = oneshot::channel();
        self.work.send(Job { work, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Writes the file anew and empties the write-ahead log: both hold what was deleted until it is written over. Takes as
    /// long, and as much space, as copying the file, while others only read.
    async fn scrub(&self) -> Result<(), StoreError> {
        let mut connection = open::connect(&self.options, self.busy_timeout).await?;
        open::scrub(&mut connection).await
    }
}
