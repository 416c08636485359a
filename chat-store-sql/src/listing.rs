//! Reading the projection.

use async_trait::async_trait;
use chat_core::{
    Entry, Member, Page, RoomId, RoomStore, RoomSummary, Seq, StoreError, UserId,
    store::{Access, Listing},
};

use crate::{
    backend::{Backend, Opened},
    connection::args,
    read::position,
    row::{MemberRow, RoomRow, SummaryRow},
    work::Work,
};

/// Mark and unread count do not matter here; `r.first` stands in their columns.
const ACCESS: &str = r#"
    SELECT r.record, r.head, r.guard, r.active, m.role, m.since, coalesce(u.name, u.id) AS member_name,
           r.first AS "read", r.first AS unread
    FROM {p}rooms AS r
    LEFT JOIN {p}users AS u ON u.id = ?2
    LEFT JOIN {p}members AS m ON m.room = r.num AND m."user" = u.num
    WHERE r.id = ?1"#;

/// The same of each of a user's rooms.
const MEMBERSHIPS: &str = r#"
    SELECT r.record, r.head, r.guard, r.active, m.role, m.since, coalesce(u.name, u.id) AS member_name,
           r.first AS "read", r.first AS unread
    FROM {p}users AS u
    CROSS JOIN {p}members AS m ON m."user" = u.num
    CROSS JOIN {p}rooms AS r ON r.num = m.room
    WHERE u.id = ?1 AND r.visibility <> 'inbox' ORDER BY r.active DESC, r.id LIMIT ?2"#;

const MEMBERS: &str = r#"
    SELECT u.id AS user_id, coalesce(u.name, u.id) AS name, m.role, m.since
    FROM {p}rooms AS r
    CROSS JOIN {p}members AS m ON m.room = r.num
    CROSS JOIN {p}users AS u ON u.num = m."user"
    WHERE r.id = ?1 AND u.id > ?2 ORDER BY u.id LIMIT ?3"#;

/// Completes the rooms of one page (`num`, `user`) to summaries. The page is cut before anything is counted.
macro_rules! summaries {
    ($page:literal) => {
        concat!(
            "WITH page AS (",
            $page,
            r#" ORDER BY r.active DESC, r.id LIMIT ?4)
            SELECT r.record, r.head, r.guard, r.active, m.role, m.since, coalesce(o.name, o.id) AS member_name,
                   w.id AS with_user, coalesce(w.name, w.id) AS with_name, coalesce(k."read", 0) AS "read",
                   (SELECT count(*) FROM {p}entries AS n
                    WHERE n.room = r.num AND n.message = 1 AND n.author <> m."user"
                      AND n.seq > greatest(coalesce(k."read", 0), m.since)) AS unread,
                   e.seq, e.id, e."key", u.id AS author, coalesce(u.name, u.id) AS name, e.body, e.shown, e.at, e.sent_at
            FROM page
            CROSS JOIN {p}rooms AS r ON r.num = page.num
            LEFT JOIN {p}users AS o ON o.num = page."user"
            LEFT JOIN {p}members AS m ON m.room = r.num AND m."user" = page."user"
            LEFT JOIN {p}users AS w ON r.visibility = 'direct' AND w.num =
                (SELECT min(x."user") FROM {p}members AS x WHERE x.room = r.num AND x."user" <> m."user")
            LEFT JOIN {p}marks AS k ON k.room = r.num AND k."user" = page."user"
            LEFT JOIN {p}entries AS e ON e.room = r.num AND e.seq =
                (SELECT max(seq) FROM {p}entries AS l WHERE l.room = r.num AND l.message = 1)
            LEFT JOIN {p}users AS u ON u.num = e.author
            ORDER BY r.active DESC, r.id"#
        )
    };
}

const OF: &str = summaries!(
    r#"SELECT r.num, m."user" FROM {p}users AS u
     CROSS JOIN {p}members AS m ON m."user" = u.num
     CROSS JOIN {p}rooms AS r ON r.num = m.room
     WHERE u.id = ?1 AND r.visibility <> 'inbox' AND r.active < ?2 AND r.active > ?3"#
);

const PUBLIC: &str = summaries!(
    r#"SELECT r.num, (SELECT num FROM {p}users WHERE id = ?1) AS "user" FROM {p}rooms AS r
     WHERE r.visibility = 'public' AND r.active < ?2 AND r.active > ?3"#
);

const ALL: &str = summaries!(
    // The host's own overview; the one listing that sorts all rooms.
    r#"SELECT r.num, (SELECT num FROM {p}users WHERE id = ?1) AS "user" FROM {p}rooms AS r
     WHERE r.visibility <> 'inbox' AND r.active < ?2 AND r.active > ?3"#
);

const ONE: &str = summaries!(
    r#"SELECT r.num, (SELECT num FROM {p}users WHERE id = ?1) AS "user" FROM {p}rooms AS r
     WHERE r.id = ?5 AND r.active < ?2 AND r.active > ?3"#
);

#[async_trait]
impl<B: Backend> RoomStore for Opened<B> {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        let rows: Vec<RoomRow> = self.fetch("read an access", ACCESS, args![room, user]).await?;
        rows.into_iter().next().map(|row| row.into_summary(Some(user)).map(Access::from)).transpose()
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        let after = page.after_user.as_ref().map_or("", UserId::as_str);
        let rows: Vec<MemberRow> = self.fetch("read members", MEMBERS, args![room, after, page.limit]).await?;
        rows.into_iter().map(MemberRow::into_member).collect()
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        let (sql, of) = match which {
            Listing::Of(user) => (OF, Some(user)),
            Listing::Public(user) => (PUBLIC, Some(user)),
            Listing::One(_, user) => (ONE, Some(user)),
            _ => (ALL, None),
        };
        let (before, after) = (position(page.before, i64::MAX), position(page.after, i64::MIN));
        let mut args = args![of, before, after, page.limit];
        if let Listing::One(room, _) = which {
            args.push((*room).into());
        }
        let rows: Vec<SummaryRow> = self.fetch("list rooms", sql, args).await?;
        rows.into_iter().map(|row| row.into_summary(of)).collect()
    }

    async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        let rows: Vec<RoomRow> = self.fetch("read memberships", MEMBERSHIPS, args![user, rooms_max]).await?;
        rows.into_iter().map(|row| row.into_summary(Some(user)).map(Access::from)).collect()
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.0.write(Work::Mark(user.clone(), room, read)).await.map(drop)
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.0.write(Work::Project(entries.to_vec())).await.map(drop)
    }
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[ACCESS, MEMBERSHIPS, MEMBERS, OF, PUBLIC, ONE];
