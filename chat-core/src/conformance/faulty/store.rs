//! A store with something between it and its user.

use std::fmt;

use async_trait::async_trait;

use crate::{
    model::{Entry, Member, Page, RoomId, RoomSummary, Seq, UserId},
    store::{Access, Append, Head, Listing, LogStore, Outcome, RoomStore, Store, StoreError, StoreErrorKind},
};

/// Is one call of a store, with what is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // the parameters of the methods, under their names there
pub enum Call {
    Append(Vec<Append>),
    Read { room: RoomId, after: Seq, limit: u16 },
    History { room: RoomId, page: Page },
    Heads(Vec<RoomId>),
    Trim { room: RoomId, through: Seq },
    Access { room: RoomId, user: UserId },
    Members { room: RoomId, page: Page },
    Rooms { which: Listing, page: Page },
    Memberships { user: UserId, rooms_max: u16 },
    Mark { user: UserId, room: RoomId, read: Seq },
    Project(Vec<Entry>),
}

/// Is what a store answered to a [`Call`].
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(missing_docs)] // as the calls
pub enum Answer {
    Append(Vec<Vec<Outcome>>),
    Entries(Vec<Entry>),
    Heads(Vec<Head>),
    Access(Option<Access>),
    Members(Vec<Member>),
    Rooms(Vec<RoomSummary>),
    Memberships(Vec<Access>),
    Done,
}

/// Stands between a store and its user. By default everything passes.
#[async_trait]
pub trait StoreFault: Send + Sync {
    /// Sees a call before the store does: may wait, change what is asked, or refuse it.
    async fn before(&self, _call: &mut Call) -> Result<(), StoreError> {
        Ok(())
    }

    /// Sees what the store did: may wait, change what is answered, or lose it.
    async fn after(&self, _call: &Call, _answer: &mut Answer) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl<F: StoreFault + ?Sized> StoreFault for std::sync::Arc<F> {
    async fn before(&self, call: &mut Call) -> Result<(), StoreError> {
        (**self).before(call).await
    }

    async fn after(&self, call: &Call, answer: &mut Answer) -> Result<(), StoreError> {
        (**self).after(call, answer).await
    }
}

/// Is a store that a [`StoreFault`] stands before. Wrap it again for several of them.
#[derive(Clone)]
pub struct FaultyStore<S, F> {
    pub(super) inner: S,
    fault: F,
}

impl<S: Store, F: StoreFault> FaultyStore<S, F> {
    /// Puts a fault before a store.
    pub fn new(inner: S, fault: F) -> Self {
        Self { inner, fault }
    }

    /// Returns what stands before the store.
    pub fn fault(&self) -> &F {
        &self.fault
    }

    async fn pass(&self, mut call: Call) -> Result<Answer, StoreError> {
        self.fault.before(&mut call).await?;
        let inner = &self.inner;
        let mut answer = match &call {
            Call::Append(batch) => Answer::Append(inner.append(batch).await?),
            Call::Read { room, after, limit } => Answer::Entries(inner.read(*room, *after, *limit).await?),
            Call::History { room, page } => Answer::Entries(inner.history(*room, page).await?),
            Call::Heads(rooms) => Answer::Heads(inner.heads(rooms).await?),
            Call::Trim { room, through } => done(inner.trim(*room, *through).await)?,
            Call::Access { room, user } => Answer::Access(inner.access(*room, user).await?),
            Call::Members { room, page } => Answer::Members(inner.members(*room, page).await?),
            Call::Rooms { which, page } => Answer::Rooms(inner.rooms(which, page).await?),
            Call::Memberships { user, rooms_max } => Answer::Memberships(inner.memberships(user, *rooms_max).await?),
            Call::Mark { user, room, read } => done(inner.mark(user, *room, *read).await)?,
            Call::Project(entries) => done(inner.project(entries).await)?,
        };
        self.fault.after(&call, &mut answer).await?;
        Ok(answer)
    }
}

fn done(done: Result<(), StoreError>) -> Result<Answer, StoreError> {
    done.map(|()| Answer::Done)
}

fn mismatch<T>(_: Answer) -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Other, "a fault made the answer to another call"))
}

#[async_trait]
impl<S: Store, F: StoreFault> LogStore for FaultyStore<S, F> {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        match self.pass(Call::Append(batch.to_vec())).await? {
            Answer::Append(outcomes) => Ok(outcomes),
            other => mismatch(other),
        }
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        match self.pass(Call::Read { room, after, limit }).await? {
            Answer::Entries(entries) => Ok(entries),
            other => mismatch(other),
        }
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        match self.pass(Call::History { room, page: page.clone() }).await? {
            Answer::Entries(entries) => Ok(entries),
            other => mismatch(other),
        }
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        match self.pass(Call::Heads(rooms.to_vec())).await? {
            Answer::Heads(heads) => Ok(heads),
            other => mismatch(other),
        }
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.pass(Call::Trim { room, through }).await.map(drop)
    }
}

#[async_trait]
impl<S: Store, F: StoreFault> RoomStore for FaultyStore<S, F> {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        match self.pass(Call::Access { room, user: user.clone() }).await? {
            Answer::Access(access) => Ok(access),
            other => mismatch(other),
        }
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        match self.pass(Call::Members { room, page: page.clone() }).await? {
            Answer::Members(members) => Ok(members),
            other => mismatch(other),
        }
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        match self.pass(Call::Rooms { which: which.clone(), page: page.clone() }).await? {
            Answer::Rooms(rooms) => Ok(rooms),
            other => mismatch(other),
        }
    }

    async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        match self.pass(Call::Memberships { user: user.clone(), rooms_max }).await? {
            Answer::Memberships(accesses) => Ok(accesses),
            other => mismatch(other),
        }
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.pass(Call::Mark { user: user.clone(), room, read }).await.map(drop)
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.pass(Call::Project(entries.to_vec())).await.map(drop)
    }
}

impl<S: fmt::Debug, F> fmt::Debug for FaultyStore<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}
