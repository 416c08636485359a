//! Two stores as one keep the promises of one store: messages in MongoDB, rooms in an SQL database.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-engine --all-features --test conformance -- --ignored`
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mongodb"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use chat_core::store::FullStore;
use chat_engine::{chat_core, open_hybrid};

static PLACES: AtomicU32 = AtomicU32::new(0);

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where the server is: see scripts/services"))
}

/// Returns names that no other case uses: of a database, and of a schema.
fn places() -> (String, String) {
    let name = format!("hybrid{}_{}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
    (format!("{}/{name}", server("CHAT_TEST_MONGODB")), name)
}

async fn with_postgres() -> Arc<dyn FullStore> {
    let (messages, schema) = places();
    open_hybrid(&messages, &format!("{}?schema={schema}", server("CHAT_TEST_POSTGRES"))).await.expect("two stores")
}

async fn with_sqlite() -> Arc<dyn FullStore> {
    open_hybrid(&places().0, "sqlite::memory:").await.expect("two stores")
}

chat_core::store_conformance!(
    #[ignore = "needs MongoDB and PostgreSQL: scripts/test"]
    mongodb_and_postgres,
    with_postgres
);

chat_core::store_conformance!(
    #[ignore = "needs MongoDB: scripts/test"]
    mongodb_and_sqlite,
    with_sqlite
);

chat_core::repair_conformance!(
    #[ignore = "needs MongoDB and PostgreSQL: scripts/test"]
    repair_mongodb_and_postgres,
    with_postgres
);
