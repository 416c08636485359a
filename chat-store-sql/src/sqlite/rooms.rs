//! Reading the projection.

use async_trait::async_trait;
use chat_core::{
    Entry, Member, Page, RoomId, RoomStore, RoomSummary, Seq, StoreError, UserId,
    store::{Access, Listing},
};

use super::{Sqlite, read::position, writer::Work};
use crate::{
    error::during,
    row::{RoomRow, SummaryRow, member, user},
};

const ACCESS: &str = "
    SELECT r.record, r.head, r.guard, r.active, m.role, m.since, coalesce(u.name, u.id) AS member_name,
           0 AS read, 0 AS unread
    FROM {p}rooms AS r
    LEFT JOIN {p}users AS u ON u.id = ?2
    LEFT JOIN {p}members AS m ON m.room = r.num AND m.user = u.num
    WHERE r.id = ?1";

const MEMBERS: &str = "
    SELECT u.id, coalesce(u.name, u.id), m.role, m.since
    FROM {p}rooms AS r
    CROSS JOIN {p}members AS m ON m.room = r.num
    CROSS JOIN {p}users AS u ON u.num = m.user
    WHERE r.id = ?1 AND u.id > ?2 ORDER BY u.id LIMIT ?3";

/// Completes the rooms of one page (`num`, `user`) to summaries. The page is cut before anything is counted.
macro_rules! summaries {
    ($page:literal) => {
        concat!(
            "WITH page AS (",
            $page,
            " ORDER BY r.active DESC, r.id LIMIT ?4)
            SELECT r.record, r.head, r.guard, r.active, m.role, m.since, coalesce(o.name, o.id) AS member_name,
                   w.id AS with_user, coalesce(w.name, w.id) AS with_name, coalesce(k.read, 0) AS read,
                   (SELECT count(*) FROM {p}entries AS n
                    WHERE n.room = r.num AND n.message = 1 AND n.author <> m.user
                      AND n.seq > max(coalesce(k.read, 0), m.since)) AS unread,
                   e.seq, e.id, e.key, u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
            FROM page
            CROSS JOIN {p}rooms AS r ON r.num = page.num
            LEFT JOIN {p}users AS o ON o.num = page.user
            LEFT JOIN {p}members AS m ON m.room = r.num AND m.user = page.user
            LEFT JOIN {p}users AS w ON r.visibility = 'direct' AND w.num =
                (SELECT x.user FROM {p}members AS x WHERE x.room = r.num AND x.user <> m.user)
            LEFT JOIN {p}marks AS k ON k.room = r.num AND k.user = page.user
            LEFT JOIN {p}entries AS e ON e.room = r.num AND e.seq =
                (SELECT max(seq) FROM {p}entries AS l WHERE l.room = r.num AND l.message = 1)
            LEFT JOIN {p}users AS u ON u.num = e.author
            ORDER BY r.active DESC, r.id"
        )
    };
}

const OF: &str = summaries!(
    "SELECT r.num, m.user FROM {p}users AS u
     CROSS JOIN {p}members AS m ON m.user = u.num
     CROSS JOIN {p}rooms AS r ON r.num = m.room
     WHERE u.id = ?1 AND r.visibility <> 'inbox' AND r.active < ?2 AND r.active > ?3"
);

const PUBLIC: &str = summaries!(
    "SELECT r.num, (SELECT num FROM {p}users WHERE id = ?1) AS user FROM {p}rooms AS r
     WHERE r.visibility = 'public' AND r.active < ?2 AND r.active > ?3"
);

const ALL: &str = summaries!(
    // The host's own overview; the one listing that sorts all rooms.
    "SELECT r.num, NULL AS user FROM {p}rooms AS r
     WHERE r.visibility <> 'inbox' AND r.active < ?2 AND r.active > ?3"
);

const ONE: &str = summaries!(
    "SELECT r.num, (SELECT num FROM {p}users WHERE id = ?1) AS user FROM {p}rooms AS r
     WHERE r.id = ?5 AND r.active < ?2 AND r.active > ?3"
);

#[async_trait]
impl RoomStore for Sqlite {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        let row: Option<RoomRow> = sqlx::query_as(self.prefix.sql(ACCESS))
            .bind(room.as_bytes().as_slice())
            .bind(user.as_str())
            .fetch_optional(&mut *self.reader().await?)
            .await
            .map_err(during("read an access"))?;
        let Some(row) = row else { return Ok(None) };
        let RoomSummary { room, member, guard, head, .. } = row.into_summary(Some(user))?;
        Ok(Some(Access { room, member, guard, as_of: head }))
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        let rows: Vec<(String, String, String, i64)> = sqlx::query_as(self.prefix.sql(MEMBERS))
            .bind(room.as_bytes().as_slice())
            .bind(page.after_user.as_ref().map_or("", UserId::as_str))
            .bind(page.limit)
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(during("read members"))?;
        rows.into_iter().map(|(id, name, role, since)| member(user(id)?, name, &role, since)).collect()
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        let (sql, of) = match which {
            Listing::Of(user) => (OF, Some(user)),
            Listing::Public(user) => (PUBLIC, Some(user)),
            Listing::One(_, user) => (ONE, Some(user)),
            _ => (ALL, None),
        };
        let mut query = sqlx::query_as(self.prefix.sql(sql))
            .bind(of.map(UserId::as_str))
            .bind(position(page.before, i64::MAX))
            .bind(position(page.after, i64::MIN))
            .bind(page.limit);
        if let Listing::One(room, _) = which {
            query = query.bind(room.as_bytes().as_slice());
        }
        let rows: Vec<SummaryRow> = query.fetch_all(&mut *self.reader().await?).await.map_err(during("list rooms"))?;
        rows.into_iter().map(|row| row.into_summary(of)).collect()
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.write(Work::Mark(user.clone(), room, read)).await.map(drop)
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.write(Work::Project(entries.to_vec())).await.map(drop)
    }
}

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ACCESS, MEMBERS, OF, PUBLIC, ONE];
