//! Finding and forgetting people.

use async_trait::async_trait;
use chat_core::{Body, PeopleStore, RoomId, Seq, StoreError, UserId, model::Person};

use crate::{
    SqlStore,
    backend::{Backend, Opened},
    connection::{Connection, Db, args},
    error::unreadable,
    project::{BLANK, LEAVE},
    row::{MemberRow, bytes, text},
    steps::lock,
    work::Work,
};

/// How many rooms, or entries, one statement looks at.
const PAGE: u16 = 500;

/// Role and position do not matter here.
const PERSON: &str = "
    SELECT u.id AS user_id, coalesce(u.name, u.id) AS name, 'member' AS role, u.num AS since
    FROM {p}users AS u WHERE u.id = ?1";

/// Looks at the next rooms after `?2`, and tells of each whether something is stored there of user `?1`: 0 is nothing, a
/// negative number perhaps. `?3` is how JSON spells the user, which may also be a part of what somebody else is called.
///
/// Not by EXISTS, for which PostgreSQL would read a whole table into a hash, for each page again.
pub(crate) const ROOMS_OF: &str = r#"
    WITH page AS (SELECT r.num, r.id FROM {p}rooms AS r WHERE r.id > ?2 ORDER BY r.id LIMIT ?4)
    SELECT page.id, CASE
        WHEN (SELECT 1 FROM {p}entries AS e WHERE e.room = page.num AND e.author = u.num LIMIT 1) = 1 THEN page.num
        WHEN (SELECT 1 FROM {p}members AS m WHERE m.room = page.num AND m."user" = u.num) = 1 THEN page.num
        WHEN (SELECT 1 FROM {p}marks AS k WHERE k.room = page.num AND k."user" = u.num) = 1 THEN page.num
        WHEN (SELECT 1 FROM {p}entries AS n{by_others}
              WHERE n.room = page.num AND n.message = 0 AND instr(n.body, ?3) > 0 LIMIT 1) = 1 THEN -page.num
        ELSE 0 END
    FROM page LEFT JOIN {p}users AS u ON u.id = ?1
    ORDER BY page.id"#;

/// Returns entries that may name somebody, also what is trimmed but for its key.
const NAMED: &str = "
    SELECT e.seq, e.body FROM {p}rooms AS r
    CROSS JOIN {p}entries AS e{by_others} ON e.room = r.num AND e.message = 0 AND e.seq > ?2
    WHERE r.id = ?1 AND instr(e.body, ?3) > 0 ORDER BY e.seq LIMIT ?4";

const UNMARK: &str = r#"
    DELETE FROM {p}marks WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)
                           AND "user" = (SELECT num FROM {p}users WHERE id = ?2)"#;

const DROP_ENTRIES: &str = "DELETE FROM {p}entries WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1) AND seq >= 1";

pub(crate) const DROP_MEMBERS: &str = "DELETE FROM {p}members WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)";

const DROP_MARKS: &str = "DELETE FROM {p}marks WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)";

const DROP_PLACES: &str = "DELETE FROM {p}places WHERE room = (SELECT num FROM {p}rooms WHERE id = ?1)";

const DROP_ROOM: &str = "DELETE FROM {p}rooms WHERE id = ?1";

const RENAME: &str = "UPDATE {p}users SET id = ?2, name = NULL WHERE id = ?1";

#[async_trait]
impl<B: Backend> PeopleStore for Opened<B> {
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        let rows: Vec<MemberRow> = self.fetch("look up a person", PERSON, args![user]).await?;
        let person = rows.into_iter().next().map(MemberRow::into_member).transpose()?;
        Ok(person.map(|member| Person::new(member.user, member.name)))
    }

    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        let mut last = after.map(|after| after.as_bytes().to_vec()).unwrap_or_default();
        let mut found = Vec::new();
        loop {
            let args = args![user, last, spelled(user)?, PAGE];
            let page: Vec<(Vec<u8>, i64)> = self.fetch("find the rooms of a person", ROOMS_OF, args).await?;
            for (room, of_theirs) in page.iter().filter(|(_, of_theirs)| *of_theirs != 0) {
                let room = RoomId::from_bytes(bytes(room)?);
                if *of_theirs > 0 || self.names(room, user).await? {
                    found.push(room);
                }
            }
            if page.len() < usize::from(PAGE) || found.len() >= limit.into() {
                found.truncate(limit.into());
                return Ok(found);
            }
            last = page.into_iter().next_back().map(|(room, _)| room).unwrap_or_default();
        }
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.0.write(Work::ForgetIn(room, user.clone(), stand_in.clone())).await.map(drop)
    }

    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.0.write(Work::Forget(user.clone(), stand_in.clone())).await?;
        self.0.scrub().await
    }
}

impl<B: Backend> Opened<B> {
    /// Tells whether an entry of a room names a user.
    async fn names(&self, room: RoomId, user: &UserId) -> Result<bool, StoreError> {
        let mut after = Seq::ZERO;
        loop {
            let args = args![room, after, spelled(user)?, PAGE];
            let page: Vec<(i64, String)> = self.fetch("find who is named", NAMED, args).await?;
            for (seq, body) in &page {
                after = Seq::from_stored(*seq);
                if Body::decode(body).map_err(|_| unreadable("body"))?.names(user) {
                    return Ok(true);
                }
            }
            if page.len() < usize::from(PAGE) {
                return Ok(false);
            }
        }
    }
}

/// Puts the stand-in where entries of a room name a user, and drops membership and mark.
pub(crate) async fn forget_in<C: Connection>(
    db: &mut Db<'_, C>,
    room: RoomId,
    user: &UserId,
    stand_in: &UserId,
) -> Result<(), StoreError> {
    let what = "forget a person in a room";
    lock(db, [room].into()).await?;
    let mut after = Seq::ZERO;
    loop {
        let page: Vec<(i64, String)> = db.fetch(what, NAMED, args![room, after, spelled(user)?, PAGE]).await?;
        for (seq, body) in &page {
            after = Seq::from_stored(*seq);
            let mut body = Body::decode(body).map_err(|_| unreadable("body"))?;
            if body.names(user) {
                body.rename(user, stand_in);
                db.execute(what, BLANK, args![room, *seq, body.encode()]).await?;
            }
        }
        if page.len() < usize::from(PAGE) {
            break;
        }
    }
    db.execute(what, LEAVE, args![room, user]).await?;
    db.execute(what, UNMARK, args![room, user]).await?;
    Ok(())
}

/// Drops the inbox of a user, and gives what they wrote to the stand-in.
pub(crate) async fn forget<C: Connection>(
    db: &mut Db<'_, C>,
    user: &UserId,
    stand_in: &UserId,
) -> Result<(), StoreError> {
    let (what, inbox) = ("forget a person", RoomId::inbox(user));
    lock(db, [inbox].into()).await?;
    for statement in [DROP_ENTRIES, DROP_MEMBERS, DROP_MARKS, DROP_PLACES, DROP_ROOM] {
        db.execute(what, statement, args![inbox]).await?;
    }
    db.execute(what, RENAME, args![user, stand_in]).await?;
    Ok(())
}

/// Returns how a user is spelled inside a body.
fn spelled(user: &UserId) -> Result<String, StoreError> {
    text(&user.as_str())
}

#[async_trait]
impl PeopleStore for SqlStore {
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        self.0.person(user).await
    }

    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        self.0.rooms_of(user, after, limit).await
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.0.forget_in(room, user, stand_in).await
    }

    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.0.forget(user, stand_in).await
    }
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] =
    &[PERSON, ROOMS_OF, NAMED, UNMARK, DROP_ENTRIES, DROP_MEMBERS, DROP_MARKS, DROP_PLACES, DROP_ROOM, RENAME];
