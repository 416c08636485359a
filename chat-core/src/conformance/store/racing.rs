//! What holds while many write and read at once.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::{
    StoreUnderTest,
    setting::{Setting, again, append, append_all, creation, positions, text},
};
use crate::{
    model::{EntryId, Key, NewEntry, RoomSpec},
    store::Outcome,
};

/// Writers in one room: more than a node has lanes.
const WRITERS: usize = 16;
/// Calls per writer: few enough for a store that syncs each of them to a disk.
const CALLS: usize = 10;
/// Calls per writer to three rooms at once: each may take its turn in every room, and those who cross do so in the first.
const CROSSINGS: usize = 4;

/// Returns what writer `n` appends: two entries a call. Two writers each share an author and all keys, as when a
/// client whose connection broke sends everything again by another node.
fn calls(n: usize) -> Vec<[NewEntry; 2]> {
    let author = format!("writer {}", n / 2);
    let keyed = |call: usize, part: u8| {
        let mut random = [part; 10];
        random[..2].copy_from_slice(&[u8::try_from(n / 2).unwrap(), u8::try_from(call).unwrap()]);
        NewEntry { key: Key::new(1_000, random), ..text(&author, &format!("{call}.{part}")) }
    };
    (0..CALLS).map(|call| [keyed(call, 0), keyed(call, 1)]).collect()
}

async fn write(tea: Setting, n: usize) -> Vec<(Key, Outcome)> {
    let mut answers = Vec::new();
    for entries in calls(n) {
        let keys = entries.clone().map(|entry| entry.key);
        answers.extend(keys.into_iter().zip(tea.append(entries).await));
    }
    answers
}

pub async fn concurrent_appends_keep_one_order(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let mut writers: JoinSet<_> = (0..WRITERS).map(|n| write(tea.clone(), n)).collect();
    let (mut stored, mut answered) = (BTreeSet::new(), Vec::new());
    while let Some(answers) = writers.join_next().await {
        for (key, outcome) in answers.unwrap() {
            match outcome {
                Outcome::Stored(seq) => assert!(stored.insert((key, seq)), "stored twice: {key}"),
                Outcome::Duplicate(seq, _) => answered.push((key, seq)),
                other => panic!("{key}: {other:?}"),
            }
        }
    }
    let log = tea.log().await;
    assert_eq!(positions(&log), (1..=1 + (WRITERS * CALLS) as u64).collect::<Vec<_>>());
    let kept: BTreeSet<_> = log[1..].iter().map(|entry| (entry.key, entry.seq)).collect();
    assert_eq!((kept.len(), answered.len()), (log.len() - 1, WRITERS * CALLS));
    assert_eq!(kept, stored);
    assert!(answered.iter().all(|known| kept.contains(known)), "an answer names a position of another key");
}

pub async fn concurrent_creations_make_one_room(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    let create = |n: usize| {
        let (tea, owner) = (tea.clone(), format!("owner {n}"));
        async move { append(&*tea.store, tea.share(Some(0), [creation(&owner, RoomSpec::public("tea"))])).await }
    };
    let outcomes = (0..WRITERS).map(create).collect::<JoinSet<_>>().join_all().await.concat();
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Stored(_))).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Exists).count(), WRITERS - 1);
    assert_eq!(tea.log().await.len(), 1);
}

pub async fn crossing_batches_do_not_block(store: StoreUnderTest) {
    let rooms = ["a", "b", "c"].map(|name| Setting::at(&store, name));
    for room in &rooms {
        room.create("ann", RoomSpec::public("x")).await;
    }
    let write = |n: usize| {
        let (store, mut rooms) = (store.clone(), rooms.clone());
        rooms.rotate_left(n % 3);
        if n.is_multiple_of(2) {
            rooms.reverse();
        }
        async move {
            for _ in 0..CROSSINGS {
                let share = |room: &Setting| room.share(Some(0), [text("ann", "1"), text("bob", "2")]);
                let batch: Vec<_> = rooms.iter().map(share).collect();
                let ids: Vec<_> = batch.iter().flat_map(|share| &share.entries).map(|new| new.id).collect();
                let outcomes = append_all(&*store, batch).await.concat();
                // Where the first try stored a part and its answer was lost, the second says so.
                let ours = |(outcome, own): (&Outcome, &EntryId)| match outcome {
                    Outcome::Stored(_) => true,
                    Outcome::Duplicate(_, id) => id == own,
                    _ => false,
                };
                assert!(outcomes.iter().zip(&ids).all(ours), "{outcomes:?}");
            }
        }
    };
    (0..6).map(write).collect::<JoinSet<_>>().join_all().await;
    for room in rooms {
        assert_eq!(positions(&room.log().await), (1..=1 + 6 * 2 * CROSSINGS as u64).collect::<Vec<_>>());
    }
}

pub async fn readers_see_a_prefix(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let total = 1 + (WRITERS * CALLS) as u64;
    let tail = |limit: u16| {
        let tea = tea.clone();
        async move {
            let mut seen: Vec<crate::Entry> = Vec::new();
            while (seen.len() as u64) < total {
                let page = tea.read(seen.len() as u64, limit).await;
                let expected: Vec<_> = (1 + seen.len() as u64..).take(page.len()).collect();
                assert_eq!(positions(&page), expected, "a hole");
                seen.extend(page);
                tokio::task::yield_now().await; // a store in memory never waits by itself
            }
            seen
        }
    };
    let readers: JoinSet<_> = [1, 3, 50, 1_000].into_iter().map(tail).collect();
    (0..WRITERS).map(|n| write(tea.clone(), n)).collect::<JoinSet<_>>().join_all().await;
    let log = tea.log().await;
    for seen in readers.join_all().await {
        assert_eq!(seen, log);
    }
    let retried = append(&*tea.store, tea.share(Some(0), [again(&calls(0)[0][0])])).await;
    assert!(matches!(retried[..], [Outcome::Duplicate(..)]));
}
