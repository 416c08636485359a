//! What the cases are made of: people, entries, and a store with one room.

use super::StoreUnderTest;
use crate::{
    Store,
    model::{
        Body, BodyHash, Draft, Edit, Entry, EntryId, Key, MemberChange, Membership, NewEntry, Page, React, RoomChange,
        RoomId, RoomSpec, RoomSummary, Seq, Text, Timestamp, UserId,
    },
    store::{Access, Append, Listing, Outcome},
};

/// When everything happens, unless a case says otherwise.
pub(in crate::conformance) const NOW: Timestamp = Timestamp(1_750_000_000_000);

pub(in crate::conformance) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(in crate::conformance) fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

/// Makes an entry with a fresh id and key; the author's display name is their id in capitals.
pub(in crate::conformance) fn entry(author: &str, body: Body) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    NewEntry::new(id, Draft::new(body), user(author), author.to_uppercase().into(), NOW)
}

pub(in crate::conformance) fn text(author: &str, text: &str) -> NewEntry {
    entry(author, Body::Text(Text::new(text)))
}

/// Makes a message of which the host's screening kept something else: the hash is that of what was sent.
pub(in crate::conformance) fn screened(author: &str, sent: &str, kept: &str) -> NewEntry {
    NewEntry { body: Body::Text(Text::new(kept)), ..text(author, sent) }
}

/// Makes a retry as a node makes it: the same key and content, everything else new.
pub(in crate::conformance) fn again(first: &NewEntry) -> NewEntry {
    NewEntry { key: first.key, hash: first.hash, ..entry(first.author.as_str(), first.body.clone()) }
}

/// Makes another draft under the same key: one that was sent as what is stored.
pub(in crate::conformance) fn sent_as_stored(first: &NewEntry) -> NewEntry {
    NewEntry { hash: BodyHash::of(&first.body), ..again(first) }
}

pub(in crate::conformance) fn edit(author: &str, target: u64, text: &str) -> NewEntry {
    entry(author, Body::Edit(Edit { target: seq(target), text: text.into() }))
}

pub(in crate::conformance) fn delete(author: &str, target: u64) -> NewEntry {
    entry(author, Body::Delete(seq(target)))
}

pub(in crate::conformance) fn react(author: &str, target: u64, emoji: &str, on: bool) -> NewEntry {
    entry(author, Body::React(React { target: seq(target), emoji: emoji.into(), on }))
}

pub(in crate::conformance) fn member(author: &str, who: &str, change: Membership) -> NewEntry {
    entry(author, Body::Member(MemberChange { user: user(who), change }))
}

pub(in crate::conformance) fn join(who: &str) -> NewEntry {
    member(who, who, Membership::Join)
}

pub(in crate::conformance) fn creation(author: &str, spec: RoomSpec) -> NewEntry {
    entry(author, Body::Room(RoomChange::Created(spec)))
}

pub(in crate::conformance) fn topic(author: &str, topic: &str) -> NewEntry {
    entry(author, Body::Room(RoomChange::Set { title: None, topic: Some(topic.into()), data: None }))
}

/// Returns what is answered when everything is stored, from a position on.
pub(in crate::conformance) fn stored(positions: impl IntoIterator<Item = u64>) -> Vec<Outcome> {
    positions.into_iter().map(|position| Outcome::Stored(seq(position))).collect()
}

pub(in crate::conformance) fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry.body.text()).collect()
}

pub(in crate::conformance) fn positions(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq.get()).collect()
}

/// Appends one share, and again as long as the store asks for it, as the engine does.
pub(in crate::conformance) async fn append(store: &dyn Store, share: Append) -> Vec<Outcome> {
    append_all(store, vec![share]).await.remove(0)
}

pub(in crate::conformance) async fn append_all(store: &dyn Store, batch: Vec<Append>) -> Vec<Vec<Outcome>> {
    loop {
        match store.append(&batch).await {
            Ok(outcomes) => return outcomes,
            Err(error) if error.is_transient() => tokio::task::yield_now().await,
            Err(error) => panic!("append: {error}"),
        }
    }
}

/// Is a store with one room, as the cases see it.
#[derive(Clone)]
pub(in crate::conformance) struct Setting {
    pub(in crate::conformance) store: StoreUnderTest,
    pub(in crate::conformance) room: RoomId,
}

impl Setting {
    /// Addresses the room with this name, which need not exist.
    pub(in crate::conformance) fn at(store: &StoreUnderTest, name: &str) -> Self {
        Self { store: store.clone(), room: RoomId::named(name) }
    }

    /// Creates the public room `tea`: ann is its owner and bob a member.
    pub(in crate::conformance) async fn new(store: StoreUnderTest) -> Self {
        let tea = Self::at(&store, "tea");
        tea.create("ann", RoomSpec::public("tea").members([user("bob")])).await;
        tea
    }

    pub(in crate::conformance) async fn create(&self, owner: &str, spec: RoomSpec) {
        assert_eq!(self.append([creation(owner, spec)]).await, stored([1]));
    }

    /// Appends under the guard as it stands.
    pub(in crate::conformance) async fn append(&self, entries: impl Into<Vec<NewEntry>>) -> Vec<Outcome> {
        let guard = self.store.heads(&[self.room]).await.unwrap()[0].guard;
        self.append_under(Some(guard.get()), entries).await
    }

    /// Appends one by one, each under the guard as it then stands: what follows a restriction is judged after it.
    pub(in crate::conformance) async fn append_each(&self, entries: impl IntoIterator<Item = NewEntry>) {
        for entry in entries {
            let outcome = self.append([entry]).await;
            assert!(matches!(outcome[..], [Outcome::Stored(_)]), "{outcome:?}");
        }
    }

    pub(in crate::conformance) async fn append_under(
        &self,
        guard: Option<u64>,
        entries: impl Into<Vec<NewEntry>>,
    ) -> Vec<Outcome> {
        append(&*self.store, self.share(guard, entries)).await
    }

    pub(in crate::conformance) fn share(&self, guard: Option<u64>, entries: impl Into<Vec<NewEntry>>) -> Append {
        Append { room: self.room, guard: guard.map(seq), entries: entries.into() }
    }

    pub(in crate::conformance) async fn read(&self, after: u64, limit: u16) -> Vec<Entry> {
        self.store.read(self.room, seq(after), limit).await.unwrap()
    }

    pub(in crate::conformance) async fn log(&self) -> Vec<Entry> {
        self.read(0, 1_000).await
    }

    pub(in crate::conformance) async fn history(&self, page: Page) -> Vec<Entry> {
        self.store.history(self.room, &page).await.unwrap()
    }

    pub(in crate::conformance) async fn access(&self, who: &str) -> Access {
        self.store.access(self.room, &user(who)).await.unwrap().expect("the room exists")
    }

    pub(in crate::conformance) async fn mark(&self, who: &str, read: u64) {
        self.store.mark(&user(who), self.room, seq(read)).await.unwrap();
    }

    /// Returns the room as it stands in a user's list.
    pub(in crate::conformance) async fn listed(&self, who: &str) -> Option<RoomSummary> {
        let rooms = self.store.rooms(&Listing::Of(user(who)), &Page::default()).await.unwrap();
        rooms.into_iter().find(|summary| summary.room.id == self.room)
    }
}
