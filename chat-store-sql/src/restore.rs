//! Giving whole logs away, and taking them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_core::{
    Member, RoomId, Seq, StoreError, UserId,
    store::{Kept, LogState, Part, Restore},
};

use crate::{
    SqlStore,
    backend::{Backend, Opened},
    connection::{Connection, Db, args},
    project::{FOLD, create, see},
    row::{HeadRow, KeptRow, MarkRow, Shown, StateRow, array, bytes, hex, json, text},
    steps::{Numbers, Steps, lock},
    work::Work,
};

const LOGS: &str = "SELECT id FROM {p}rooms WHERE id > ?1 ORDER BY id LIMIT ?2";

const STATE: &str = "SELECT record, head, guard, first, trimmed_ms, active FROM {p}rooms WHERE id = ?1";

const KEPT: &str = r#"
    SELECT e.seq, e.id, e."key", u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at, e.hash
    FROM {p}entries AS e
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE e.room = (SELECT num FROM {p}rooms WHERE id = ?1) AND e.seq > ?2 ORDER BY e.seq LIMIT ?3"#;

const MARKS: &str = r#"
    SELECT u.id AS user_id, k."read"
    FROM {p}rooms AS r
    CROSS JOIN {p}marks AS k ON k.room = r.num
    CROSS JOIN {p}users AS u ON u.num = k."user"
    WHERE r.id = ?1 AND u.id > ?2 AND k."read" > 0 ORDER BY u.id LIMIT ?3"#;

const MOVE: &str = "
    UPDATE {p}rooms SET head = ?2, head_id = ?3, guard = ?4, first = ?5, trimmed_ms = nullif(?6, -1), active = ?7,
                        record = ?8
    WHERE id = ?1";

#[async_trait]
impl<B: Backend> Restore for Opened<B> {
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        let after = after.map_or_else(Vec::new, |room| room.as_bytes().to_vec());
        let rows: Vec<(Vec<u8>,)> = self.fetch("list logs", LOGS, args![after, limit]).await?;
        rows.into_iter().map(|(id,)| Ok(RoomId::from_bytes(bytes(&id)?))).collect()
    }

    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError> {
        let rows: Vec<StateRow> = self.fetch("read how a log stands", STATE, args![room]).await?;
        let Some((record, head, guard, first, trimmed_ms, active)) = rows.into_iter().next() else { return Ok(None) };
        let [head, guard, first] = [head, guard, first].map(Seq::from_stored);
        Ok(Some(LogState {
            room: json(&record)?,
            head,
            guard,
            first,
            trimmed_ms,
            active: chat_core::Timestamp(active),
        }))
    }

    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError> {
        let rows: Vec<KeptRow> = self.fetch("read what is kept", KEPT, args![room, after, limit]).await?;
        rows.into_iter().map(|row| row.into_kept(room)).collect()
    }

    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError> {
        let after = after.map_or("", UserId::as_str);
        let rows: Vec<MarkRow> = self.fetch("list read marks", MARKS, args![room, after, limit]).await?;
        rows.into_iter().map(MarkRow::into_mark).collect()
    }

    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        self.0.write(Work::Restore(part.clone())).await.map(drop)
    }
}

/// Puts a part of a log where it stood in another store.
pub(crate) async fn restore<C: Steps>(db: &mut Db<'_, C>, part: &Part) -> Result<(), StoreError> {
    let room = part.state.room.id;
    lock(db, [room].into()).await?;
    let asked = array([hex(room.as_bytes())])?;
    let heads: Vec<HeadRow> = db.fetch("look up what is there", C::STATEMENTS.heads, args![asked]).await?;
    let there = heads.into_iter().next();
    let fresh = part.after(there.as_ref().map_or(Seq::ZERO, |(_, head, ..)| Seq::from_stored(*head)))?;
    meet(db, fresh, part).await?;
    if there.is_none()
        && let Some(creation) = fresh.first()
    {
        create(db, room, creation.entry.id, creation.entry.at, &part.state.room).await?;
    }
    if !fresh.is_empty() {
        let rows: Vec<_> = fresh.iter().map(|kept| (&kept.entry, kept.hash)).collect();
        C::insert(db, &rows, &Numbers::default()).await?;
        show(db, fresh).await?;
    }
    join(db, room, &part.members).await?;
    let last = fresh.last().map(|kept| (kept.entry.seq, kept.entry.id.as_bytes().to_vec()));
    let Some((head, head_id)) = last.or(there.map(|(_, head, id, ..)| (Seq::from_stored(head), id))) else {
        return Ok(());
    };
    let LogState { room: record, guard, first, trimmed_ms, active, .. } = &part.state;
    let state = args![room, head, head_id, *guard, *first, trimmed_ms.unwrap_or(-1), active.0, text(record)?];
    db.execute("move a log", MOVE, state).await.map(drop)
}

/// Learns who is spoken of. A member who is called by their id was never seen.
async fn meet<C: Connection>(db: &mut Db<'_, C>, fresh: &[Kept], part: &Part) -> Result<(), StoreError> {
    let mut people = BTreeMap::new();
    for member in &part.members {
        let seen = *member.name != *member.user.as_str();
        people.insert(member.user.clone(), seen.then_some(&*member.name));
    }
    people.extend(fresh.iter().map(|Kept { entry, .. }| (entry.author.clone(), Some(&*entry.name))));
    see(db, &people).await
}

/// Makes history show what later entries have made of the messages.
async fn show<C: Connection>(db: &mut Db<'_, C>, fresh: &[Kept]) -> Result<(), StoreError> {
    for Kept { entry, shown, .. } in fresh {
        let Some((body, folded)) = shown.clone() else { continue };
        let shown = text(&Shown { body, folded })?;
        db.execute("restore a message", FOLD, args![entry.room, entry.seq, shown]).await?;
    }
    Ok(())
}

pub(crate) async fn join<C: Connection>(
    db: &mut Db<'_, C>,
    room: RoomId,
    members: &[Member],
) -> Result<(), StoreError> {
    let mut since: BTreeMap<Seq, Vec<_>> = BTreeMap::new();
    for member in members {
        since.entry(member.since).or_default().push((member.user.as_str(), member.role));
    }
    for (since, members) in since {
        db.execute("restore members", C::STATEMENTS.join, args![array(members)?, room, since]).await?;
    }
    Ok(())
}

#[async_trait]
impl Restore for SqlStore {
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        self.0.logs(after, limit).await
    }

    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError> {
        self.0.state(room).await
    }

    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError> {
        self.0.kept(room, after, limit).await
    }

    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError> {
        self.0.marks(room, after, limit).await
    }

    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        self.0.restore(part).await
    }
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[LOGS, STATE, KEPT, MARKS, MOVE];
