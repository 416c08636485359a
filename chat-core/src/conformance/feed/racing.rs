//! What holds while consumers advance and others write.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::{FeedUnderTest, called};
use crate::{
    conformance::{
        DEADLINE, eventually,
        store::setting::{Setting, append, creation, text},
    },
    model::{RoomId, RoomSpec, Seq},
};

/// Who create rooms and write to a room of all.
const WRITERS: usize = 3;
/// Few enough for a store that syncs each to a disk.
const CALLS: usize = 6;
/// Who begin to read while the writers are at it.
const CONSUMERS: usize = 2;

/// Creates rooms of its own, and between writes to a room of all.
async fn write(test: FeedUnderTest, writer: usize, wrote: Arc<AtomicUsize>) {
    let tea = Setting::at(&test.store, "tea");
    for call in 0..CALLS {
        let room = Setting::at(&test.store, &format!("{writer} {call}"));
        append(&*test.store, room.share(Some(0), [creation("ann", RoomSpec::private("")), text("ann", "2")])).await;
        append(&*test.store, tea.share(Some(0), [text("ann", "again")])).await;
        wrote.fetch_add(1, Ordering::SeqCst);
    }
}

/// Reads whatever is behind, and advances to what was read.
async fn consume(test: &FeedUnderTest, consumer: &str, got: &mut BTreeMap<RoomId, Vec<u64>>) {
    let consumer = called(consumer);
    for behind in test.feed.behind(&consumer, 5).await.unwrap() {
        // A page may end before the head does, and a log may have gone on since.
        let page = test.store.read(behind.room, behind.place, 3).await.unwrap();
        let seen = got.entry(behind.room).or_default();
        seen.extend(page.iter().map(|entry| entry.seq.get()));
        let done: Vec<_> = page.last().map(|last| (behind.room, last.seq)).into_iter().collect();
        test.feed.advance(&consumer, &done).await.unwrap();
    }
}

pub async fn nothing_is_missed_while_others_write(test: FeedUnderTest) {
    let tea = test.room("tea").await;
    let wrote = Arc::new(AtomicUsize::new(0));
    let mut tasks: JoinSet<()> = (0..WRITERS).map(|writer| write(test.clone(), writer, wrote.clone())).collect();
    for number in 0..CONSUMERS {
        let (test, wrote, tea) = (test.clone(), wrote.clone(), tea.room);
        tasks.spawn(async move {
            // Each begins a little later than the one before.
            eventually("the writers get on", async || wrote.load(Ordering::SeqCst) >= number * CALLS).await;
            let (name, mut got) = (format!("consumer-{number}"), BTreeMap::new());
            let all = |got: &BTreeMap<RoomId, Vec<u64>>| {
                got.len() == 1 + WRITERS * CALLS
                    && got.iter().all(|(room, seqs)| seqs.len() == if *room == tea { 1 + WRITERS * CALLS } else { 2 })
            };
            let reading = async {
                while !all(&got) {
                    consume(&test, &name, &mut got).await;
                    tokio::time::sleep(Duration::from_millis(1)).await; // lets the writers write
                }
            };
            let ended = tokio::time::timeout(DEADLINE, reading).await;
            assert!(ended.is_ok(), "{name} was given {} of {} rooms", got.len(), 1 + WRITERS * CALLS);
            // One consumer alone is given everything once, and in order.
            assert!(got.values().all(|seqs| seqs.iter().copied().eq(1..=seqs.len() as u64)), "{got:?}");
            assert_eq!(test.behind(&name).await, []);
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let all = Seq::new((1 + WRITERS * CALLS) as u64).unwrap();
    assert_eq!(test.store.heads(&[tea.room]).await.unwrap()[0].seq, all);
}
