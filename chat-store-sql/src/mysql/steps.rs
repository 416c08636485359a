//! Appending by statements of many rows: taking JSON apart costs this server more than everything else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chat_core::{
    Entry, EntryId, Key, RoomId, Seq, StoreError, UserId,
    model::BodyHash,
    store::{Append, Known, Standing},
};
use sqlx::{FromRow, MySqlConnection, mysql::MySqlRow};

use crate::{
    connection::{Arg, Connection, Db, Fetch},
    error::{during, unreadable},
    row::{bytes, hash},
    steps::{Advance, Logs, Numbers, Steps, edits, rooms},
};

/// Each is found by its id, whatever the planner thinks: walking through a small table would lock all of it.
const LOCK: Rows = Rows {
    statement: "SELECT r.id, r.num, r.head, r.guard, r.trimmed_ms, (SELECT count(*) FROM {p}feeds) FROM {p}rooms AS r
                FORCE INDEX (id) WHERE r.id IN ({rows}) ORDER BY r.id FOR UPDATE",
    row: "?",
};

const NUMBERS: Rows =
    Rows { statement: "SELECT r.id, r.num FROM {p}rooms AS r FORCE INDEX (id) WHERE r.id IN ({rows})", row: "?" };

const USERS: Rows = Rows {
    statement: "SELECT u.id, u.num, u.name FROM {p}users AS u FORCE INDEX (id) WHERE u.id IN ({rows})",
    row: "?",
};

const KNOWN: Rows = Rows {
    statement: "SELECT e.room, e.author, e.`key`, e.seq, e.id, e.hash FROM {p}entries AS e FORCE INDEX (`{p}keys`)
                WHERE (e.room, e.author, e.`key`) IN ({rows})",
    row: "(?,?,?)",
};

const INSERT: Rows = Rows {
    statement: "INSERT INTO {p}entries (room, seq, id, `key`, author, hash, message, edits, body, at, sent_at)
                VALUES {rows}",
    row: "(?,?,?,?,?,?,?,?,?,?,?)",
};

/// Every room exists; an UPDATE could not take many rows.
const ADVANCE: Rows = Rows {
    statement: "INSERT INTO {p}rooms (num, id, head, head_id, guard, first, active, record, visibility)
                VALUES {rows}
                ON DUPLICATE KEY UPDATE head = VALUES(head), head_id = VALUES(head_id),
                    guard = greatest(guard, VALUES(guard)), active = greatest(active, VALUES(active))",
    row: "(?,?,?,?,?,1,?,'','')",
};

/// Marks rooms for those who follow them all.
const BEHIND: Rows =
    Rows { statement: "UPDATE {p}places SET behind = 1 WHERE room IN ({rows}) AND behind = 0", row: "?" };

#[cfg(test)]
pub(super) const STATEMENTS: [Rows; 7] = [LOCK, NUMBERS, USERS, KNOWN, INSERT, ADVANCE, BEHIND];

/// Is a statement for any number of rows.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// Where `{rows}` stands, [`row`](Self::row) is repeated.
    pub(super) statement: &'static str,
    pub(super) row: &'static str,
}

/// How many rows a statement has at most: 128, whose messages of 64 KiB are half of what the server takes in one packet.
const ROWS_MAX: usize = 128;

impl Rows {
    fn text(&self, db: &Db<'_, MySqlConnection>, count: usize) -> String {
        db.prefix.fill(self.statement).replace("{rows}", &vec![self.row; count].join(","))
    }

    /// Writes rows, in statements of 128, 64, 32… rows: of so few texts that each is prepared only once.
    async fn execute<const N: usize>(
        &self,
        db: &mut Db<'_, MySqlConnection>,
        what: &str,
        mut rows: Vec<[Arg; N]>,
    ) -> Result<(), StoreError> {
        while !rows.is_empty() {
            let count = ROWS_MAX.min(1 << rows.len().ilog2());
            let text = self.text(db, count);
            let args = rows.drain(..count).flatten().collect();
            db.connection.execute(text, args).await.map_err(during(what))?;
        }
        Ok(())
    }

    /// Reads what is found for rows. Those that are missing from 2, 4, 8… are made up by repeating the last.
    async fn fetch<T, const N: usize>(
        &self,
        db: &mut Db<'_, MySqlConnection>,
        what: &str,
        rows: Vec<[Arg; N]>,
    ) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, MySqlRow> + Send + Unpin,
    {
        let mut found = Vec::new();
        for rows in rows.chunks(ROWS_MAX) {
            let count = rows.len().next_power_of_two();
            let text = self.text(db, count);
            let last = rows.last().into_iter().cycle().take(count - rows.len());
            let args = rows.iter().chain(last).flatten().cloned().collect();
            found.extend(Fetch::<T>::fetch(&mut *db.connection, text, args).await.map_err(during(what))?);
        }
        Ok(found)
    }
}

impl Steps for MySqlConnection {
    async fn look<'a>(db: &mut Db<'_, Self>, calls: &[&'a Vec<Append>]) -> Result<Logs<'a>, StoreError> {
        let mut logs = Logs::default();
        // One statement after the other: under the locks each sees what is committed by then.
        lock(db, &mut logs, rooms(calls)).await?;
        let shares = || calls.iter().flat_map(|batch| batch.iter());
        let authors: BTreeMap<_, _> =
            shares().flat_map(|share| &share.entries).map(|new| (new.author.as_str(), &new.author)).collect();
        for (author, num, name) in users(db, authors.values().copied()).await? {
            let Some(author) = authors.get(&*author) else { continue };
            logs.numbers.users.insert((*author).clone(), num);
            logs.names.extend(name.map(|name| (*author, name)));
        }
        known(db, &mut logs, calls).await?;
        Ok(logs)
    }

    async fn insert(
        db: &mut Db<'_, Self>,
        entries: &[(&Entry, Option<BodyHash>)],
        numbers: &Numbers,
    ) -> Result<(), StoreError> {
        let mut numbers = numbers.clone();
        complete(db, &mut numbers, entries.iter().map(|(entry, _)| entry.room)).await?;
        let missing: BTreeSet<_> = entries.iter().map(|(entry, _)| &entry.author).collect();
        let missing = missing.into_iter().filter(|author| !numbers.users.contains_key(*author)).collect::<Vec<_>>();
        for (author, num, _) in users(db, missing).await? {
            numbers.users.insert(UserId::new(author).map_err(|_| unreadable("user id"))?, num);
        }
        let row = |(entry, hash): &(&Entry, Option<BodyHash>)| {
            let room = *numbers.rooms.get(&entry.room).ok_or_else(|| unreadable("room"))?;
            let author = *numbers.users.get(&entry.author).ok_or_else(|| unreadable("author"))?;
            let edits = edits(entry).map_or(Arg::Text(None), Arg::from);
            let (id, key) = (entry.id.as_bytes().to_vec().into(), entry.key.as_bytes().to_vec().into());
            let (message, body) = (i64::from(entry.body.is_message()).into(), entry.body.encode().into());
            let hash = hash.map_or(Arg::Text(None), |hash| hash.0.to_vec().into());
            let (room, seq, author) = (room.into(), entry.seq.into(), author.into());
            let (at, sent_at) = (entry.at.0.into(), entry.sent_at.0.into());
            Ok([room, seq, id, key, author, hash, message, edits, body, at, sent_at])
        };
        let rows = entries.iter().map(row).collect::<Result<_, StoreError>>()?;
        INSERT.execute(db, "insert entries", rows).await
    }

    async fn advance(
        db: &mut Db<'_, Self>,
        rooms: &BTreeMap<RoomId, Advance<'_>>,
        numbers: &Numbers,
    ) -> Result<(), StoreError> {
        let mut numbers = numbers.clone();
        complete(db, &mut numbers, rooms.keys().copied()).await?;
        let row = |(room, to): (&RoomId, &Advance<'_>)| {
            let num = *numbers.rooms.get(room).ok_or_else(|| unreadable("room"))?;
            let head_id = to.last.id.as_bytes().to_vec().into();
            Ok([num.into(), (*room).into(), to.last.seq.into(), head_id, to.guard.into(), to.active.0.into()])
        };
        let rows = rooms.iter().map(row).collect::<Result<_, StoreError>>()?;
        ADVANCE.execute(db, "move heads", rows).await?;
        if numbers.no_feeds {
            return Ok(());
        }
        let rooms = rooms.keys().filter_map(|room| Some([(*numbers.rooms.get(room)?).into()])).collect();
        BEHIND.execute(db, "mark rooms", rooms).await
    }
}

/// Is the room's id, number, head and guard, the time of the last key trimmed, and how many follow all logs.
type LockedRow = (Vec<u8>, i64, i64, i64, Option<i64>, i64);

/// Is room, author and key, then the position, id and hash of what is stored under them.
type KnownRow = (i64, i64, Vec<u8>, i64, Vec<u8>, Option<Vec<u8>>);

/// Locks rooms in the order of their ids, and learns how they stand.
async fn lock(
    db: &mut Db<'_, MySqlConnection>,
    logs: &mut Logs<'_>,
    rooms: BTreeSet<RoomId>,
) -> Result<(), StoreError> {
    let ids = rooms.into_iter().map(|room| [room.into()]).collect();
    let rows: Vec<LockedRow> = LOCK.fetch(db, "lock rooms", ids).await?;
    for (id, num, head, guard, trimmed_ms, feeds) in rows {
        let room = RoomId::from_bytes(bytes(&id)?);
        let (head, guard) = (Seq::from_stored(head), Seq::from_stored(guard));
        logs.standing.insert(room, Standing { head, guard, trimmed_ms });
        logs.numbers.rooms.insert(room, num);
        // Whoever begins to follow meanwhile begins with all rooms marked.
        logs.numbers.no_feeds = feeds == 0;
    }
    Ok(())
}

/// Learns what is stored under the keys of drafts.
async fn known<'a>(
    db: &mut Db<'_, MySqlConnection>,
    logs: &mut Logs<'a>,
    calls: &[&'a Vec<Append>],
) -> Result<(), StoreError> {
    let mut drafts = HashMap::new();
    for share in calls.iter().flat_map(|batch| batch.iter()) {
        let Some(room) = logs.numbers.rooms.get(&share.room) else { continue };
        for new in &share.entries {
            if let Some(author) = logs.numbers.users.get(&new.author) {
                drafts.insert((*room, *author, new.key), (share.room, &new.author));
            }
        }
    }
    let mut keys: Vec<_> = drafts.keys().copied().collect();
    keys.sort_unstable();
    let keys = keys.into_iter().map(|(room, author, key)| [room.into(), author.into(), key.as_bytes().to_vec().into()]);
    let rows: Vec<KnownRow> = KNOWN.fetch(db, "look up keys", keys.collect()).await?;
    for (room, author, key, seq, id, stored_hash) in rows {
        let key = Key::from_bytes(bytes(&key)?);
        let Some((room, author)) = drafts.get(&(room, author, key)) else { continue };
        let (seq, id) = (Seq::from_stored(seq), EntryId::from_bytes(bytes(&id)?));
        logs.known.insert((*room, author, key), Known { seq, id, hash: hash(stored_hash.as_deref())? });
    }
    Ok(())
}

/// Returns ids, numbers and names of those users who have them.
async fn users(
    db: &mut Db<'_, MySqlConnection>,
    users: impl IntoIterator<Item = &UserId>,
) -> Result<Vec<(String, i64, Option<String>)>, StoreError> {
    let ids = users.into_iter().map(|user| [user.as_str().as_bytes().to_vec().into()]).collect();
    let rows: Vec<(Vec<u8>, i64, Option<String>)> = USERS.fetch(db, "look up people", ids).await?;
    let text = |id| String::from_utf8(id).map_err(|_| unreadable("user id"));
    rows.into_iter().map(|(id, num, name)| Ok((text(id)?, num, name))).collect()
}

/// Adds the numbers of rooms that were made meanwhile.
async fn complete(
    db: &mut Db<'_, MySqlConnection>,
    numbers: &mut Numbers,
    rooms: impl Iterator<Item = RoomId>,
) -> Result<(), StoreError> {
    let missing: BTreeSet<_> = rooms.filter(|room| !numbers.rooms.contains_key(room)).collect();
    let missing = missing.into_iter().map(|room| [room.into()]).collect();
    let rows: Vec<(Vec<u8>, i64)> = NUMBERS.fetch(db, "look up rooms", missing).await?;
    for (id, num) in rows {
        numbers.rooms.insert(RoomId::from_bytes(bytes(&id)?), num);
    }
    Ok(())
}
