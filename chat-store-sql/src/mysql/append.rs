//! Appending what is nearly everything: entries whose keys are new, by people who are known. Two round trips.

use chat_core::{
    StoreError, StoreErrorKind,
    model::changes,
    store::{Append, Outcome},
};
use sqlx::MySqlConnection;

use super::{
    MySql,
    script::Script,
    steps::{advance, complete, insert, lock},
};
use crate::{
    connection::{Connection, Db},
    error::during,
    project,
    server::{Server, transact},
    work::{Answer, Work},
};

/// Appends a batch. That a key is new is found out by the index that keeps them unique; only if it is not, or if something
/// else is refused, all keys are looked up first, in another transaction.
pub(super) async fn append(db: &mut Db<'_, MySqlConnection>, batch: Vec<Append>) -> Result<Answer, StoreError> {
    if let Some(answer) = usual(db, &batch).await? {
        return Ok(answer);
    }
    db.connection.command("ROLLBACK".to_owned()).await.map_err(during("begin again"))?;
    transact::<MySql>(db, Work::Append(batch)).await
}

/// Returns nothing, with the transaction still open, if it is not the usual case.
async fn usual(db: &mut Db<'_, MySqlConnection>, batch: &Vec<Append>) -> Result<Option<Answer>, StoreError> {
    let mut begin = Script::default();
    begin.say(MySql::BEGIN);
    let mut logs = lock(db, begin, &[batch]).await?;
    let answer: Answer = batch.iter().map(|share| logs.judge(share)).collect();
    // A key that is stored, or was, is said to be so whatever else is wrong.
    if !answer.iter().flatten().all(|outcome| matches!(outcome, Outcome::Stored(_))) {
        return Ok(None);
    }
    project::prepare(db, &logs.entries, &logs.names).await?;
    complete(db, &mut logs.numbers, logs.entries.iter()).await?;
    let rows: Vec<_> = logs.entries.iter().zip(logs.hashes.iter().copied().map(Some)).collect();
    let plain = logs.entries.iter().all(|entry| changes(entry).is_empty());
    let mut script = Script::default();
    insert(db, &mut script, &rows, &logs.numbers)?;
    advance(db, &mut script, &project::last(&logs.entries), &logs.numbers)?;
    if plain {
        script.say("COMMIT");
    }
    match script.run(db.connection, "insert entries").await {
        // A key that was not new; or a lock that somebody else was quicker to take.
        Err(error) if error.kind() == StoreErrorKind::Contended => return Ok(None),
        done => done?,
    }
    if !plain {
        project::change(db, &logs.entries).await?;
        db.connection.command("COMMIT".to_owned()).await.map_err(during("commit"))?;
    }
    Ok(Some(answer))
}
