//! What entries do to rooms, members and earlier messages, inside the transaction that stores them.

use std::collections::{BTreeMap, HashMap};

use chat_core::{
    Body, Entry, EntryId, Member, RoomId, Seq, StoreError, StoreErrorKind, Timestamp, UserId,
    model::{Change, Edit, RoomRecord, changes, fold},
};

use crate::{
    connection::{Arg, Connection, Db, args},
    feed,
    row::{EntryRow, HeadRow, Shown, array, display_name, hex, json, text, word},
    steps::{Advance, Numbers, Steps, lock},
};

pub(crate) const LEAVE: &str = r#"
    DELETE FROM {p}members WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)
                             AND "user" = (SELECT num FROM {p}users WHERE id = ?2)"#;

const ROLE: &str = r#"
    UPDATE {p}members SET role = ?3 WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)
                                      AND "user" = (SELECT num FROM {p}users WHERE id = ?2)"#;

const RECORD: &str = "SELECT record FROM {p}rooms WHERE id = ?1";

const SET: &str = "UPDATE {p}rooms SET record = ?2 WHERE id = ?1";

const MESSAGE: &str = r#"
    SELECT e.seq, e.id, e."key", u.id AS author, u.id AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}entries AS e
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE e.room = (SELECT num FROM {p}rooms WHERE id = ?1) AND e.seq = ?2 AND e.message = 1"#;

pub(crate) const FOLD: &str = "
    UPDATE {p}entries SET shown = ?3 WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1) AND seq = ?2";

pub(crate) const BLANK: &str = "
    UPDATE {p}entries SET body = ?3, hash = NULL WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1) AND seq = ?2";

const BLANK_EDITS: &str = "
    UPDATE {p}entries{by_edits} SET body = ?3, hash = NULL
    WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1) AND edits = ?2";

/// Makes sure that the people and rooms exist which the entries are about.
/// Whoever is known under the same name already is passed over.
pub(crate) async fn prepare<C: Connection>(
    db: &mut Db<'_, C>,
    entries: &[Entry],
    names: &HashMap<&UserId, String>,
) -> Result<(), StoreError> {
    let mut people: BTreeMap<UserId, Option<&str>> = BTreeMap::new();
    let mut creations = BTreeMap::new();
    for entry in entries {
        for change in changes(entry) {
            match change {
                Change::Join(member) => {
                    people.entry(member.user).or_default();
                }
                Change::Create(record) => {
                    creations.insert(entry.room, (entry, record));
                }
                _ => {}
            }
        }
        people.insert(entry.author.clone(), Some(&entry.name));
    }
    // Both in an order, so that two who make the same rooms or meet the same people never wait in a circle.
    for (entry, record) in creations.values() {
        create(db, entry.room, entry.id, entry.at, record).await?;
    }
    people.retain(|user, seen| match (names.get(user), seen) {
        (Some(known), Some(seen)) => *known != display_name(seen),
        (known, _) => known.is_none(),
    });
    if people.is_empty() { Ok(()) } else { see(db, &people).await }
}

/// Moves the rooms to their new heads and does what the entries say.
pub(crate) async fn apply<C: Steps>(
    db: &mut Db<'_, C>,
    entries: &[Entry],
    numbers: &Numbers,
) -> Result<(), StoreError> {
    C::advance(db, &last(entries), numbers).await?;
    change(db, entries).await
}

/// Does what the entries say.
pub(crate) async fn change<C: Connection>(db: &mut Db<'_, C>, entries: &[Entry]) -> Result<(), StoreError> {
    for entry in entries {
        let mut joined = Vec::new();
        for change in changes(entry) {
            match change {
                Change::Join(member) => joined.push(member),
                other => Applied { db, by: entry }.change(other).await?,
            }
        }
        if !joined.is_empty() {
            Applied { db, by: entry }.join(&joined).await?;
        }
    }
    Ok(())
}

/// Applies entries of logs that are kept elsewhere; what is applied already is passed over.
pub(crate) async fn project<C: Steps>(db: &mut Db<'_, C>, entries: &[Entry]) -> Result<(), StoreError> {
    lock(db, entries.iter().map(|entry| entry.room).collect()).await?;
    let rooms = array(entries.iter().map(|entry| hex(entry.room.as_bytes())))?;
    let rows: Vec<HeadRow> = db.fetch("look up what is projected", C::STATEMENTS.heads, args![rooms]).await?;
    let at = |row: i64| usize::try_from(row).ok().and_then(|row| entries.get(row));
    let heads = rows.into_iter().filter_map(|(row, head, ..)| Some((at(row)?.room, Seq::from_stored(head))));
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
    if fresh.is_empty() {
        return Ok(());
    }
    prepare(db, &fresh, &HashMap::new()).await?;
    apply(db, &fresh, &Numbers::default()).await
}

pub(crate) async fn mark<C: Connection>(
    db: &mut Db<'_, C>,
    user: &UserId,
    room: RoomId,
    read: Seq,
) -> Result<(), StoreError> {
    see(db, &BTreeMap::from([(user.clone(), None)])).await?;
    db.execute("mark as read", C::STATEMENTS.mark, args![room, user, read]).await?;
    Ok(())
}

pub(crate) async fn see<C: Connection>(
    db: &mut Db<'_, C>,
    people: &BTreeMap<UserId, Option<&str>>,
) -> Result<(), StoreError> {
    let people = array(people.iter().map(|(user, name)| (user, name.map(display_name))))?;
    db.execute("learn names", C::STATEMENTS.see, args![people]).await?;
    Ok(())
}

pub(crate) async fn create<C: Connection>(
    db: &mut Db<'_, C>,
    room: RoomId,
    id: EntryId,
    at: Timestamp,
    record: &RoomRecord,
) -> Result<(), StoreError> {
    let (id, visibility) = (id.as_bytes().to_vec(), word(record.visibility));
    let args = args![room, id, at.0, text(record)?, visibility];
    db.execute("create a room", C::STATEMENTS.create, args).await?;
    feed::created(db, room).await
}

/// Returns the last entry of each room.
pub(crate) fn last(entries: &[Entry]) -> BTreeMap<RoomId, Advance<'_>> {
    let mut rooms = BTreeMap::new();
    for entry in entries {
        let to = rooms.entry(entry.room).or_insert(Advance { last: entry, guard: Seq::ZERO, active: entry.at });
        (to.last, to.active) = (entry, entry.at.max(to.active));
        if entry.body.restricts() {
            to.guard = entry.seq;
        }
    }
    rooms
}

/// Is one entry while it is applied.
struct Applied<'a, 'b, C> {
    db: &'a mut Db<'b, C>,
    by: &'a Entry,
}

impl<C: Connection> Applied<'_, '_, C> {
    async fn change(mut self, change: Change) -> Result<(), StoreError> {
        let room = self.by.room;
        match change {
            Change::Leave(user) => self.execute(LEAVE, args![room, &user]).await,
            Change::Role(user, role) => self.execute(ROLE, args![room, &user, word(role)]).await,
            Change::Set { .. } => self.set(change).await,
            Change::Fold(target) if target < self.by.seq => self.fold(target).await,
            // Rooms are created before anything else, joins come together, and no entry changes a later one.
            _ => Ok(()),
        }
    }

    async fn join(&mut self, members: &[Member]) -> Result<(), StoreError> {
        let rows = array(members.iter().map(|member| (member.user.as_str(), member.role)))?;
        self.execute(C::STATEMENTS.join, args![rows, self.by.room, self.by.seq]).await
    }

    async fn set(&mut self, change: Change) -> Result<(), StoreError> {
        let Change::Set { title, topic, data } = change else { return Ok(()) };
        let records: Vec<(String,)> = self.db.fetch("read a room", RECORD, args![self.by.room]).await?;
        let Some((record,)) = records.first() else { return Ok(()) };
        let mut record: RoomRecord = json(record)?;
        record.title = title.unwrap_or(record.title);
        record.topic = topic.unwrap_or(record.topic);
        record.data = data.unwrap_or(record.data);
        self.execute(SET, args![self.by.room, text(&record)?]).await
    }

    async fn fold(&mut self, target: Seq) -> Result<(), StoreError> {
        let room = self.by.room;
        let rows: Vec<EntryRow> = self.db.fetch("read a message", MESSAGE, args![room, target]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(()) };
        let mut message = row.into_shown(room)?;
        let changed = fold(&mut message, self.by);
        let Some(folded) = message.folded else { return Ok(()) };
        let (deleted, blank) = (folded.deleted, message.body.encode());
        if changed {
            let shown = text(&Shown { body: message.body, folded })?;
            self.execute(FOLD, args![room, target, shown]).await?;
        }
        if deleted {
            let edit = Body::Edit(Edit { target, text: String::new() }).encode();
            self.execute(BLANK, args![room, target, blank]).await?;
            self.execute(BLANK_EDITS, args![room, target, edit]).await?;
        }
        Ok(())
    }

    async fn execute(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<(), StoreError> {
        self.db.execute("apply an entry", sql, args).await?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[LEAVE, ROLE, RECORD, SET, MESSAGE, FOLD, BLANK, BLANK_EDITS];
