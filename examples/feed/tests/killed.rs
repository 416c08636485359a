//! Whatever is killed, everything is told.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, RoomId, RoomSpec, Seq, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::{Append, FullStore},
};

const ROOMS: usize = 5;
const ROUNDS: usize = 12;
const TOGETHER: usize = 20;

fn start(url: &str, file: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_chat-feed")).arg(url).arg(file).spawn().unwrap()
}

async fn append(store: &dyn FullStore, room: usize, bodies: impl IntoIterator<Item = Body>) {
    let entries = bodies.into_iter().map(|body| {
        let id = EntryId::from_bytes(*Key::generate().as_bytes());
        NewEntry::new(id, Draft::new(body), UserId::new("ann").unwrap(), "Ann".into(), Timestamp(1_750_000_000_000))
    });
    let share = Append { room: named(room), guard: Some(Seq::ZERO), entries: entries.collect() };
    store.append(&[share]).await.unwrap();
}

fn named(room: usize) -> RoomId {
    RoomId::named(&room.to_string())
}

/// Returns how often each message was told. A line that breaks off was told by a process that was killed in it.
fn told(file: &Path) -> BTreeMap<(String, u64), usize> {
    let mut told = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        *told.entry((entry["room"].as_str().unwrap().to_owned(), entry["seq"].as_u64().unwrap())).or_default() += 1;
    }
    told
}

#[tokio::test]
async fn everything_is_told_at_least_once_however_often_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (url, file) = (format!("sqlite:{}", folder.path().join("chat.db").display()), folder.path().join("told"));
    let store = chat_engine::open_full_store(&url).await.unwrap();
    for room in 0..ROOMS {
        append(&*store, room, [Body::Room(RoomChange::Created(RoomSpec::private("")))]).await;
    }
    for round in 0..ROUNDS {
        let mut feed = start(&url, &file);
        for room in 0..ROOMS {
            append(&*store, room, (0..TOGETHER).map(|_| Draft::text("hello").body)).await;
        }
        // Wherever it is by then: a little later each time.
        tokio::time::sleep(Duration::from_millis(10 * round as u64)).await;
        feed.kill().unwrap();
        feed.wait().unwrap();
    }
    let mut feed = start(&url, &file);
    let deadline = Instant::now() + Duration::from_secs(20);
    while told(&file).len() < ROOMS * ROUNDS * TOGETHER && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    feed.kill().unwrap();
    feed.wait().unwrap();
    let told = told(&file);
    let all =
        (0..ROOMS).flat_map(|room| (2..=1 + (ROUNDS * TOGETHER) as u64).map(move |seq| (named(room).to_string(), seq)));
    let missed: Vec<_> = all.filter(|message| !told.contains_key(message)).collect();
    assert_eq!(missed, []);
    // Nothing is told more often than somebody was killed over it.
    assert!(told.values().all(|times| *times <= 1 + ROUNDS), "{told:?}");
}
