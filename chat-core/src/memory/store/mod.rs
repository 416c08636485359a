//! Logs and rooms in memory.

mod feeds;
mod forget;
mod log;
mod people;
mod repair;
mod restore;
mod room;

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};

use self::{feeds::Feeds, people::People, room::Room};
use crate::{
    model::{Body, Entry, Member, Page, RoomChange, RoomId, RoomSummary, Seq, Timestamp, UserId, Visibility},
    store::{Access, Append, Behind, Consumer, Feed, Head, Listing, LogStore, Outcome, RoomStore, StoreError},
};

/// Keeps logs and rooms in memory.
///
/// It keeps every promise of [`Store`](crate::Store) while the process runs and none afterwards: what was answered as
/// stored is gone when the process ends. It grows until [`trim`](LogStore::trim) is called. Use it to try things
/// out, in tests, and for chats that may be forgotten.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use chat_core::{LogStore, RoomId, memory::MemoryStore, store::Head};
/// let store = MemoryStore::new();
/// assert_eq!(store.heads(&[RoomId::named("tea")]).await.unwrap(), [Head::default()]);
/// # });
/// ```
// Locks are taken in the order of the fields, and a room's own between the two. Rooms and people are sorted, not hashed:
// what is listed must not depend on a random seed.
#[derive(Default)]
pub struct MemoryStore {
    rooms: RwLock<BTreeMap<RoomId, Arc<Mutex<Room>>>>,
    people: Mutex<People>,
    feeds: Mutex<Feeds>,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn room(&self, id: RoomId) -> Option<Arc<Mutex<Room>>> {
        self.rooms.read().get(&id).cloned()
    }

    /// Returns the room of a share. A room that nobody created gets a place only if the share might create it, so
    /// that what is addressed to rooms that do not exist takes no memory.
    fn room_of(&self, share: &Append) -> Arc<Mutex<Room>> {
        let creates = |entry: &crate::model::NewEntry| matches!(entry.body, Body::Room(RoomChange::Created(_)));
        match self.room(share.room) {
            Some(room) => room,
            None if share.guard.is_some() && share.entries.iter().any(creates) => {
                self.rooms.write().entry(share.room).or_default().clone()
            }
            None => Arc::default(),
        }
    }

    fn append_to(&self, share: &Append) -> Vec<Outcome> {
        let room = self.room_of(share);
        let mut room = room.lock();
        let outcomes = room.append(share, &self.people);
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stored(_))) {
            self.feeds.lock().moved(share.room);
        }
        outcomes
    }

    /// Returns where a log ends; `ZERO` when there is none.
    fn head(&self, room: RoomId) -> Seq {
        self.room(room).map_or(Seq::ZERO, |room| room.lock().head().seq)
    }

    fn named(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let people = self.people.lock();
        for entry in &mut entries {
            entry.name = people.name(&entry.author);
        }
        entries
    }

    fn listed(&self, which: &Listing) -> Vec<Arc<Mutex<Room>>> {
        let rooms = self.rooms.read();
        match which {
            Listing::Of(user) => {
                let people = self.people.lock();
                people.rooms(user).filter_map(|id| rooms.get(id).cloned()).collect()
            }
            Listing::One(room, _) => rooms.get(room).cloned().into_iter().collect(),
            Listing::Public(_) | Listing::All => rooms.values().cloned().collect(),
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("rooms", &self.rooms.read().len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl LogStore for MemoryStore {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        Ok(batch.iter().map(|share| self.append_to(share)).collect())
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        let read = self.room(room).map(|room| room.lock().log.read(after, limit));
        Ok(self.named(read.unwrap_or_default()))
    }

    async fn edits(&self, room: RoomId, target: Seq, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        let edits = self.room(room).map(|room| room.lock().log.edits(target, after, limit));
        Ok(self.named(edits.unwrap_or_default()))
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        let messages = self.room(room).map(|room| room.lock().log.history(page));
        Ok(self.named(messages.unwrap_or_default()))
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        let head = |id: &RoomId| self.room(*id).map(|room| room.lock().head());
        Ok(rooms.iter().map(|id| head(id).unwrap_or_default()).collect())
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        if let Some(room) = self.room(room) {
            room.lock().log.trim(through);
        }
        Ok(())
    }
}

#[async_trait]
impl Feed for MemoryStore {
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
        let places = {
            let rooms = self.rooms.read();
            self.feeds.lock().behind(consumer, rooms.keys())
        };
        let behind = places.into_iter().map(|(room, place)| Behind { room, place, head: self.head(room) });
        Ok(behind.filter(|room| room.head > room.place).take(limit.into()).collect())
    }

    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        for (id, seq) in places {
            let Some(room) = self.room(*id) else { continue };
            let room = room.lock();
            self.feeds.lock().advance(consumer, *id, *seq, room.head().seq);
        }
        Ok(())
    }

    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
        self.feeds.lock().forget(consumer);
        Ok(())
    }
}

#[async_trait]
impl RoomStore for MemoryStore {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        let Some(room) = self.room(room) else { return Ok(None) };
        let room = room.lock();
        Ok(room.projection.as_ref().map(|projection| projection.access(user, &self.people.lock())))
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        let Some(room) = self.room(room) else { return Ok(Vec::new()) };
        let room = room.lock();
        Ok(room.projection.as_ref().map(|projection| projection.page(page, &self.people.lock())).unwrap_or_default())
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        let (of, wanted): (_, fn(Visibility) -> bool) = match which {
            Listing::Of(user) => (Some(user), |visibility| visibility != Visibility::Inbox),
            Listing::Public(user) => (Some(user), |visibility| visibility == Visibility::Public),
            Listing::All => (None, |visibility| visibility != Visibility::Inbox),
            Listing::One(_, user) => (Some(user), |_| true),
        };
        let on_page = |active: Timestamp| {
            let active = u64::try_from(active.0).unwrap_or_default();
            page.before.is_none_or(|before| active < before) && page.after.is_none_or(|after| active > after)
        };
        let summary = |room: Arc<Mutex<Room>>| {
            let room = room.lock();
            let projection = room.projection.as_ref()?;
            let listed = wanted(projection.record.visibility) && on_page(projection.active);
            listed.then(|| room.summary(projection, of, &self.people.lock()))
        };
        let mut rooms: Vec<_> = self.listed(which).into_iter().filter_map(summary).collect();
        rooms.sort_by_key(|summary| (std::cmp::Reverse(summary.active), summary.room.id));
        rooms.truncate(page.limit.into());
        Ok(rooms)
    }

    async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        let access = |room: Arc<Mutex<Room>>| {
            let room = room.lock();
            let projection = room.projection.as_ref().filter(|it| it.record.visibility != Visibility::Inbox)?;
            Some((projection.active, projection.access(user, &self.people.lock())))
        };
        let mut rooms: Vec<_> = self.listed(&Listing::Of(user.clone())).into_iter().filter_map(access).collect();
        rooms.sort_by_key(|(active, access)| (std::cmp::Reverse(*active), access.room.id));
        Ok(rooms.into_iter().take(rooms_max.into()).map(|(_, access)| access).collect())
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        let Some(room) = self.room(room) else { return Ok(()) };
        if let Some(projection) = &mut room.lock().projection {
            projection.mark(user, read);
        }
        Ok(())
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        for entry in entries {
            let room = self.rooms.write().entry(entry.room).or_default().clone();
            room.lock().project(entry, &self.people)?;
        }
        Ok(())
    }
}
