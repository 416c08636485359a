//! The real binary, on the databases of real servers.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-admin --test stores -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{common::done, store::talk};

#[path = "../common/mod.rs"]
mod common;
mod dead_letters;
#[path = "../common/store.rs"]
mod store;

fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where the server is: see scripts/services"))
}

/// Returns a name that no other run has used: what stands under it is not removed.
fn fresh() -> String {
    format!("a{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL, MariaDB and MongoDB: scripts/test"]
async fn a_store_goes_through_every_kind_and_comes_back_the_same() {
    let (folder, name) = (tempfile::tempdir().unwrap(), fresh());
    let file = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let stores = [
        file("first.db"),
        format!("{}?schema={name}", url("CHAT_TEST_POSTGRES")),
        mysql(&name).await,
        format!("{}/{name}?namespace=b_", url("CHAT_TEST_MONGODB")),
        format!("{}?schema={name}_2", url("CHAT_TEST_POSTGRES")),
        file("last.db"),
    ];
    talk(&stores[0]).await;
    let mut counts = Vec::new();
    for pair in stores.windows(2) {
        let said = done(&["copy", &pair[0], &pair[1]]);
        counts.push(said.split_once(':').unwrap().0.to_owned());
    }
    // And what has gone through all of them is what it was.
    counts.push(done(&["copy", &stores[0], &stores[5]]).split_once(':').unwrap().0.to_owned());
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    let exported = |store: &str| done(&["export-room", "order:4711", "--store", store]);
    for store in &stores[1..] {
        assert_eq!(exported(store), exported(&stores[0]), "{store}");
    }
}

/// Makes a database, since what MySQL calls a schema cannot be made from inside one.
async fn mysql(name: &str) -> String {
    let root = url("CHAT_TEST_MYSQL");
    let mut connection = <sqlx::MySqlConnection as sqlx::Connection>::connect(&root).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
    format!("{}/{name}", root.rsplit_once('/').unwrap().0)
}
