//! Reading the logs.

use async_trait::async_trait;
use chat_core::{
    Entry, EntryId, LogStore, Page, RoomId, Seq, StoreError,
    store::{Append, Head, Outcome},
};

use super::{Sqlite, array, hex, writer::Work};
use crate::{
    error::during,
    row::{EntryRow, bytes},
};

/// How many entries are forgotten in one transaction, so that trimming a long log does not keep writers waiting.
const TRIM_STEP: usize = 2_000;

const READ: &str = "
    SELECT e.seq, e.id, e.key, u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}rooms AS r
    CROSS JOIN {p}entries AS e ON e.room = r.num AND e.seq >= max(?2 + 1, r.first)
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE r.id = ?1 ORDER BY e.seq LIMIT ?3";

const NEWEST: &str = "
    SELECT e.seq, e.id, e.key, u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}rooms AS r
    CROSS JOIN {p}entries AS e INDEXED BY {p}messages ON e.room = r.num AND e.message = 1 AND e.seq < ?2
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE r.id = ?1 ORDER BY e.seq DESC LIMIT ?3";

const FOLLOWING: &str = "
    SELECT e.seq, e.id, e.key, u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
    FROM {p}rooms AS r
    CROSS JOIN {p}entries AS e INDEXED BY {p}messages ON e.room = r.num AND e.message = 1 AND e.seq > ?4 AND e.seq < ?2
    CROSS JOIN {p}users AS u ON u.num = e.author
    WHERE r.id = ?1 ORDER BY e.seq LIMIT ?3";

const HEADS: &str = "
    SELECT v.key, r.head, r.head_id, r.guard, r.first
    FROM json_each(?1) AS v CROSS JOIN {p}rooms AS r ON r.id = unhex(v.value)";

#[async_trait]
impl LogStore for Sqlite {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.write(Work::Append(batch.to_vec())).await
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<EntryRow> = sqlx::query_as(self.prefix.sql(READ))
            .bind(room.as_bytes().as_slice())
            .bind(after.to_stored())
            .bind(limit)
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(during("read a log"))?;
        rows.into_iter().map(|row| row.into_raw(room)).collect()
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        let sql = if page.after.is_some() { FOLLOWING } else { NEWEST };
        let mut rows: Vec<EntryRow> = sqlx::query_as(self.prefix.sql(sql))
            .bind(room.as_bytes().as_slice())
            .bind(position(page.before, i64::MAX))
            .bind(page.limit)
            .bind(position(page.after, 0))
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(during("read the history of a room"))?;
        if page.after.is_none() {
            rows.reverse();
        }
        rows.into_iter().map(|row| row.into_shown(room)).collect()
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        let found: Vec<(i64, i64, Vec<u8>, i64, i64)> = sqlx::query_as(self.prefix.sql(HEADS))
            .bind(array(rooms.iter().map(|room| hex(room.as_bytes())))?)
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(during("read heads"))?;
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
            self.write(Work::Trim(room, step)).await?;
        }
        Ok(())
    }
}

/// Returns a bound as SQLite compares it; what is above its integers is above every position too.
pub(super) fn position(given: Option<u64>, otherwise: i64) -> i64 {
    given.map_or(otherwise, |position| i64::try_from(position).unwrap_or(i64::MAX))
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[READ, NEWEST, FOLLOWING, HEADS];
