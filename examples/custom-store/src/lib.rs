//! A store of one's own: everything in memory, and every write in a file before anybody hears of it.
//!
//! It is what the guide to adapters (`docs/adapter-guide.md`) leads to, for a store that is as simple as one can be: `journal.rs` is
//! the file, and this page the two ports. What is read, and how entries change rooms, members and earlier messages, is
//! left to [`MemoryStore`], whose state is a function of what was written: so the file is that, line by line, and opening a store
//! is doing it all again. `tests/conformance.rs` shows that it keeps the promises of the ports, and `tests/restart.rs` that they outlive
//! the process, also one that ended in the middle of a line.
//!
//! What it is not for: logs that do not fit into memory, and several processes.

mod journal;

use std::path::Path;

use async_trait::async_trait;
use chat_core::{
    Entry, LogStore, Member, Page, RoomId, RoomStore, RoomSummary, Seq, StoreError, StoreErrorKind, UserId,
    memory::MemoryStore,
    store::{Access, Append, Head, Listing, Outcome},
};
use tokio::sync::{RwLock, RwLockReadGuard};

use journal::{Journal, Line};

/// Keeps logs and rooms in one file.
#[derive(Debug)]
pub struct FileStore(RwLock<State>);

/// Is what one writer at a time changes. Readers wait meanwhile: nobody sees what the disk does not have.
#[derive(Debug)]
struct State {
    memory: MemoryStore,
    /// `None` after a write that failed: memory has then what the file may lack, and nothing more is said.
    journal: Option<Journal>,
}

impl FileStore {
    /// Opens a file, or makes it.
    ///
    /// A line that broke off at its end is cut off: nobody was told that it was stored. What was deleted since the file
    /// was opened last is taken out of it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let (memory, mut lines) = (MemoryStore::new(), Journal::read(path)?);
        for line in &lines {
            carry_out(&memory, line).await?;
        }
        for line in &mut lines {
            blank(&memory, line).await?;
        }
        let journal = Some(Journal::write(path, &lines)?);
        Ok(Self(RwLock::new(State { memory, journal })))
    }

    async fn read(&self) -> Result<RwLockReadGuard<'_, State>, StoreError> {
        let state = self.0.read().await;
        if state.journal.is_some() { Ok(state) } else { Err(broken()) }
    }

    /// Changes memory, and then the file. The line that `change` returns says how to do the same again.
    async fn write<T>(
        &self,
        change: impl AsyncFnOnce(&MemoryStore) -> Result<(T, Option<Line>), StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.0.write().await;
        // Taken out, and put back when all went well: an error, and also a caller who leaves in the middle, closes the store.
        let mut journal = state.journal.take().ok_or_else(broken)?;
        let (answer, line) = change(&state.memory).await?;
        if let Some(line) = line {
            journal.append(&line)?;
        }
        state.journal = Some(journal);
        Ok(answer)
    }
}

fn broken() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "use a store whose file could not be written")
}

/// Does what a line says.
async fn carry_out(memory: &MemoryStore, line: &Line) -> Result<(), StoreError> {
    match line {
        Line::Stored(entries) => {
            for entry in entries {
                let guard = memory.heads(&[entry.room]).await?.first().map(|head| head.guard);
                let share = Append { room: entry.room, guard, entries: vec![journal::draft(entry)] };
                if memory.append(&[share]).await? != [[Outcome::Stored(entry.seq)]] {
                    return Err(StoreError::new(
                        StoreErrorKind::Corrupt,
                        format!("store position {} again", entry.seq),
                    ));
                }
            }
            Ok(())
        }
        Line::Projected(entries) => memory.project(entries).await,
        Line::Marked(user, room, read) => memory.mark(user, *room, *read).await,
        Line::Trimmed(room, through) => memory.trim(*room, *through).await,
    }
}

/// Gives the entries of a line the bodies that they read with now: without what was deleted, or trimmed.
async fn blank(memory: &MemoryStore, line: &mut Line) -> Result<(), StoreError> {
    let Line::Stored(entries) = line else { return Ok(()) };
    for entry in entries {
        match memory.read(entry.room, entry.seq.prev(), 1).await?.pop() {
            Some(kept) if kept.seq == entry.seq => entry.body = kept.body,
            _ => entry.body.blank(),
        }
    }
    Ok(())
}

#[async_trait]
impl LogStore for FileStore {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.write(async |memory| {
            let outcomes = memory.append(batch).await?;
            let answered = batch.iter().zip(&outcomes).flat_map(|(share, outcomes)| {
                share.entries.iter().zip(outcomes).map(|(new, outcome)| (share.room, new, *outcome))
            });
            let stored = answered.filter_map(|(room, new, outcome)| match outcome {
                Outcome::Stored(seq) => Some(new.at(room, seq)),
                _ => None,
            });
            let stored: Vec<_> = stored.collect();
            let line = (!stored.is_empty()).then_some(Line::Stored(stored));
            Ok((outcomes, line))
        })
        .await
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.read().await?.memory.read(room, after, limit).await
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.read().await?.memory.history(room, page).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.read().await?.memory.heads(rooms).await
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.write(async |memory| Ok((memory.trim(room, through).await?, Some(Line::Trimmed(room, through))))).await
    }
}

#[async_trait]
impl RoomStore for FileStore {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        self.read().await?.memory.access(room, user).await
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.read().await?.memory.members(room, page).await
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        self.read().await?.memory.rooms(which, page).await
    }

    async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        self.read().await?.memory.memberships(user, rooms_max).await
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        let line = Line::Marked(user.clone(), room, read);
        self.write(async |memory| Ok((memory.mark(user, room, read).await?, Some(line)))).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let line = Line::Projected(entries.to_vec());
        self.write(async |memory| Ok((memory.project(entries).await?, Some(line)))).await
    }
}
