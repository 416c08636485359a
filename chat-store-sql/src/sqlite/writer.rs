//! The one task that writes.

use std::sync::Arc;

use chat_core::StoreError;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::{mpsc, oneshot};

use super::open;
use crate::{
    connection::Db,
    error::during,
    prefix::Prefix,
    work::{Answer, Work},
};

/// How many waiting calls go into one transaction: 64, after which the cost of a commit no longer shows.
const TOGETHER_MAX: usize = 64;

/// Is work, and who waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<Answer, StoreError>>,
}

pub(super) struct Writer {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    prefix: Prefix,
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection, options: SqliteConnectOptions, prefix: Prefix) -> Self {
        Self { connection: Some(connection), options, prefix }
    }

    /// Works until nobody is left who could ask.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::with_capacity(TOGETHER_MAX);
        while jobs.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
            let (works, answers): (Vec<_>, Vec<_>) = waiting.drain(..).map(|job| (job.work, job.answer)).unzip();
            match self.transact(&works).await {
                Ok(all) => answers.into_iter().zip(all).for_each(|(answer, outcomes)| tell(answer, Ok(outcomes))),
                Err(error) if works.len() == 1 || error.is_transient() => {
                    let error = Arc::new(error);
                    for answer in answers {
                        tell(answer, Err(StoreError::new(error.kind(), "write").with_source(error.clone())));
                    }
                }
                // One call may be to blame: each gets a transaction of its own, and its own error.
                Err(_) => {
                    for (work, answer) in works.iter().zip(answers) {
                        tell(answer, self.alone(work).await);
                    }
                }
            }
        }
        if let Some(connection) = self.connection {
            let _ = connection.close().await; // nothing is open: what is not told here is told at the next start
        }
    }

    async fn alone(&mut self, work: &Work) -> Result<Answer, StoreError> {
        Ok(self.transact(std::slice::from_ref(work)).await?.pop().unwrap_or_default())
    }

    /// Does all works in one transaction. When it fails nothing is left behind, neither data nor a transaction.
    async fn transact(&mut self, works: &[Work]) -> Result<Vec<Answer>, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open::connect(&self.options, std::time::Duration::ZERO).await?,
        };
        let done = self.attempt(&mut connection, works).await;
        // A connection that cannot even roll back is dropped, which ends its transaction.
        if done.is_ok() || sqlx::query("ROLLBACK").execute(&mut connection).await.is_ok() {
            self.connection = Some(connection);
        }
        done
    }

    async fn attempt(&self, connection: &mut SqliteConnection, works: &[Work]) -> Result<Vec<Answer>, StoreError> {
        // IMMEDIATE takes the write lock before anything is read. A transaction that reads first and is then overtaken
        // by another process fails at once with BUSY_SNAPSHOT, however long it is allowed to wait.
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(during("begin to write"))?;
        let mut db = Db { connection: &mut *connection, prefix: &self.prefix };
        let answers = Work::carry_out(works, &mut db).await?;
        sqlx::query("COMMIT").execute(connection).await.map_err(during("commit"))?;
        Ok(answers)
    }
}

/// Answers, if the caller is still there.
fn tell(answer: oneshot::Sender<Result<Answer, StoreError>>, outcome: Result<Answer, StoreError>) {
    let _ = answer.send(outcome);
}
