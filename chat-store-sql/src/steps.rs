//! The steps of an append that a dialect may take in its own way.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
};

use chat_core::{
    Body, Entry, EntryId, Key, RoomId, Seq, StoreError, Timestamp, UserId,
    model::{BodyHash, NewEntry},
    store::{Append, Known, Outcome, Standing},
};

use crate::{
    connection::{Connection, Db, args},
    error::unreadable,
    row::{KnownRow, array, bytes, hash, hex},
};

/// Takes the steps that most of the time goes into.
pub(crate) trait Steps: Connection + Sized {
    /// Locks rooms, then reads how they stand and what is known of drafts: later statements than the lock, which see what
    /// was committed by whoever had it before.
    fn look<'a>(
        db: &mut Db<'_, Self>,
        calls: &[&'a Vec<Append>],
    ) -> impl Future<Output = Result<Logs<'a>, StoreError>> + Send;

    /// Inserts entries, whose rooms and authors exist, each with the hash of its body, if it still has one.
    fn insert(
        db: &mut Db<'_, Self>,
        entries: &[(&Entry, Option<BodyHash>)],
        numbers: &Numbers,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Moves rooms to their new heads.
    fn advance(
        db: &mut Db<'_, Self>,
        rooms: &BTreeMap<RoomId, Advance<'_>>,
        numbers: &Numbers,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Takes each step by one statement, whose `?1` is a JSON array of rows as in [`Statements`](crate::statements::Statements).
pub(crate) trait ByJson: Connection {
    /// For each draft whose room exists, its index and how the room stands, the name its author is known by, and what is
    /// stored under its key: `["room", "author", "key"]`.
    const LOOK: &'static str;
    /// Inserts entries: `["room", seq, "id", "key", "author", "hash", message, edits, "body", at, sent_at]`.
    const INSERT: &'static str;
    /// Moves rooms to their new heads: `["room", head, "head_id", guard, active]`.
    const ADVANCE: &'static str;
}

impl<C: ByJson> Steps for C {
    async fn look<'a>(db: &mut Db<'_, Self>, calls: &[&'a Vec<Append>]) -> Result<Logs<'a>, StoreError> {
        lock(db, rooms(calls)).await?;
        look(db, calls).await
    }

    async fn insert(
        db: &mut Db<'_, Self>,
        entries: &[(&Entry, Option<BodyHash>)],
        _numbers: &Numbers,
    ) -> Result<(), StoreError> {
        insert(db, entries).await
    }

    /// Needs no numbers: rooms are found by their ids.
    async fn advance(
        db: &mut Db<'_, Self>,
        rooms: &BTreeMap<RoomId, Advance<'_>>,
        _numbers: &Numbers,
    ) -> Result<(), StoreError> {
        let rows = rooms
            .iter()
            .map(|(room, to)| (hex(room.as_bytes()), to.last.seq, hex(to.last.id.as_bytes()), to.guard, to.active));
        let rows = array(rows)?;
        db.execute("move heads", C::ADVANCE, args![rows]).await?;
        Ok(())
    }
}

/// Is what has to be known of the logs to append to them, and what is going to be appended.
#[derive(Default)]
pub(crate) struct Logs<'a> {
    pub(crate) standing: HashMap<RoomId, Standing>,
    pub(crate) known: HashMap<(RoomId, &'a UserId, Key), Known>,
    /// Display names as they are stored.
    pub(crate) names: HashMap<&'a UserId, String>,
    pub(crate) numbers: Numbers,
    pub(crate) entries: Vec<Entry>,
    pub(crate) hashes: Vec<BodyHash>,
}

/// Is what rooms and users are known by inside the database, as far as it has been read. Only MariaDB and MySQL need to
/// know: the other dialects find both by their ids.
#[derive(Clone, Default)]
pub(crate) struct Numbers {
    #[cfg(feature = "mysql")]
    pub(crate) rooms: HashMap<RoomId, i64>,
    #[cfg(feature = "mysql")]
    pub(crate) users: HashMap<UserId, i64>,
    /// Whether it is known that nobody follows all rooms.
    #[cfg(feature = "mysql")]
    pub(crate) no_feeds: bool,
}

/// Is how far a room moves.
pub(crate) struct Advance<'a> {
    pub(crate) last: &'a Entry,
    pub(crate) guard: Seq,
    pub(crate) active: Timestamp,
}

impl<'a> Logs<'a> {
    pub(crate) fn judge(&mut self, share: &'a Append) -> Vec<Outcome> {
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

pub(crate) fn rooms(calls: &[&Vec<Append>]) -> BTreeSet<RoomId> {
    calls.iter().flat_map(|batch| batch.iter().map(|share| share.room)).collect()
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

async fn look<'a, C: ByJson>(db: &mut Db<'_, C>, calls: &[&'a Vec<Append>]) -> Result<Logs<'a>, StoreError> {
    let shares = calls.iter().flat_map(|batch| batch.iter());
    let drafts: Vec<_> = shares.flat_map(|share| share.entries.iter().map(|new| (share.room, new))).collect();
    let keys = drafts.iter().map(|(room, new)| (hex(room.as_bytes()), new.author.as_str(), hex(new.key.as_bytes())));
    let keys = array(keys)?;
    let rows: Vec<KnownRow> = db.fetch("look up what is stored", C::LOOK, args![keys]).await?;

    let mut logs = Logs::default();
    for (draft, head, guard, trimmed_ms, name, seq, id, stored_hash) in rows {
        let at = usize::try_from(draft).ok().and_then(|at| drafts.get(at)).copied();
        let (room, new) = at.ok_or_else(|| unreadable("answer"))?;
        let (head, guard) = (Seq::from_stored(head), Seq::from_stored(guard));
        logs.standing.insert(room, Standing { head, guard, trimmed_ms });
        logs.names.extend(name.map(|name| (&new.author, name)));
        if let (Some(seq), Some(id)) = (seq, id) {
            let (seq, id) = (Seq::from_stored(seq), EntryId::from_bytes(bytes(&id)?));
            logs.known.insert((room, &new.author, new.key), Known { seq, id, hash: hash(stored_hash.as_deref())? });
        }
    }
    Ok(logs)
}

async fn insert<C: ByJson>(db: &mut Db<'_, C>, entries: &[(&Entry, Option<BodyHash>)]) -> Result<(), StoreError> {
    let rows = entries.iter().map(|(entry, hash)| {
        (
            hex(entry.room.as_bytes()),
            entry.seq,
            hex(entry.id.as_bytes()),
            hex(entry.key.as_bytes()),
            entry.author.as_str(),
            hash.map(|hash| hex(&hash.0)),
            entry.body.is_message(),
            edits(entry),
            entry.body.encode(),
            entry.at,
            entry.sent_at,
        )
    });
    let rows = array(rows)?;
    let inserted = db.execute("insert entries", C::INSERT, args![rows]).await?;
    // Rooms and authors are joined in: one that is missing would be a row that is missing.
    if inserted == entries.len() as u64 { Ok(()) } else { Err(unreadable("room or author")) }
}

/// Returns the position of the message that an entry edits.
pub(crate) fn edits(entry: &Entry) -> Option<Seq> {
    if let Body::Edit(edit) = &entry.body { Some(edit.target) } else { None }
}
