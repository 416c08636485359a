//! What only a server can get wrong: locks, snapshots, connections, schemas that several nodes make.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-store-sql --all-features --test servers -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "postgres", feature = "mysql"))]

/// Makes a case two tests: on PostgreSQL, and on MariaDB or MySQL.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PostgreSQL: scripts/test"]
            async fn $case() {
                super::$case(crate::common::Place::postgres().await).await;
            })+
        }

        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs MariaDB or MySQL: scripts/test"]
            async fn $case() {
                super::$case(crate::common::Place::mysql().await).await;
            })+
        }
    };
}

#[path = "../common/mod.rs"]
mod common;
mod judged;
mod locks;
mod people;
#[path = "../common/room.rs"]
mod room;
mod schema;
mod tasks;
