//! Writing the logs.

use std::collections::HashMap;

use chat_core::{
    Body, Entry, EntryId, Key, RoomId, Seq, StoreError, UserId,
    model::{BodyHash, NewEntry},
    store::{Append, Known, Outcome, Standing},
};
use sqlx::SqliteConnection;

use super::{array, hex, project, writer::Answer};
use crate::{
    error::{during, unreadable},
    prefix::Prefix,
    row::{bytes, hash},
};

/// Returns one row per draft: how its room stands, and what is stored under its key. The drafts come as one JSON
/// array, since a statement costs far more than a row does (each is handed to SQLite's own thread and back).
const LOOK: &str = "
    SELECT k.key, r.head, r.guard, r.trimmed_ms, e.seq, e.id, e.hash
    FROM json_each(?1) AS k
    CROSS JOIN {p}rooms AS r ON r.id = unhex(k.value ->> 0)
    LEFT JOIN {p}users AS u ON u.id = k.value ->> 1
    LEFT JOIN {p}entries AS e ON e.room = r.num AND e.author = u.num AND e.key = unhex(k.value ->> 2)";

const INSERT: &str = "
    INSERT INTO {p}entries (room, seq, id, key, author, hash, message, edits, body, at, sent_at)
    SELECT r.num, v.value ->> 1, unhex(v.value ->> 2), unhex(v.value ->> 3), u.num, unhex(v.value ->> 5),
           v.value ->> 6, v.value ->> 7, v.value ->> 8, v.value ->> 9, v.value ->> 10
    FROM json_each(?1) AS v
    CROSS JOIN {p}rooms AS r ON r.id = unhex(v.value ->> 0)
    CROSS JOIN {p}users AS u ON u.id = v.value ->> 4";

/// Returns the key with the highest time (its first bytes) among what is to be forgotten: everything up to `?2` but
/// the last entry, and but the creation, which keeps its row for the sake of its key.
const OLD: &str = "
    SELECT max(e.key) FROM {p}rooms AS r
    CROSS JOIN {p}entries AS e ON e.room = r.num AND e.seq BETWEEN 2 AND min(?2, r.head - 1)
    WHERE r.id = ?1";

const FORGET: &str = "
    DELETE FROM {p}entries WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)
       AND seq BETWEEN 2 AND min(?2, (SELECT head - 1 FROM {p}rooms WHERE id = ?1))";

const FORGOTTEN: &str = "
    UPDATE {p}rooms SET first = max(first, min(?2 + 1, head)), trimmed_ms = nullif(max(coalesce(trimmed_ms, -1), ?3), -1)
    WHERE id = ?1";

/// Appends the batches of several calls.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    calls: &[&Vec<Append>],
) -> Result<Vec<Answer>, StoreError> {
    let mut log = look(connection, prefix, calls).await?;
    let answers = calls.iter().map(|batch| batch.iter().map(|share| log.judge(share)).collect()).collect();
    if !log.entries.is_empty() {
        project::prepare(connection, prefix, &log.entries).await?;
        insert(connection, prefix, &log.entries, &log.hashes).await?;
        project::apply(connection, prefix, &log.entries).await?;
    }
    Ok(answers)
}

/// Is what has to be known of the logs to append to them, and what is going to be appended.
#[derive(Default)]
struct Logs<'a> {
    standing: HashMap<RoomId, Standing>,
    known: HashMap<(RoomId, &'a UserId, Key), Known>,
    entries: Vec<Entry>,
    hashes: Vec<BodyHash>,
}

impl<'a> Logs<'a> {
    fn judge(&mut self, share: &'a Append) -> Vec<Outcome> {
        let standing = self.standing.entry(share.room).or_default();
        let name = |new: &'a NewEntry| (share.room, &new.author, new.key);
        let outcomes = standing.judge(share, |new| self.known.get(&(share.room, &new.author, new.key)).copied());
        for (new, outcome) in share.entries.iter().zip(&outcomes) {
            if let Outcome::Stored(seq) = *outcome {
                self.known.insert(name(new), Known { seq, id: new.id, hash: Some(new.hash) });
                self.entries.push(new.at(share.room, seq));
                self.hashes.push(new.hash);
            }
        }
        outcomes
    }
}

/// Is a row of [`LOOK`].
type Look = (i64, i64, i64, Option<i64>, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>);

async fn look<'a>(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    calls: &[&'a Vec<Append>],
) -> Result<Logs<'a>, StoreError> {
    let shares = calls.iter().flat_map(|batch| batch.iter());
    let drafts: Vec<_> = shares.flat_map(|share| share.entries.iter().map(|new| (share.room, new))).collect();
    let keys = drafts.iter().map(|(room, new)| (hex(room.as_bytes()), new.author.as_str(), hex(new.key.as_bytes())));
    let rows: Vec<Look> = sqlx::query_as(prefix.sql(LOOK))
        .bind(array(keys)?)
        .fetch_all(connection)
        .await
        .map_err(during("look up what is stored"))?;

    let mut logs = Logs::default();
    for (draft, head, guard, trimmed_ms, seq, id, stored_hash) in rows {
        let at = usize::try_from(draft).ok().and_then(|at| drafts.get(at)).copied();
        let (room, new) = at.ok_or_else(|| unreadable("answer"))?;
        let (head, guard) = (Seq::from_stored(head), Seq::from_stored(guard));
        logs.standing.insert(room, Standing { head, guard, trimmed_ms });
        if let (Some(seq), Some(id)) = (seq, id) {
            let (seq, id) = (Seq::from_stored(seq), EntryId::from_bytes(bytes(&id)?));
            logs.known.insert((room, &new.author, new.key), Known { seq, id, hash: hash(stored_hash.as_deref())? });
        }
    }
    Ok(logs)
}

async fn insert(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    entries: &[Entry],
    hashes: &[BodyHash],
) -> Result<(), StoreError> {
    let rows = entries.iter().zip(hashes).map(|(entry, hash)| {
        let edits = if let Body::Edit(edit) = &entry.body { Some(edit.target) } else { None };
        (
            hex(entry.room.as_bytes()),
            entry.seq,
            hex(entry.id.as_bytes()),
            hex(entry.key.as_bytes()),
            entry.author.as_str(),
            hex(&hash.0),
            entry.body.is_message(),
            edits,
            entry.body.encode(),
            entry.at,
            entry.sent_at,
        )
    });
    let what = "insert entries";
    let done = sqlx::query(prefix.sql(INSERT)).bind(array(rows)?).execute(connection).await.map_err(during(what))?;
    // Rooms and authors are joined in: one that is missing would be a row that is missing.
    if done.rows_affected() == entries.len() as u64 { Ok(()) } else { Err(unreadable("room or author")) }
}

pub(super) async fn trim(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    room: RoomId,
    through: Seq,
) -> Result<(), StoreError> {
    let (room, through, what) = (room.as_bytes().as_slice(), through.to_stored(), "trim a log");
    let old: Option<Vec<u8>> = sqlx::query_scalar(prefix.sql(OLD))
        .bind(room)
        .bind(through)
        .fetch_one(&mut *connection)
        .await
        .map_err(during(what))?;
    let trimmed_ms = old.map(|key| bytes(&key).map(|key| Key::from_bytes(key).unix_ms())).transpose()?;
    for statement in [FORGET, FORGOTTEN] {
        sqlx::query(prefix.sql(statement))
            .bind(room)
            .bind(through)
            .bind(trimmed_ms.unwrap_or(-1))
            .execute(&mut *connection)
            .await
            .map_err(during(what))?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LOOK, INSERT, OLD, FORGET, FORGOTTEN];
