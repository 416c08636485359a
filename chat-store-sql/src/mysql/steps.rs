//! Appending by statements of many rows: taking JSON apart costs this server more than everything else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chat_core::{
    Entry, EntryId, Key, RoomId, Seq, StoreError, UserId,
    model::BodyHash,
    store::{Append, Known, Standing},
};
use sqlx::{FromRow, MySqlConnection, Row};

use super::script::Script;
use crate::{
    connection::{Arg, Db},
    error::{during, unreadable},
    row::{bytes, hash},
    steps::{Advance, Logs, Numbers, Steps, edits, rooms},
};

/// Each is found by its id, whatever the planner thinks: walking through a small table would lock all of it.
const LOCK: &str =
    "SELECT r.id, r.num, r.head, r.guard, r.trimmed_ms, (SELECT count(*) FROM {p}feeds) FROM {p}rooms AS r
    FORCE INDEX (id) WHERE r.id IN ({rows}) ORDER BY r.id FOR UPDATE";

const NUMBERS: &str = "SELECT r.id, r.num FROM {p}rooms AS r FORCE INDEX (id) WHERE r.id IN ({rows})";

const USERS: &str = "SELECT u.id, u.num, u.name FROM {p}users AS u FORCE INDEX (id) WHERE u.id IN ({rows})";

const KNOWN: &str = "SELECT e.room, e.author, e.`key`, e.seq, e.id, e.hash FROM {p}entries AS e FORCE INDEX (`{p}keys`)
    WHERE (e.room, e.author, e.`key`) IN ({rows})";

const INSERT: &str = "INSERT INTO {p}entries (room, seq, id, `key`, author, hash, message, edits, body, at, sent_at)
    VALUES {rows}";

/// Every room exists; an UPDATE could not take many rows.
const ADVANCE: &str = "INSERT INTO {p}rooms (num, id, head, head_id, guard, active, first, record, visibility)
    VALUES {rows}
    ON DUPLICATE KEY UPDATE head = VALUES(head), head_id = VALUES(head_id),
        guard = greatest(guard, VALUES(guard)), active = greatest(active, VALUES(active))";

/// Marks rooms for those who follow them all.
const BEHIND: &str = "UPDATE {p}places SET behind = 1 WHERE room IN ({rows}) AND behind = 0";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 7] = [LOCK, NUMBERS, USERS, KNOWN, INSERT, ADVANCE, BEHIND];

impl Steps for MySqlConnection {
    async fn look<'a>(db: &mut Db<'_, Self>, calls: &[&'a Vec<Append>]) -> Result<Logs<'a>, StoreError> {
        let mut logs = lock(db, Script::default(), calls).await?;
        known(db, &mut logs, calls).await?;
        Ok(logs)
    }

    async fn insert(
        db: &mut Db<'_, Self>,
        entries: &[(&Entry, Option<BodyHash>)],
        numbers: &Numbers,
    ) -> Result<(), StoreError> {
        let mut numbers = numbers.clone();
        complete(db, &mut numbers, entries.iter().map(|(entry, _)| *entry)).await?;
        let mut script = Script::default();
        insert(db, &mut script, entries, &numbers)?;
        script.run(db.connection, "insert entries").await
    }

    async fn advance(
        db: &mut Db<'_, Self>,
        rooms: &BTreeMap<RoomId, Advance<'_>>,
        numbers: &Numbers,
    ) -> Result<(), StoreError> {
        let mut numbers = numbers.clone();
        complete(db, &mut numbers, rooms.values().map(|to| to.last)).await?;
        let mut script = Script::default();
        advance(db, &mut script, rooms, &numbers)?;
        script.run(db.connection, "move heads").await
    }
}

/// Says what inserts entries, whose rooms and authors have these numbers: in the order of the table and of its indexes, all of
/// which begin with the room. In the order of the rooms' ids, which is none, a row costs half as much again.
pub(super) fn insert(
    db: &Db<'_, MySqlConnection>,
    script: &mut Script,
    entries: &[(&Entry, Option<BodyHash>)],
    numbers: &Numbers,
) -> Result<(), StoreError> {
    let row = |(entry, hash): &(&Entry, Option<BodyHash>)| {
        let room = *numbers.rooms.get(&entry.room).ok_or_else(|| unreadable("room"))?;
        let author = *numbers.users.get(&entry.author).ok_or_else(|| unreadable("author"))?;
        let edits = edits(entry).map_or(Arg::Text(None), Arg::from);
        let (id, key) = (entry.id.as_bytes().to_vec().into(), entry.key.as_bytes().to_vec().into());
        let (message, body) = (i64::from(entry.body.is_message()).into(), entry.body.encode().into());
        let hash = hash.map_or(Arg::Text(None), |hash| hash.0.to_vec().into());
        let place = (room, entry.seq);
        let (room, seq, author) = (room.into(), entry.seq.into(), author.into());
        let (at, sent_at) = (entry.at.0.into(), entry.sent_at.0.into());
        Ok((place, [room, seq, id, key, author, hash, message, edits, body, at, sent_at]))
    };
    let mut rows = entries.iter().map(row).collect::<Result<Vec<_>, StoreError>>()?;
    rows.sort_unstable_by_key(|(place, _)| *place);
    script.rows(&db.prefix.fill(INSERT), rows.into_iter().map(|(_, row)| row));
    Ok(())
}

/// Says what moves rooms to their new heads, in the order of the table.
pub(super) fn advance(
    db: &Db<'_, MySqlConnection>,
    script: &mut Script,
    rooms: &BTreeMap<RoomId, Advance<'_>>,
    numbers: &Numbers,
) -> Result<(), StoreError> {
    let num = |room: &RoomId| numbers.rooms.get(room).copied().ok_or_else(|| unreadable("room"));
    let row = |(room, to): (&RoomId, &Advance<'_>)| {
        let num = num(room)?;
        let head_id = to.last.id.as_bytes().to_vec().into();
        let (guard, active) = (to.guard.into(), to.active.0.into());
        // The last three are for a row that is not there yet, which cannot be.
        let (seq, first) = (to.last.seq.into(), 1_i64.into());
        Ok((num, [num.into(), (*room).into(), seq, head_id, guard, active, first, "".into(), "".into()]))
    };
    let mut rows = rooms.iter().map(row).collect::<Result<Vec<_>, StoreError>>()?;
    rows.sort_unstable_by_key(|(num, _)| *num);
    script.rows(&db.prefix.fill(ADVANCE), rows.into_iter().map(|(_, row)| row));
    if !numbers.no_feeds {
        let rooms = rooms.keys().map(|room| Ok([num(room)?.into()])).collect::<Result<Vec<_>, StoreError>>()?;
        script.rows(&db.prefix.fill(BEHIND), rooms);
    }
    Ok(())
}

/// Is the room's id, number, head and guard, the time of the last key trimmed, and how many follow all logs.
type LockedRow = (Vec<u8>, i64, i64, i64, Option<i64>, i64);

/// Is a user's id, number and name.
type UserRow = (Vec<u8>, i64, Option<String>);

/// Is room, author and key, then the position, id and hash of what is stored under them.
type KnownRow = (i64, i64, Vec<u8>, i64, Vec<u8>, Option<Vec<u8>>);

/// Locks rooms in the order of their ids, then learns how they stand and who is known: all that new messages need. It is
/// said after what `script` says.
pub(super) async fn lock<'a>(
    db: &mut Db<'_, MySqlConnection>,
    mut script: Script,
    calls: &[&'a Vec<Append>],
) -> Result<Logs<'a>, StoreError> {
    let entries = calls.iter().flat_map(|batch| batch.iter()).flat_map(|share| &share.entries);
    let authors: BTreeMap<_, _> = entries.map(|new| (new.author.as_str(), &new.author)).collect();
    script.rows(&db.prefix.fill(LOCK), rooms(calls).into_iter().map(|room| [room.into()]));
    // One statement after the other: under the locks each sees what is committed by then.
    script.rows(&db.prefix.fill(USERS), authors.keys().map(|user| [user.as_bytes().to_vec().into()]));

    let mut logs = Logs::default();
    for row in script.fetch(db.connection, "lock rooms").await? {
        if row.len() == 3 {
            let (user, num, name) = UserRow::from_row(&row).map_err(during("read a user"))?;
            let author = str::from_utf8(&user).ok().and_then(|user| authors.get(user));
            let author = *author.ok_or_else(|| unreadable("user id"))?;
            logs.numbers.users.insert(author.clone(), num);
            logs.names.extend(name.map(|name| (author, name)));
            continue;
        }
        let (id, num, head, guard, trimmed_ms, feeds) = LockedRow::from_row(&row).map_err(during("read a room"))?;
        let room = RoomId::from_bytes(bytes(&id)?);
        let (head, guard) = (Seq::from_stored(head), Seq::from_stored(guard));
        logs.standing.insert(room, Standing { head, guard, trimmed_ms });
        logs.numbers.rooms.insert(room, num);
        // Whoever begins to follow meanwhile begins with all rooms marked.
        logs.numbers.no_feeds = feeds == 0;
    }
    Ok(logs)
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
    let row = |(room, author, key): (i64, i64, Key)| [room.into(), author.into(), key.as_bytes().to_vec().into()];
    let mut script = Script::default();
    script.rows(&db.prefix.fill(KNOWN), keys.into_iter().map(row));
    for row in script.fetch(db.connection, "look up keys").await? {
        let row = KnownRow::from_row(&row).map_err(during("read an entry"))?;
        let (room, author, key, seq, id, stored_hash) = row;
        let key = Key::from_bytes(bytes(&key)?);
        let Some((room, author)) = drafts.get(&(room, author, key)) else { continue };
        let (seq, id) = (Seq::from_stored(seq), EntryId::from_bytes(bytes(&id)?));
        logs.known.insert((*room, author, key), Known { seq, id, hash: hash(stored_hash.as_deref())? });
    }
    Ok(())
}

/// Adds the numbers of rooms and authors that were made meanwhile, or that nobody has asked for yet.
pub(super) async fn complete(
    db: &mut Db<'_, MySqlConnection>,
    numbers: &mut Numbers,
    entries: impl Iterator<Item = &Entry>,
) -> Result<(), StoreError> {
    let (mut rooms, mut authors) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        if !numbers.rooms.contains_key(&entry.room) {
            rooms.insert(entry.room);
        }
        if !numbers.users.contains_key(&entry.author) {
            authors.insert(entry.author.as_str());
        }
    }
    let mut script = Script::default();
    script.rows(&db.prefix.fill(NUMBERS), rooms.into_iter().map(|room| [room.into()]));
    script.rows(&db.prefix.fill(USERS), authors.into_iter().map(|user| [user.as_bytes().to_vec().into()]));
    for row in script.fetch(db.connection, "look up rooms and people").await? {
        if row.len() == 3 {
            let (user, num, _) = UserRow::from_row(&row).map_err(during("read a user"))?;
            let user = String::from_utf8(user).ok().and_then(|user| UserId::new(user).ok());
            numbers.users.insert(user.ok_or_else(|| unreadable("user id"))?, num);
            continue;
        }
        let (id, num) = <(Vec<u8>, i64)>::from_row(&row).map_err(during("read a room"))?;
        numbers.rooms.insert(RoomId::from_bytes(bytes(&id)?), num);
    }
    Ok(())
}
