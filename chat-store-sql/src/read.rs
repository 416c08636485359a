//! Reading the logs.

use async_trait::async_trait;
use chat_core::{
    Entry, EntryId, LogStore, Page, RoomId, Seq, StoreError,
    store::{Append, Head, Outcome},
};

use crate::{
    backend::{Backend, Opened},
    connection::{Connection, args},
    row::{EntryRow, HeadRow, array, bytes, hex},
    work::Work,
};

/// How many entries are forgotten in one transaction, so that trimming a long log does not keep writers waiting.
const TRIM_STEP: usize = 2_000;

// The room stands in a subquery, not in a join: PostgreSQL does not see that a room is one row, so it would read all of
// the room's entries and sort them for every page.
const READ: &str = r#"
    SELECT e.seq, e.id, e."key", u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}entries AS e
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE e.room = (SELECT num FROM {p}rooms WHERE id = ?1)
      AND e.seq >= greatest(?2 + 1, (SELECT first FROM {p}rooms WHERE id = ?1))
    ORDER BY e.seq LIMIT ?3"#;

const NEWEST: &str = r#"
    SELECT e.seq, e.id, e."key", u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}entries AS e{by_messages}
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE e.room = (SELECT num FROM {p}rooms WHERE id = ?1) AND e.message = 1 AND e.seq < ?2
    ORDER BY e.seq DESC LIMIT ?3"#;

const EDITS: &str = r#"
    SELECT e.seq, e.id, e."key", u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}rooms AS r
    CROSS JOIN {p}entries AS e{by_edits} ON e.room = r.num AND e.edits = ?2 AND e.seq > greatest(?2, ?3)
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE r.id = ?1 AND e.seq >= r.first ORDER BY e.seq LIMIT ?4"#;

const FOLLOWING: &str = r#"
    SELECT e.seq, e.id, e."key", u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}entries AS e{by_messages}
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE e.room = (SELECT num FROM {p}rooms WHERE id = ?1) AND e.message = 1 AND e.seq > ?4 AND e.seq < ?2
    ORDER BY e.seq LIMIT ?3"#;

#[async_trait]
impl<B: Backend> LogStore for Opened<B> {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.0.write(Work::Append(batch.to_vec())).await
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<EntryRow> = self.fetch("read a log", READ, args![room, after, limit]).await?;
        rows.into_iter().map(|row| row.into_raw(room)).collect()
    }

    async fn edits(&self, room: RoomId, target: Seq, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<EntryRow> = self.fetch("read edits", EDITS, args![room, target, after, limit]).await?;
        rows.into_iter().map(|row| row.into_raw(room)).collect()
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        let what = "read the history of a room";
        let before = position(page.before, i64::MAX);
        let rows: Vec<EntryRow> = if page.after.is_some() {
            let args = args![room, before, page.limit, position(page.after, 0)];
            self.fetch(what, FOLLOWING, args).await?
        } else {
            let mut newest = self.fetch(what, NEWEST, args![room, before, page.limit]).await?;
            newest.reverse();
            newest
        };
        rows.into_iter().map(|row| row.into_shown(room)).collect()
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        let asked = array(rooms.iter().map(|room| hex(room.as_bytes())))?;
        let found: Vec<HeadRow> = self.fetch("read heads", B::Connection::STATEMENTS.heads, args![asked]).await?;
        let mut heads = vec![Head::default(); rooms.len()];
        for (at, seq, id, guard, first) in found {
            let Some(head) = usize::try_from(at).ok().and_then(|at| heads.get_mut(at)) else { continue };
            let [seq, guard, first] = [seq, guard, first].map(Seq::from_stored);
            *head = Head { seq, id: Some(EntryId::from_bytes(bytes(&id)?)), guard, first };
        }
        Ok(heads)
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        let Some(Head { seq, first, .. }) = self.heads(&[room]).await?.pop() else { return Ok(()) };
        let through = through.min(seq.prev());
        let steps = (first.get()..through.get()).step_by(TRIM_STEP).filter_map(Seq::new);
        for step in steps.skip(1).chain([through]) {
            self.0.write(Work::Trim(room, step)).await?;
        }
        Ok(())
    }
}

/// Returns a bound as databases compare it; what is above their integers is above every position too.
pub(crate) fn position(given: Option<u64>, otherwise: i64) -> i64 {
    given.map_or(otherwise, |position| i64::try_from(position).unwrap_or(i64::MAX))
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[READ, NEWEST, EDITS, FOLLOWING];
