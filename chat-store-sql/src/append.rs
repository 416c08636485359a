//! Writing the logs, inside a transaction.

use std::collections::{BTreeSet, HashMap};

use chat_core::{
    Body, Entry, EntryId, Key, RoomId, Seq, StoreError, UserId,
    model::{BodyHash, NewEntry},
    store::{Append, Known, Outcome, Standing},
};

use crate::{
    connection::{Connection, Db, args},
    error::unreadable,
    project,
    row::{KnownRow, array, bytes, hash, hex},
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
pub(crate) async fn append<C: Connection>(
    db: &mut Db<'_, C>,
    calls: &[&Vec<Append>],
) -> Result<Vec<Answer>, StoreError> {
    lock(db, calls.iter().flat_map(|batch| batch.iter().map(|share| share.room)).collect()).await?;
    let mut log = look(db, calls).await?;
    let answers = calls.iter().map(|batch| batch.iter().map(|share| log.judge(share)).collect()).collect();
    if !log.entries.is_empty() {
        project::prepare(db, &log.entries).await?;
        insert(db, log.entries.iter().zip(log.hashes.iter().copied().map(Some))).await?;
        project::apply(db, &log.entries).await?;
    }
    Ok(answers)
}

/// Makes others wait who want to write to one of these rooms. It is a statement of its own: what is read after it is read
/// under the locks, and not as it was before somebody else gave them back. They are locked in the order of the set, so that nobody
/// waits in a circle.
pub(crate) async fn lock<C: Connection>(db: &mut Db<'_, C>, rooms: BTreeSet<RoomId>) -> Result<(), StoreError> {
    let Some(lock) = C::STATEMENTS.lock else { return Ok(()) };
    let rooms = array(rooms.iter().map(|room| hex(room.as_bytes())))?;
    let _: Vec<(i64, i64)> = db.fetch("lock rooms", lock, args![rooms]).await?;
    Ok(())
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

async fn look<'a, C: Connection>(db: &mut Db<'_, C>, calls: &[&'a Vec<Append>]) -> Result<Logs<'a>, StoreError> {
    let shares = calls.iter().flat_map(|batch| batch.iter());
    let drafts: Vec<_> = shares.flat_map(|share| share.entries.iter().map(|new| (share.room, new))).collect();
    let keys = drafts.iter().map(|(room, new)| (hex(room.as_bytes()), new.author.as_str(), hex(new.key.as_bytes())));
    let keys = array(keys)?;
    let rows: Vec<KnownRow> = db.fetch("look up what is stored", C::STATEMENTS.look, args![keys]).await?;

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

/// Inserts entries at their positions, each with the hash of its body, if it still has one.
pub(crate) async fn insert<C: Connection>(
    db: &mut Db<'_, C>,
    entries: impl ExactSizeIterator<Item = (&Entry, Option<BodyHash>)>,
) -> Result<(), StoreError> {
    let count = entries.len();
    let rows = entries.map(|(entry, hash)| {
        let edits = if let Body::Edit(edit) = &entry.body { Some(edit.target) } else { None };
        (
            hex(entry.room.as_bytes()),
            entry.seq,
            hex(entry.id.as_bytes()),
            hex(entry.key.as_bytes()),
            entry.author.as_str(),
            hash.map(|hash| hex(&hash.0)),
            entry.body.is_message(),
            edits,
            entry.body.encode(),
            entry.at,
            entry.sent_at,
        )
    });
    let rows = array(rows)?;
    let inserted = db.execute("insert entries", C::STATEMENTS.insert, args![rows]).await?;
    // Rooms and authors are joined in: one that is missing would be a row that is missing.
    if inserted == count as u64 { Ok(()) } else { Err(unreadable("room or author")) }
}

pub(crate) async fn trim<C: Connection>(db: &mut Db<'_, C>, room: RoomId, through: Seq) -> Result<(), StoreError> {
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
