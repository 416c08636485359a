//! Putting right what was made of the logs.

use async_trait::async_trait;
use chat_core::{
    Entry, StoreError, StoreErrorKind,
    store::{Projected, Repair},
};

use crate::{
    SqlStore,
    backend::{Backend, Opened},
    connection::{Arg, Connection, Db, args},
    people::DROP_MEMBERS,
    project::{FOLD, create, see},
    restore::join,
    row::{Shown, text},
    steps::lock,
    work::Work,
};

/// The number of the room, and the last position of its log, which may be kept elsewhere.
const LAST: &str = "
    SELECT r.num, (SELECT coalesce(max(e.seq), 0) FROM {p}entries AS e WHERE e.room = r.num) AS last
    FROM {p}rooms AS r WHERE r.id = ?1";

const SET: &str = "
    UPDATE {p}rooms SET head = ?2, head_id = ?3, guard = ?4, active = ?5, record = ?6 WHERE id = ?1";

#[async_trait]
impl<B: Backend> Repair for Opened<B> {
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError> {
        self.0.write(Work::SetRoom(room.clone())).await.map(drop)
    }

    async fn set_message(&self, message: &Entry) -> Result<(), StoreError> {
        self.0.write(Work::SetMessage(message.clone())).await.map(drop)
    }
}

#[async_trait]
impl Repair for SqlStore {
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError> {
        self.0.set_room(room).await
    }

    async fn set_message(&self, message: &Entry) -> Result<(), StoreError> {
        self.0.set_message(message).await
    }
}

/// Makes a room this, unless its log is here and says otherwise about its own end.
pub(crate) async fn set_room<C: Connection>(db: &mut Db<'_, C>, room: &Projected) -> Result<(), StoreError> {
    let (what, id) = ("set a room", room.record.id);
    lock(db, [id].into()).await?;
    let found: Vec<(i64, i64)> = db.fetch("look up the end of a log", LAST, args![id]).await?;
    match found.first() {
        None => create(db, id, room.head_id, room.active, &room.record).await?,
        Some((_, last)) if *last > 0 && *last != room.head.to_stored() => {
            return Err(StoreError::new(StoreErrorKind::Contended, "set a room whose log goes on"));
        }
        Some(_) => {}
    }
    let head_id = room.head_id.as_bytes().to_vec();
    let set = args![id, room.head, head_id, room.guard, room.active.0, text(&room.record)?];
    db.execute(what, SET, set).await?;
    db.execute(what, DROP_MEMBERS, args![id]).await?;
    see(db, &room.members.iter().map(|member| (member.user.clone(), None)).collect()).await?;
    join(db, id, &room.members).await
}

pub(crate) async fn set_message<C: Connection>(db: &mut Db<'_, C>, message: &Entry) -> Result<(), StoreError> {
    let shown = message.folded.clone().map(|folded| text(&Shown { body: message.body.clone(), folded })).transpose()?;
    let shown = args![message.room, message.seq, Arg::Text(shown)];
    db.execute("set a message", FOLD, shown).await.map(drop)
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[LAST, SET];
