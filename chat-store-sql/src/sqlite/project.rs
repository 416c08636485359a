//! What entries do to rooms, members and earlier messages, inside the transaction that stores them.

use std::collections::BTreeMap;

use chat_core::{
    Body, Entry, Member, RoomId, Seq, StoreError, StoreErrorKind, UserId,
    model::{Change, Edit, RoomRecord, changes, fold},
};
use sqlx::{Sqlite, SqliteConnection, query::Query, sqlite::SqliteArguments};

use super::{array, hex};
use crate::{
    error::during,
    prefix::Prefix,
    row::{EntryRow, Shown, json, word},
};

/// Learns users and display names; a name that is not given leaves the one that is known.
const SEE: &str = "
    INSERT INTO {p}users (id, name) SELECT value ->> 0, value ->> 1 FROM json_each(?1) WHERE true
    ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE excluded.name IS NOT NULL AND name IS NOT excluded.name";

const CREATE: &str = "
    INSERT INTO {p}rooms (id, head, head_id, guard, first, active, record) VALUES (?1, 0, ?2, 0, 1, ?3, ?4)
    ON CONFLICT (id) DO NOTHING";

const ADVANCE: &str = "
    UPDATE {p}rooms SET head = v.value ->> 1, head_id = unhex(v.value ->> 2), guard = max(guard, v.value ->> 3),
                        active = max(active, v.value ->> 4)
    FROM json_each(?1) AS v WHERE {p}rooms.id = unhex(v.value ->> 0)";

const JOIN: &str = "
    INSERT INTO {p}members (room, user, role, since)
    SELECT r.num, u.num, v.value ->> 1, ?2
    FROM json_each(?3) AS v
    CROSS JOIN {p}rooms AS r ON r.id = ?1
    CROSS JOIN {p}users AS u ON u.id = v.value ->> 0
    WHERE true ON CONFLICT (room, user) DO NOTHING";

const LEAVE: &str = "
    DELETE FROM {p}members WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)
                             AND user = (SELECT num FROM {p}users WHERE id = ?2)";

const ROLE: &str = "
    UPDATE {p}members SET role = ?3 WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)
                                      AND user = (SELECT num FROM {p}users WHERE id = ?2)";

const RECORD: &str = "SELECT record FROM {p}rooms WHERE id = ?1";

const SET: &str = "UPDATE {p}rooms SET record = ?2 WHERE id = ?1";

const MESSAGE: &str = "
    SELECT e.seq, e.id, e.key, u.id AS author, u.id AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}rooms AS r
    CROSS JOIN {p}entries AS e ON e.room = r.num AND e.seq = ?2 AND e.message = 1
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE r.id = ?1";

const FOLD: &str = "
    UPDATE {p}entries SET shown = ?3 WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1) AND seq = ?2";

const BLANK: &str = "
    UPDATE {p}entries SET body = ?3, hash = NULL WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1) AND seq = ?2";

const BLANK_EDITS: &str = "
    UPDATE {p}entries INDEXED BY {p}edits SET body = ?3, hash = NULL
    WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1) AND edits = ?2";

const MARK: &str = "
    INSERT INTO {p}marks (room, user, read)
    SELECT r.num, u.num, min(?3, r.head) FROM {p}rooms AS r CROSS JOIN {p}users AS u ON u.id = ?2 WHERE r.id = ?1
    ON CONFLICT (room, user) DO UPDATE SET read = max(read, excluded.read)";

const HEADS: &str = "SELECT v.key, r.head FROM json_each(?1) AS v CROSS JOIN {p}rooms AS r ON r.id = unhex(v.value)";

/// Makes sure that the people and rooms exist which the entries are about.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let mut people: BTreeMap<UserId, Option<&str>> = BTreeMap::new();
    for entry in entries {
        for change in changes(entry) {
            match change {
                Change::Join(member) => {
                    people.entry(member.user).or_default();
                }
                Change::Create(record) => create(connection, prefix, entry, &record).await?,
                _ => {}
            }
        }
        people.insert(entry.author.clone(), Some(&entry.name));
    }
    see(connection, prefix, &people).await
}

/// Moves the rooms to their new heads and does what the entries say.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    entries: &[Entry],
) -> Result<(), StoreError> {
    advance(connection, prefix, entries).await?;
    for entry in entries {
        let mut joined = Vec::new();
        for change in changes(entry) {
            match change {
                Change::Join(member) => joined.push(member),
                other => Applied { connection, prefix, by: entry }.change(other).await?,
            }
        }
        if !joined.is_empty() {
            Applied { connection, prefix, by: entry }.join(&joined).await?;
        }
    }
    Ok(())
}

/// Applies entries of logs that are kept elsewhere; what is applied already is passed over.
pub(super) async fn project(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let rooms: Vec<_> = entries.iter().map(|entry| hex(entry.room.as_bytes())).collect();
    let rows: Vec<(i64, i64)> = sqlx::query_as(prefix.sql(HEADS))
        .bind(array(rooms)?)
        .fetch_all(&mut *connection)
        .await
        .map_err(during("look up what is projected"))?;
    let at = |row: i64| usize::try_from(row).ok().and_then(|row| entries.get(row));
    let heads = rows.into_iter().filter_map(|(row, head)| Some((at(row)?.room, Seq::from_stored(head))));
    let mut heads: BTreeMap<RoomId, Seq> = heads.collect();
    let mut fresh = Vec::new();
    for entry in entries {
        let head = heads.entry(entry.room).or_default();
        if entry.seq > head.next() {
            let hole = format!("project position {} after {head}", entry.seq);
            return Err(StoreError::new(StoreErrorKind::Corrupt, hole));
        }
        if entry.seq > *head {
            *head = entry.seq;
            fresh.push(entry.clone());
        }
    }
    prepare(connection, prefix, &fresh).await?;
    apply(connection, prefix, &fresh).await
}

pub(super) async fn mark(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    user: &UserId,
    room: RoomId,
    read: Seq,
) -> Result<(), StoreError> {
    see(connection, prefix, &BTreeMap::from([(user.clone(), None)])).await?;
    let mark = sqlx::query(prefix.sql(MARK)).bind(room.as_bytes().as_slice()).bind(user.as_str());
    mark.bind(read.to_stored()).execute(connection).await.map_err(during("mark as read"))?;
    Ok(())
}

async fn see(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    people: &BTreeMap<UserId, Option<&str>>,
) -> Result<(), StoreError> {
    let people = array(people)?;
    sqlx::query(prefix.sql(SEE)).bind(people).execute(connection).await.map_err(during("learn names"))?;
    Ok(())
}

async fn create(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    entry: &Entry,
    record: &RoomRecord,
) -> Result<(), StoreError> {
    let (room, id) = (entry.room.as_bytes().as_slice(), entry.id.as_bytes().as_slice());
    let create = sqlx::query(prefix.sql(CREATE)).bind(room).bind(id).bind(entry.at.0).bind(text(record)?);
    create.execute(connection).await.map_err(during("create a room"))?;
    Ok(())
}

/// Moves each room to the last of its entries.
async fn advance(connection: &mut SqliteConnection, prefix: &Prefix, entries: &[Entry]) -> Result<(), StoreError> {
    let mut rooms = BTreeMap::new();
    for entry in entries {
        let (last, guard, active) = rooms.entry(entry.room).or_insert((entry, Seq::ZERO, entry.at));
        (*last, *active) = (entry, entry.at.max(*active));
        if entry.body.restricts() {
            *guard = entry.seq;
        }
    }
    let rows = rooms
        .into_iter()
        .map(|(room, (last, guard, active))| (hex(room.as_bytes()), last.seq, hex(last.id.as_bytes()), guard, active));
    sqlx::query(prefix.sql(ADVANCE)).bind(array(rows)?).execute(connection).await.map_err(during("move heads"))?;
    Ok(())
}

/// Is one entry while it is applied.
struct Applied<'a> {
    connection: &'a mut SqliteConnection,
    prefix: &'a Prefix,
    by: &'a Entry,
}

impl Applied<'_> {
    async fn change(mut self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::Leave(user) => self.execute(self.statement(LEAVE).bind(user.as_str().to_owned())).await,
            Change::Role(user, role) => {
                self.execute(self.statement(ROLE).bind(user.as_str().to_owned()).bind(word(role))).await
            }
            Change::Set { .. } => self.set(change).await,
            Change::Fold(target) if target < self.by.seq => self.fold(target).await,
            // Rooms are created before anything else, joins come together, and no entry changes a later one.
            _ => Ok(()),
        }
    }

    async fn join(&mut self, members: &[Member]) -> Result<(), StoreError> {
        let rows = array(members.iter().map(|member| (member.user.as_str(), member.role)))?;
        self.execute(self.statement(JOIN).bind(self.by.seq.to_stored()).bind(rows)).await
    }

    async fn set(&mut self, change: Change) -> Result<(), StoreError> {
        let Change::Set { title, topic, data } = change else { return Ok(()) };
        let record: Option<String> = sqlx::query_scalar(self.prefix.sql(RECORD))
            .bind(self.by.room.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(during("read a room"))?;
        let Some(record) = record else { return Ok(()) };
        let mut record: RoomRecord = json(&record)?;
        record.title = title.unwrap_or(record.title);
        record.topic = topic.unwrap_or(record.topic);
        record.data = data.unwrap_or(record.data);
        self.execute(self.statement(SET).bind(text(&record)?)).await
    }

    async fn fold(&mut self, target: Seq) -> Result<(), StoreError> {
        let row: Option<EntryRow> = sqlx::query_as(self.prefix.sql(MESSAGE))
            .bind(self.by.room.as_bytes().as_slice())
            .bind(target.to_stored())
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(during("read a message"))?;
        let Some(row) = row else { return Ok(()) };
        let mut message = row.into_shown(self.by.room)?;
        let changed = fold(&mut message, self.by);
        let Some(folded) = message.folded else { return Ok(()) };
        let (seq, deleted, blank) = (target.to_stored(), folded.deleted, message.body.encode());
        if changed {
            let shown = text(&Shown { body: message.body, folded })?;
            self.execute(self.statement(FOLD).bind(seq).bind(shown)).await?;
        }
        if deleted {
            let edit = Body::Edit(Edit { target, text: String::new() }).encode();
            self.execute(self.statement(BLANK).bind(seq).bind(blank)).await?;
            self.execute(self.statement(BLANK_EDITS).bind(seq).bind(edit)).await?;
        }
        Ok(())
    }

    /// Begins a statement about the entry's room.
    fn statement(&self, sql: &'static str) -> Query<'static, Sqlite, SqliteArguments> {
        sqlx::query(self.prefix.sql(sql)).bind(self.by.room.as_bytes().to_vec())
    }

    async fn execute(&mut self, statement: Query<'_, Sqlite, SqliteArguments>) -> Result<(), StoreError> {
        statement.execute(&mut *self.connection).await.map_err(during("apply an entry"))?;
        Ok(())
    }
}

fn text(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::new(StoreErrorKind::Other, "write JSON").with_source(error))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[SEE, CREATE, ADVANCE, JOIN, LEAVE, ROLE, RECORD, SET, MESSAGE, FOLD, BLANK, BLANK_EDITS, MARK, HEADS];
