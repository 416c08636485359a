//! Writing the logs, inside a transaction.

use chat_core::{Key, RoomId, Seq, StoreError, store::Append};

use crate::{
    connection::{Db, args},
    project,
    row::bytes,
    steps::{Steps, lock},
    work::Answer,
};

/// Returns the key with the highest time (its first bytes) among what is to be forgotten: everything up to `?2` but
/// the last entry, and but the creation, which keeps its row for the sake of its key.
const OLD: &str = r#"
    SELECT e."key" FROM {p}rooms AS r
    CROSS JOIN {p}entries AS e ON e.room = r.num AND e.seq BETWEEN 2 AND least(?2, r.head - 1)
    WHERE r.id = ?1 ORDER BY e."key" DESC LIMIT 1"#;

const FORGET: &str = "
    DELETE FROM {p}entries WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)
       AND seq BETWEEN 2 AND least(?2, (SELECT head - 1 FROM {p}rooms WHERE id = ?1))";

const FORGOTTEN: &str = "
    UPDATE {p}rooms SET first = greatest(first, least(?2 + 1, head)),
                        trimmed_ms = nullif(greatest(coalesce(trimmed_ms, -1), ?3), -1)
    WHERE id = ?1";

/// Appends the batches of several calls.
pub(crate) async fn append<C: Steps>(db: &mut Db<'_, C>, calls: &[&Vec<Append>]) -> Result<Vec<Answer>, StoreError> {
    let mut logs = C::look(db, calls).await?;
    let answers = calls.iter().map(|batch| batch.iter().map(|share| logs.judge(share)).collect()).collect();
    if !logs.entries.is_empty() {
        project::prepare(db, &logs.entries, &logs.names).await?;
        let rows: Vec<_> = logs.entries.iter().zip(logs.hashes.iter().copied().map(Some)).collect();
        C::insert(db, &rows, &logs.numbers).await?;
        project::apply(db, &logs.entries, &logs.numbers).await?;
    }
    Ok(answers)
}

pub(crate) async fn trim<C: Steps>(db: &mut Db<'_, C>, room: RoomId, through: Seq) -> Result<(), StoreError> {
    let what = "trim a log";
    lock(db, [room].into()).await?;
    let old: Vec<(Vec<u8>,)> = db.fetch(what, OLD, args![room, through]).await?;
    let trimmed_ms = old.first().map(|(key,)| bytes(key).map(|key| Key::from_bytes(key).unix_ms())).transpose()?;
    db.execute(what, FORGET, args![room, through]).await?;
    db.execute(what, FORGOTTEN, args![room, through, trimmed_ms.unwrap_or(-1)]).await?;
    Ok(())
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[OLD, FORGET, FORGOTTEN];
