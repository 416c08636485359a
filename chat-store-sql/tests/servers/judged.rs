//! Each store decides as `Standing::judge` does: PostgreSQL's procedure has the rules in a language of its own.

use std::collections::HashMap;

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, RoomId, RoomSpec, Seq, Timestamp, UserId,
    conformance::faulty::Chance,
    memory::MemoryStore,
    model::{MemberChange, Membership, NewEntry, RoomChange, Text},
    store::{Append, Outcome},
};

use crate::common::Place;

on_both!(whatever_comes_is_answered_as_in_memory);

/// Makes drafts of few rooms, authors, keys and texts, so that all kinds of repetition happen.
struct Drafts(Chance);

impl Drafts {
    fn batch(&self) -> Vec<Append> {
        let mut rooms: Vec<_> = (0..4).collect();
        (0..=self.0.below(3)).map(|_| self.share(rooms.remove(self.0.below(rooms.len())))).collect()
    }

    fn share(&self, room: usize) -> Append {
        let guard = (!self.0.percent(10)).then(|| Seq::new(self.0.below(12) as u64).unwrap());
        let mut entries = Vec::new();
        for _ in 0..self.0.below(5) {
            entries.push(self.entry());
            if entries.last().is_some_and(|new: &NewEntry| new.body.restricts()) {
                break; // the last of its share
            }
        }
        Append { room: RoomId::named(&room.to_string()), guard, entries }
    }

    fn byte(&self, end: usize) -> u8 {
        u8::try_from(self.0.below(end)).unwrap()
    }

    fn entry(&self) -> NewEntry {
        let user = |n: usize| UserId::new(["ann", "bob", "Bob "][n]).unwrap();
        let body = match self.0.below(20) {
            0 | 1 => Body::Room(RoomChange::Created(RoomSpec::public("r"))),
            2 => Body::Member(MemberChange { user: user(self.0.below(3)), change: Membership::Leave }),
            3 => Body::Member(MemberChange { user: user(self.0.below(3)), change: Membership::Join }),
            4 => Body::Delete(Seq::new(self.0.below(9) as u64).unwrap()),
            n => Body::Text(Text::new(["one", "two"][n % 2])),
        };
        let key = Key::new(1_000 + i64::from(self.byte(4)), [self.byte(12); 10]);
        let id = EntryId::from_bytes([self.byte(256); 16]);
        NewEntry::new(id, Draft { key, body }, user(self.0.below(3)), "Name".into(), Timestamp(1))
    }
}

async fn whatever_comes_is_answered_as_in_memory(place: Place) {
    let (store, memory) = (place.open().await, MemoryStore::new());
    let (drafts, mut seen) = (Drafts(Chance::new(7)), HashMap::<_, usize>::new());
    for round in 0..400 {
        let batch = drafts.batch();
        let (expected, answered) = (memory.append(&batch).await.unwrap(), store.append(&batch).await.unwrap());
        assert_eq!(answered, expected, "round {round}: {batch:?}");
        for outcome in answered.iter().flatten() {
            *seen.entry(std::mem::discriminant(outcome)).or_default() += 1;
        }
        if round % 100 == 50 {
            let (room, through) = (RoomId::named(&(round / 100).to_string()), Seq::new(5).unwrap());
            memory.trim(room, through).await.unwrap();
            store.trim(room, through).await.unwrap();
        }
    }
    assert_eq!(seen.len(), 7, "every outcome was seen: {:?}", Outcome::Missing);
    for room in (0..4).map(|room| RoomId::named(&room.to_string())) {
        let read = async |store: &dyn LogStore| store.read(room, Seq::ZERO, 1_000).await.unwrap();
        assert_eq!(read(&store).await, read(&memory).await);
        assert_eq!(store.heads(&[room]).await.unwrap(), memory.heads(&[room]).await.unwrap());
    }
}
