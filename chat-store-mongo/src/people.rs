//! Who was seen: internal numbers and display names.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chat_core::{StoreError, UserId, model::Person};
use mongodb::{
    Collection,
    bson::{doc, oid::ObjectId},
};

use crate::{
    error::{all, ask, attempt, unreadable},
    row::{UserRow, user},
};

/// Keeps an internal number for everybody who wrote something, and the latest display name seen.
pub(crate) struct People(pub(crate) Collection<UserRow>);

impl People {
    /// Returns the numbers of those of these users who have one.
    pub(crate) async fn numbers(
        &self,
        users: impl IntoIterator<Item = &UserId>,
    ) -> Result<HashMap<UserId, ObjectId>, StoreError> {
        let numbered = self.rows(users).await?.into_iter().map(|row| Ok((user(row.user)?, row.number)));
        numbered.collect()
    }

    /// Learns display names, and returns the numbers of all.
    pub(crate) async fn see(
        &self,
        seen: &BTreeMap<&UserId, Arc<str>>,
    ) -> Result<HashMap<UserId, ObjectId>, StoreError> {
        let rows = self.rows(seen.keys().copied()).await?;
        let as_seen: HashMap<_, _> = rows.iter().map(|row| (&*row.user, &*row.name)).collect();
        let news: Vec<_> = seen.iter().filter(|(user, name)| as_seen.get(user.as_str()) != Some(&&***name)).collect();
        for (user, name) in &news {
            self.learn(user, name).await?;
        }
        let rows = if news.is_empty() { rows } else { self.rows(seen.keys().copied()).await? };
        rows.into_iter().map(|row| Ok((user(row.user)?, row.number))).collect()
    }

    /// Returns who has these numbers.
    pub(crate) async fn with_numbers(
        &self,
        numbers: impl IntoIterator<Item = ObjectId>,
    ) -> Result<HashMap<ObjectId, Person>, StoreError> {
        let mut numbers: Vec<_> = numbers.into_iter().collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = all("look up people", self.0.find(doc! { "_id": { "$in": numbers } })).await?;
        rows.into_iter().map(|row| Ok((row.number, row.into_person()?))).collect()
    }

    /// Returns the latest display names seen of these users; the id of those who were not.
    pub(crate) async fn names(
        &self,
        users: impl IntoIterator<Item = &UserId>,
    ) -> Result<HashMap<UserId, Arc<str>>, StoreError> {
        let users: Vec<_> = users.into_iter().collect();
        let mut names: HashMap<_, Arc<str>> =
            users.iter().map(|user| ((*user).clone(), user.as_str().into())).collect();
        for row in self.rows(users).await? {
            let person = row.into_person()?;
            names.insert(person.user, person.name);
        }
        Ok(names)
    }

    /// Returns who this is, if it is somebody known.
    pub(crate) async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        let row = ask("look up a person", self.0.find_one(doc! { "user": user.as_str() })).await?;
        row.map(UserRow::into_person).transpose()
    }

    /// Makes a stand-in of somebody. It is their own name.
    pub(crate) async fn rename(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        let set = doc! { "$set": { "user": stand_in.as_str(), "name": stand_in.as_str() } };
        ask("forget a person", self.0.update_one(doc! { "user": user.as_str() }, set)).await.map(drop)
    }

    async fn rows(&self, users: impl IntoIterator<Item = &UserId>) -> Result<Vec<UserRow>, StoreError> {
        let users: Vec<_> = users.into_iter().map(UserId::as_str).collect();
        if users.is_empty() {
            return Ok(Vec::new());
        }
        all("look up people", self.0.find(doc! { "user": { "$in": users } })).await
    }

    /// When two nodes meet somebody for the first time, one of them is refused, and then finds what the other one has made.
    async fn learn(&self, user: &UserId, name: &str) -> Result<(), StoreError> {
        let (one, set) = (doc! { "user": user.as_str() }, doc! { "$set": { "name": name } });
        if !attempt("learn a name", self.0.update_one(one.clone(), set.clone()).upsert(true)).await? {
            ask("learn a name", self.0.update_one(one, set)).await?;
        }
        Ok(())
    }
}

/// Returns the author of an entry.
pub(crate) fn author(people: &HashMap<ObjectId, Person>, number: ObjectId) -> Result<Person, StoreError> {
    people.get(&number).cloned().ok_or_else(|| unreadable("author"))
}
