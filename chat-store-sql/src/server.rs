//! A store on a server: who connects, who lends, who writes.

use std::{future::Future, sync::Arc, time::Duration};

use chat_core::{StoreError, StoreErrorKind};
use tokio::time::{Instant, timeout};

use crate::{
    SqlConfig,
    backend::Backend,
    connection::{Connection, Db},
    error::during,
    pool::{Lent, Pool},
    prefix::Prefix,
    steps::Steps,
    work::{Answer, Work},
};

/// How long a call may take beyond its wait for locks: 5 s. Ends the wait for a server that hangs.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait before a work that gave way is done again: 5 ms, about as long as a commit takes.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// Is a dialect that is spoken with a server.
pub(crate) trait Server: Send + Sync + 'static {
    type Connection: Steps + sqlx::Connection;
    /// Begins a transaction in which each statement sees what was committed before it.
    const BEGIN: &'static str;

    /// Connects, and sets the session so that the host's settings for others change nothing here.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, StoreError>> + Send;

    /// Does a work, and commits it.
    fn write(db: &mut Db<'_, Self::Connection>, work: Work) -> impl Future<Output = Result<Answer, StoreError>> + Send {
        transact::<Self>(db, work)
    }
}

/// Does a work in one transaction.
///
/// When it fails, the transaction may still be open: the connection must be dropped, which ends it.
pub(crate) async fn transact<S: Server + ?Sized>(
    db: &mut Db<'_, S::Connection>,
    work: Work,
) -> Result<Answer, StoreError> {
    db.connection.command(S::BEGIN.to_owned()).await.map_err(during("begin to write"))?;
    let mut answers = Work::carry_out(&[work], db).await?;
    db.connection.command("COMMIT".to_owned()).await.map_err(during("commit"))?;
    Ok(answers.pop().unwrap_or_default())
}

/// Is a store on a server, with its connections.
pub(crate) struct Connected<S: Server>(Arc<Shared<S>>);

struct Shared<S: Server> {
    server: S,
    prefix: Prefix,
    busy_timeout: Duration,
    readers: Pool<S::Connection>,
    writers: Pool<S::Connection>,
}

impl<S: Server> Connected<S> {
    pub(crate) fn new(server: S, prefix: Prefix, config: &SqlConfig) -> Self {
        let (readers, writers) = (Pool::new(config.readers), Pool::new(config.writers));
        Self(Arc::new(Shared { server, prefix, busy_timeout: config.busy_timeout, readers, writers }))
    }
}

impl<S: Server> Shared<S> {
    /// Does a work again as long as somebody else was quicker; keys make that harmless, and the other one is done by now.
    async fn write(&self, work: Work) -> Result<Answer, StoreError> {
        let began = Instant::now();
        loop {
            match self.attempt(work.clone()).await {
                Err(error) if error.kind() == StoreErrorKind::Contended && began.elapsed() < self.busy_timeout => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                done => return done,
            }
        }
    }

    async fn attempt(&self, work: Work) -> Result<Answer, StoreError> {
        let mut lent = self.writers.lend(|| self.server.connect()).await?;
        let mut db = Db { connection: &mut *lent, prefix: &self.prefix };
        let late = |_| StoreError::new(StoreErrorKind::Timeout, "write");
        let answer = timeout(self.busy_timeout + WRITE_WITHIN, S::write(&mut db, work)).await.map_err(late)??;
        // Only a connection on which all went well is used again: any other may be in a transaction, or owe an answer.
        lent.give_back();
        Ok(answer)
    }
}

impl<S: Server> Backend for Connected<S> {
    type Connection = S::Connection;
    type Reader = Lent<S::Connection>;

    fn prefix(&self) -> &Prefix {
        &self.0.prefix
    }

    async fn reader(&self) -> Result<Self::Reader, StoreError> {
        self.0.readers.lend(|| self.0.server.connect()).await
    }

    fn give_back(&self, reader: Self::Reader) {
        reader.give_back();
    }

    /// Writes in a task of its own, which a caller who leaves does not end.
    async fn write(&self, work: Work) -> Result<Answer, StoreError> {
        let shared = self.0.clone();
        let written = tokio::spawn(async move { shared.write(work).await }).await;
        written.map_err(|lost| StoreError::new(StoreErrorKind::Unavailable, "write").with_source(lost))?
    }
}
