//! One file, several users: callers who leave, other nodes, the host's own writers.

use std::time::Duration;

use chat_core::{LogStore, Seq, store::Outcome};
use chat_store_sql::{SqlConfig, SqlStore};
use futures::{future::join_all, poll};
use sqlx::{Connection, SqliteConnection};
use tokio::time::timeout;

use super::{
    File,
    room::{append, create, leave_appends, log, share, tea, text},
};

#[tokio::test]
async fn what_was_answered_as_stored_is_there_after_a_restart() {
    let file = File::new();
    let store = file.open().await;
    create(&store).await;
    append(&store, [text("1"), text("2")]).await;
    drop(store);
    let again = file.open().await;
    assert_eq!(log(&again).await, ["1", "2"]);
    assert_eq!(append(&again, [text("3")]).await, [Outcome::Stored(Seq::new(4).unwrap())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_append_to_one_room_densely() {
    let file = File::new();
    let nodes = [file.open().await, file.open().await];
    create(&nodes[0]).await;
    let write = async |n: usize| {
        for call in 0..25 {
            append(&nodes[n], [text(&format!("{n}.{call}")), text("more")]).await;
        }
    };
    tokio::join!(write(0), write(1), write(0), write(1));
    for node in &nodes {
        assert_eq!(log(node).await.len(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_writers_of_the_file_only_cost_time() {
    let file = File::new();
    let store = file.open().await;
    create(&store).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let mut host = SqliteConnection::connect(&file.url()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY)").execute(&mut host).await.unwrap();
    let host = tokio::spawn(async move {
        let mut written = 0;
        while stopped.try_recv().is_err() {
            sqlx::raw_sql("BEGIN IMMEDIATE; INSERT INTO orders DEFAULT VALUES; COMMIT")
                .execute(&mut host)
                .await
                .unwrap();
            written += 1;
            // SQLite has no queue: who never lets go of the lock for a moment may keep others out for any time.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        written
    });
    // Each append reads before it writes: in a deferred transaction it would now and then be refused at once, with
    // BUSY_SNAPSHOT, since the host wrote in between.
    for _ in 0..100 {
        append(&store, [text("still here")]).await;
    }
    stop.send(()).unwrap();
    assert!(host.await.unwrap() > 0, "the host wrote meanwhile");
    assert_eq!(log(&store).await.len(), 100);
}

#[tokio::test]
async fn a_caller_who_leaves_holds_nobody_up() {
    let file = File::new();
    let store = file.open().await;
    create(&store).await;
    leave_appends(&store, 200).await;
    // No transaction was left open: another connection may write at once.
    let mut host = SqliteConnection::connect(&file.url()).await.unwrap();
    sqlx::raw_sql("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; COMMIT").execute(&mut host).await.unwrap();
}

#[tokio::test]
async fn a_locked_file_is_contended_and_stores_nothing() {
    let file = File::new();
    let mut config = chat_store_sql::SqlConfig::new(file.url());
    config.busy_timeout = Duration::from_millis(20);
    let store = chat_store_sql::SqlStore::connect(config).await.unwrap();
    create(&store).await;
    let mut host = SqliteConnection::connect(&file.url()).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut host).await.unwrap();
    let calls = [share([text("1")]), share([text("2")]), share([text("3")])];
    for refused in join_all(calls.iter().map(|batch| store.append(batch))).await {
        assert_eq!(refused.unwrap_err().kind(), chat_core::StoreErrorKind::Contended);
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut host).await.unwrap();
    assert_eq!(log(&store).await, Vec::<String>::new());
    append(&store, [text("at last")]).await;
    assert_eq!(log(&store).await, ["at last"]);
}

#[tokio::test]
async fn a_long_log_is_trimmed_in_steps_and_whole() {
    let file = File::new();
    let store = file.open().await;
    create(&store).await;
    for _ in 0..9 {
        append(&store, (0..500).map(|n| text(&n.to_string())).collect::<Vec<_>>()).await;
    }
    store.trim(tea(), Seq::new(4_400).unwrap()).await.unwrap();
    let first = store.read(tea(), Seq::ZERO, 1).await.unwrap()[0].seq;
    assert_eq!((first.get(), store.heads(&[tea()]).await.unwrap()[0].first), (4_401, first));
    let mut host = SqliteConnection::connect(&file.url()).await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM chat_entries").fetch_one(&mut host).await.unwrap();
    assert_eq!(rows, 102, "what is kept, and the creation");
}

/// In memory too, where all is gone once the last connection is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_are_given_up_give_their_place_back() {
    let file = File::new();
    for url in [file.url(), "sqlite::memory:".to_owned()] {
        let store = SqlStore::connect(SqlConfig::new(url).readers(1)).await.unwrap();
        create(&store).await;
        append(&store, [text("1"), text("2")]).await;
        for _ in 0..100 {
            let mut read = store.read(tea(), Seq::ZERO, 256);
            for _ in 0..3 {
                if poll!(read.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let read = timeout(Duration::from_secs(20), log(&store)).await;
        assert_eq!(read.expect("the one place is free again"), ["1", "2"]);
    }
}
