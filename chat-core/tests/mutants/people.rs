//! Broken stores, as far as people are concerned: each is the one in memory with one defect.

use async_trait::async_trait;
use chat_core::{
    Entry, LogStore, Member, Page, PeopleStore, RoomId, RoomStore, RoomSummary, Seq, StoreError, UserId,
    conformance::people::PeopleUnderTest,
    memory::MemoryStore,
    model::{BodyHash, Person},
    store::{Access, Append, Head, Listing, Outcome},
};

use super::mutants;

mutants! { people, broken;
    a_person_is_known_by_the_latest_name: ForgetsNames,
    rooms_of_a_person_are_found: MissesTheFirst,
    rooms_that_only_name_a_person_are_found: FindsMembersOnly,
    rooms_of_a_person_come_in_pages: IgnoresTheLimit,
    a_forgotten_person_is_named_no_more_in_the_room: KeepsRooms,
    a_forgotten_person_is_a_stranger: KeepsPeople,
    a_forgotten_person_may_come_back: KeepsPeople,
    what_others_sent_is_known_as_before: HashesBodies,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    ForgetsNames,
    MissesTheFirst,
    FindsMembersOnly,
    IgnoresTheLimit,
    KeepsRooms,
    KeepsPeople,
    HashesBodies,
}
use Defect::*;

struct Broken {
    inner: MemoryStore,
    defect: Defect,
}

fn broken(defect: Defect) -> PeopleUnderTest {
    Broken { inner: MemoryStore::new(), defect }.into()
}

#[async_trait]
impl PeopleStore for Broken {
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        let mut person = self.inner.person(user).await?;
        if let (ForgetsNames, Some(person)) = (self.defect, &mut person) {
            person.name = user.as_str().into();
        }
        Ok(person)
    }

    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        let limit = if self.defect == IgnoresTheLimit { u16::MAX } else { limit };
        let mut rooms = self.inner.rooms_of(user, after, limit).await?;
        match self.defect {
            MissesTheFirst => drop(rooms.drain(..1.min(rooms.len()))),
            FindsMembersOnly => {
                let listed = self.inner.rooms(&Listing::Of(user.clone()), &Page::newest(100)).await?;
                rooms.retain(|room| listed.iter().any(|summary| summary.room.id == *room));
            }
            _ => {}
        }
        Ok(rooms)
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        if self.defect == KeepsRooms { Ok(()) } else { self.inner.forget_in(room, user, stand_in).await }
    }

    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        if self.defect == KeepsPeople { Ok(()) } else { self.inner.forget(user, stand_in).await }
    }
}

#[async_trait]
impl LogStore for Broken {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let mut batch = batch.to_vec();
        if self.defect == HashesBodies {
            let entries = batch.iter_mut().flat_map(|share| &mut share.entries);
            entries.for_each(|new| new.hash = BodyHash::of(&new.body));
        }
        self.inner.append(&batch).await
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.inner.read(room, after, limit).await
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.inner.history(room, page).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.inner.heads(rooms).await
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.inner.trim(room, through).await
    }
}

#[async_trait]
impl RoomStore for Broken {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        self.inner.access(room, user).await
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.inner.members(room, page).await
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        self.inner.rooms(which, page).await
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.inner.mark(user, room, read).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.inner.project(entries).await
    }
}
