//! What a dialect's store gives to the code that all share.

use std::{future::Future, ops::DerefMut, time::Duration};

use chat_core::{StoreError, StoreErrorKind};
use tokio::time::timeout;

use crate::{
    connection::{Arg, Db, Fetch},
    prefix::Prefix,
    steps::Steps,
    work::{Answer, Work},
};

/// How long a read may take: 10 s, twice as long as anybody waits for it. Ends the wait for a server that hangs.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Lends connections to read, and writes.
pub(crate) trait Backend: Send + Sync + 'static {
    type Connection: Steps;
    type Reader: DerefMut<Target = Self::Connection> + Send;

    fn prefix(&self) -> &Prefix;

    /// Lends a connection. One that is dropped before it is given [back](Self::give_back) was left in the middle of something.
    fn reader(&self) -> impl Future<Output = Result<Self::Reader, StoreError>> + Send;

    fn give_back(&self, reader: Self::Reader);

    /// Writes in one transaction. A caller who leaves changes nothing: the work is done.
    fn write(&self, work: Work) -> impl Future<Output = Result<Answer, StoreError>> + Send;

    /// Leaves nothing of what was deleted where it can be found by reading files of ours.
    fn scrub(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }
}

/// Is a dialect's store, as which it implements both ports (in `read.rs` and `listing.rs`).
pub(crate) struct Opened<B>(pub(crate) B);

impl<B: Backend> Opened<B> {
    /// Reads; every read of the ports is one statement.
    pub(crate) async fn fetch<T>(&self, what: &str, sql: &'static str, args: Vec<Arg>) -> Result<Vec<T>, StoreError>
    where
        B::Connection: Fetch<T>,
    {
        let mut reader = self.0.reader().await?;
        let mut db = Db { connection: &mut *reader, prefix: self.0.prefix() };
        let late = |_| StoreError::new(StoreErrorKind::Timeout, what);
        // Boxed: a driver's call is large, and thousands may wait for their reader.
        let rows = timeout(READ_WITHIN, Box::pin(db.fetch(what, sql, args))).await.map_err(late)??;
        self.0.give_back(reader);
        Ok(rows)
    }
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
mod tests {
    use super::*;
    use crate::{connection::args, row::RoomRow};

    /// Returns how large a read is while it waits.
    fn bytes<B: Backend<Connection: Fetch<RoomRow>>>() -> usize {
        fn of<'a, B: 'a, F: Future>(_: impl Fn(&'a Opened<B>) -> F) -> usize {
            size_of::<F>()
        }
        of(|store: &Opened<B>| store.fetch::<RoomRow>("read", "SELECT 1", args![0_u16]))
    }

    #[test]
    fn a_read_that_waits_for_its_turn_takes_little_memory() {
        #[cfg(feature = "sqlite")]
        assert!(bytes::<crate::sqlite::Sqlite>() < 1_024);
        #[cfg(feature = "postgres")]
        assert!(bytes::<crate::server::Connected<crate::postgres::Postgres>>() < 1_024);
        #[cfg(feature = "mysql")]
        assert!(bytes::<crate::server::Connected<crate::mysql::MySql>>() < 1_024);
    }
}
