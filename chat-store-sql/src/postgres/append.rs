//! Appending by the procedure of the schema.

use chat_core::{
    EntryId, Seq, StoreError, StoreErrorKind,
    model::{NewEntry, changes},
    store::{Append, Outcome},
};
use sqlx::{AssertSqlSafe, PgConnection};

use super::Postgres;
use crate::{
    connection::Db,
    error::{during, unreadable},
    row::{bytes, display_name},
    server::transact,
    work::{Answer, Work},
};

/// Calls the procedure; what is null are its answers.
const CALL: &str = "CALL {p}append(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, NULL, NULL, NULL)";

/// Appends a batch. Shares that only add to their logs, which are nearly all, are appended by the procedure; those that
/// change rooms or earlier messages, in a transaction.
///
/// The two commit one after the other. If only the second fails the outcome is unknown, as with any error: keys make the
/// repetition harmless.
pub(super) async fn append(db: &mut Db<'_, PgConnection>, batch: Vec<Append>) -> Result<Answer, StoreError> {
    let plain: Vec<bool> = batch.iter().map(|share| share.entries.iter().all(|new| is_plain(share, new))).collect();
    let (mut simple, mut others) = (Vec::new(), Vec::new());
    for (share, plain) in batch.into_iter().zip(&plain) {
        if *plain { simple.push(share) } else { others.push(share) }
    }
    let called = if simple.is_empty() { Answer::new() } else { call(db, &simple).await? };
    let transacted = if others.is_empty() {
        Answer::new()
    } else {
        let stored = !called.is_empty();
        transact::<Postgres>(db, Work::Append(others)).await.map_err(|error| half_done(stored, error))?
    };
    let (mut called, mut transacted) = (called.into_iter(), transacted.into_iter());
    let mut next = |plain| if plain { called.next() } else { transacted.next() };
    Ok(plain.iter().map(|plain| next(*plain).unwrap_or_default()).collect())
}

/// Tells whether an entry changes nothing but its own log.
fn is_plain(share: &Append, new: &NewEntry) -> bool {
    !new.body.restricts() && changes(&new.at(share.room, Seq::FIRST)).is_empty()
}

/// "Gave way" would say that nothing is stored.
fn half_done(stored: bool, error: StoreError) -> StoreError {
    if stored && error.kind() == StoreErrorKind::Contended {
        return StoreError::new(StoreErrorKind::Timeout, "append the rest of a batch").with_source(error);
    }
    error
}

/// Is what the procedure answers for each draft: an outcome, a position, an id.
type Answers = (Vec<i16>, Vec<i64>, Vec<Option<Vec<u8>>>);

async fn call(db: &mut Db<'_, PgConnection>, batch: &[Append]) -> Result<Answer, StoreError> {
    let drafts: Vec<_> = batch.iter().flat_map(|share| share.entries.iter().map(move |new| (share, new))).collect();
    if drafts.is_empty() {
        return Ok(vec![Vec::new(); batch.len()]);
    }
    let each = |of: fn(&NewEntry) -> &[u8]| drafts.iter().map(|(_, new)| of(new)).collect::<Vec<_>>();
    let numbers = |of: fn(&NewEntry) -> i64| drafts.iter().map(|(_, new)| of(new)).collect::<Vec<_>>();
    let answers: Answers = sqlx::query_as(AssertSqlSafe(db.prefix.fill(CALL)))
        .bind(drafts.iter().map(|(share, _)| share.room.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(drafts.iter().map(|(share, _)| share.guard.map(Seq::to_stored)).collect::<Vec<_>>())
        .bind(each(|new| new.id.as_bytes()))
        .bind(each(|new| new.key.as_bytes()))
        .bind(numbers(|new| new.key.unix_ms()))
        .bind(drafts.iter().map(|(_, new)| new.author.as_str()).collect::<Vec<_>>())
        .bind(drafts.iter().map(|(_, new)| display_name(&new.name)).collect::<Vec<_>>())
        .bind(each(|new| &new.hash.0))
        .bind(drafts.iter().map(|(_, new)| i16::from(new.body.is_message())).collect::<Vec<_>>())
        .bind(drafts.iter().map(|(_, new)| new.body.encode()).collect::<Vec<_>>())
        .bind(numbers(|new| new.at.0))
        .bind(numbers(|new| new.sent_at.0))
        .fetch_one(&mut *db.connection)
        .await
        .map_err(during("append"))?;
    let mut outcomes = outcomes(answers)?.into_iter();
    Ok(batch.iter().map(|share| outcomes.by_ref().take(share.entries.len()).collect()).collect())
}

fn outcomes((outcomes, seqs, found): Answers) -> Result<Vec<Outcome>, StoreError> {
    let rows = outcomes.into_iter().zip(seqs).zip(found);
    let outcome = |((outcome, seq), found): ((i16, i64), Option<Vec<u8>>)| {
        let seq = Seq::from_stored(seq);
        Ok(match (outcome, found) {
            (0, _) => Outcome::Stored(seq),
            (1, Some(id)) => Outcome::Duplicate(seq, EntryId::from_bytes(bytes(&id)?)),
            (2, _) => Outcome::Conflict,
            (3, _) => Outcome::Stale(seq),
            (4, _) => Outcome::Missing,
            (6, _) => Outcome::TooOld,
            _ => return Err(unreadable("answer")),
        })
    };
    rows.map(outcome).collect()
}
