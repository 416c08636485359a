//! A room called tea, and what is said in it.

#![allow(dead_code)] // each test binary uses some of it

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, RoomId, RoomSpec, Seq, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::{Append, Outcome},
};
use chat_store_sql::SqlStore;
use futures::{FutureExt, future::join_all};

pub(crate) fn tea() -> RoomId {
    RoomId::named("tea")
}

pub(crate) fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

pub(crate) fn entry(draft: Draft) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    NewEntry::new(id, draft, UserId::new("ann").unwrap(), "Ann".into(), Timestamp(1_750_000_000_000))
}

pub(crate) fn text(text: &str) -> NewEntry {
    entry(Draft::text(text))
}

pub(crate) fn creation() -> NewEntry {
    entry(Draft::new(Body::Room(RoomChange::Created(RoomSpec::public("tea")))))
}

pub(crate) fn share_of(room: RoomId, entries: impl Into<Vec<NewEntry>>) -> Append {
    Append { room, guard: Some(Seq::ZERO), entries: entries.into() }
}

pub(crate) fn share(entries: impl Into<Vec<NewEntry>>) -> [Append; 1] {
    [share_of(tea(), entries)]
}

pub(crate) async fn append(store: &SqlStore, entries: impl Into<Vec<NewEntry>>) -> Vec<Outcome> {
    store.append(&share(entries)).await.unwrap().remove(0)
}

pub(crate) async fn create(store: &SqlStore) {
    assert_eq!(append(store, [creation()]).await, [Outcome::Stored(Seq::FIRST)]);
}

/// Returns the texts of the log after checking that it is dense.
pub(crate) async fn log(store: &SqlStore) -> Vec<String> {
    let log = store.read(tea(), Seq::ZERO, 10_000).await.unwrap();
    assert!(log.iter().zip(1..).all(|(entry, seq)| entry.seq.get() == seq), "the log has holes");
    log.iter().filter_map(|entry| entry.body.text().map(str::to_owned)).collect()
}

/// Leaves so many appends, each after some polls. Whether they are stored is not known then; asking again settles it, once.
pub(crate) async fn leave_appends(store: &SqlStore, count: usize) {
    let mut left = Vec::new();
    for polls in 0..count {
        let new = text(&polls.to_string());
        let batch = share([new.clone()]);
        let mut call = store.append(&batch);
        for _ in 0..polls % 7 {
            if (&mut call).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        left.push(new);
    }
    let settled = join_all(left.iter().map(|new| append(store, [new.clone()]))).await.concat();
    assert!(settled.iter().all(|outcome| matches!(outcome, Outcome::Stored(_) | Outcome::Duplicate(..))));
    let mut stored = log(store).await;
    stored.sort_by_key(|text| text.parse::<usize>().unwrap());
    assert_eq!(stored, (0..count).map(|polls| polls.to_string()).collect::<Vec<_>>());
}
