//! Who was seen: display names, and who is in which room.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::model::{RoomId, UserId};

#[derive(Default)]
pub(super) struct People(BTreeMap<UserId, Person>);

#[derive(Default)]
struct Person {
    name: Option<Arc<str>>,
    rooms: BTreeSet<RoomId>,
}

impl People {
    /// Returns the latest display name seen of a user; their id until one was seen.
    pub(super) fn name(&self, user: &UserId) -> Arc<str> {
        let seen = self.0.get(user).and_then(|person| person.name.clone());
        seen.unwrap_or_else(|| user.as_str().into())
    }

    pub(super) fn see(&mut self, user: &UserId, name: &Arc<str>) {
        self.0.entry(user.clone()).or_default().name = Some(name.clone());
    }

    pub(super) fn get(&self, user: &UserId) -> Option<crate::model::Person> {
        self.0.contains_key(user).then(|| crate::model::Person::new(user.clone(), self.name(user)))
    }

    pub(super) fn forget(&mut self, user: &UserId) {
        self.0.remove(user);
    }

    /// Returns the rooms a user is a member of.
    pub(super) fn rooms(&self, user: &UserId) -> impl Iterator<Item = &RoomId> {
        self.0.get(user).into_iter().flat_map(|person| &person.rooms)
    }

    pub(super) fn join(&mut self, user: &UserId, room: RoomId) {
        self.0.entry(user.clone()).or_default().rooms.insert(room);
    }

    pub(super) fn leave(&mut self, user: &UserId, room: RoomId) {
        if let Some(person) = self.0.get_mut(user) {
            person.rooms.remove(&room);
        }
    }
}
