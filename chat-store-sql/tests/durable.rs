//! A server whose settings may lose what it has committed is refused.
//!
//! In a program of its own, since MariaDB has these settings for the whole server only: tests that run meanwhile would be
//! refused too. Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-store-sql --all-features --test durable -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "postgres", feature = "mysql"))]

mod common;
#[path = "common/mariadbd.rs"]
mod mariadbd;
#[path = "common/room.rs"]
mod room;

use chat_core::StoreErrorKind;
use chat_store_sql::{SqlConfig, SqlStore};
use common::{Place, until};
use mariadbd::Mariadbd;

async fn refused(config: SqlConfig, words: &str) {
    let error = SqlStore::connect(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(error.to_string().contains(words), "{error}");
    room::create(&SqlStore::connect(config.accept_unsafe(true)).await.unwrap()).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn postgresql_that_answers_before_it_writes_is_refused() {
    let place = Place::postgres().await;
    let url = place.url_with("options=-c%20synchronous_commit%3Doff");
    refused(SqlConfig::new(url), "synchronous_commit = off (wanted: on)").await;
    drop(place.open().await);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn postgresql_that_writes_half_pages_or_nothing_is_refused() {
    let place = Place::postgres().await;
    let mut other = place.other().await;
    for setting in ["fsync", "full_page_writes"] {
        let is =
            |value: &str| format!("SELECT count(*) FROM pg_settings WHERE name = '{setting}' AND setting = '{value}'");
        other.run(&format!("ALTER SYSTEM SET {setting} = off")).await;
        other.run("SELECT pg_reload_conf()").await;
        until(&mut other, &is("off"), 1).await;
        let tried = tokio::spawn(SqlStore::connect(place.config())).await;
        other.run(&format!("ALTER SYSTEM RESET {setting}")).await;
        other.run("SELECT pg_reload_conf()").await;
        until(&mut other, &is("on"), 1).await;
        let error = tried.unwrap().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported);
        assert!(error.to_string().contains(&format!("{setting} = off (wanted: on)")), "{error}");
    }
    drop(place.open().await);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn postgresql_that_keeps_other_characters_is_refused() {
    let place = Place::postgres().await;
    let (name, mut other) = (format!("latin_{}", place.name()), place.other().await);
    other.run(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")).await;
    let (server, _) = std::env::var("CHAT_TEST_POSTGRES")
        .unwrap()
        .rsplit_once('/')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let error = SqlStore::open(&format!("{server}/{name}")).await.unwrap_err();
    other.run(&format!("DROP DATABASE {name} (FORCE)")).await;
    assert!(error.to_string().contains("LATIN1"), "{error}");
}

#[tokio::test]
#[ignore = "needs MariaDB or MySQL: scripts/test"]
async fn mariadb_that_answers_before_it_writes_is_refused() {
    let place = Place::mysql().await;
    let mut other = place.other().await;
    let was = other.number("SELECT CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS SIGNED)").await;
    other.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2").await;
    let words = "innodb_flush_log_at_trx_commit = 2 (wanted: 1)";
    let tried = tokio::spawn(refused(place.config(), words)).await;
    other.run(&format!("SET GLOBAL innodb_flush_log_at_trx_commit = {was}")).await;
    tried.unwrap();
    drop(place.open().await);
}

/// With a binary log, what is committed is what that log holds: InnoDB's own is brought after it.
#[tokio::test]
#[ignore = "needs MariaDB's own programs: scripts/test"]
async fn mariadb_that_answers_before_its_binary_log_is_written_is_refused() {
    let server = Mariadbd::start(&["--log-bin", "--sync-binlog=0"]).await;
    refused(SqlConfig::new(server.url()), "sync_binlog = 0 (wanted: 1)").await;
    server.run("SET GLOBAL sync_binlog = 1").await;
    drop(SqlStore::open(&server.url()).await.unwrap());
}
