//! How SQLite carries the statements out.

#![allow(clippy::unwrap_used)]

use sqlx::SqliteConnection;

use super::open;
use crate::{Dialect, SqlConfig, connection::Connection, plans, prefix::Prefix};

#[tokio::test]
async fn no_statement_walks_through_a_table() {
    let (config, prefix) = (SqlConfig::new("sqlite::memory:"), Prefix::new("chat_", Dialect::Sqlite).unwrap());
    let options = open::options(&config).unwrap();
    let mut connection = open::connect(&options, config.busy_timeout).await.unwrap();
    open::prepare(&mut connection, &prefix, &config).await.unwrap();
    let own = [&SqliteConnection::STATEMENTS.all()[..], &plans::steps::<SqliteConnection>()].concat();
    for statement in [own, plans::shared()].concat() {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", prefix.fill(statement)));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(&mut connection).await.unwrap();
        for (.., step) in plan {
            // What is walked through is an argument, a page, or the few who follow all logs; what is searched is searched by more than the room alone.
            let walks = step.starts_with("SCAN")
                && !step.contains("VIRTUAL TABLE")
                && !["SCAN page", "SCAN f"].contains(&&*step);
            let whole_room = step.contains("entries") && step.ends_with("(room=?)");
            assert!(!walks && !whole_room, "{step} in{statement}");
        }
    }
}
