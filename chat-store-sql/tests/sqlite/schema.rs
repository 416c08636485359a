//! Making, sharing and refusing schemas.

use chat_core::{StoreErrorKind, store::Outcome};
use chat_store_sql::{Dialect, SqlConfig, SqlStore};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::{
    File,
    room::{append, create, log, text},
};

async fn run(file: &File, script: String) {
    let mut connection = SqliteConnection::connect(&format!("{}?mode=rwc", file.url())).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn refused(config: SqlConfig) -> (StoreErrorKind, String) {
    let error = SqlStore::connect(config).await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn namespaces_in_one_database_know_nothing_of_each_other() {
    let file = File::new();
    let open =
        async |namespace: &str| SqlStore::connect(SqlConfig::new(file.url()).namespace(namespace)).await.unwrap();
    let (production, staging) = (open("chat_").await, open("staging_").await);
    create(&production).await;
    append(&production, [text("for customers")]).await;
    assert_eq!(append(&staging, [text("nowhere")]).await, [Outcome::Missing]);
    create(&staging).await;
    assert_eq!((log(&production).await.len(), log(&staging).await.len()), (1, 0));
    assert_eq!(refused(SqlConfig::new(file.url()).namespace("x; DROP")).await.0, StoreErrorKind::Other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_make_one_schema() {
    let file = File::new();
    let nodes = join_all((0..8).map(|_| file.open())).await;
    create(&nodes[0]).await;
    for node in &nodes {
        append(node, [text("hello")]).await;
    }
    drop(nodes);
    assert_eq!(log(&file.open().await).await.len(), 8);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let file = File::new();
    drop(file.open().await);
    run(&file, "INSERT INTO chat_schema VALUES (99, '')".to_owned()).await;
    for migrate in [true, false] {
        let (kind, text) = refused(SqlConfig::new(file.url()).migrate(migrate)).await;
        assert_eq!(kind, StoreErrorKind::Schema);
        assert!(text.contains("version 99"), "{text}");
    }
}

/// It would be accepted by its number, and fail at the first append.
#[tokio::test]
async fn a_schema_of_an_edited_migration_is_refused() {
    let file = File::new();
    drop(file.open().await);
    run(&file, "DROP TABLE chat_feeds; UPDATE chat_schema SET digest = 'of another text'".to_owned()).await;
    for migrate in [true, false] {
        let (kind, text) = refused(SqlConfig::new(file.url()).migrate(migrate)).await;
        assert_eq!(kind, StoreErrorKind::Schema);
        assert!(text.contains("(version 1) was made from another text"), "{text}");
    }
}

#[tokio::test]
async fn a_schema_that_does_not_say_what_it_was_made_from_is_refused() {
    let file = File::new();
    let script = "CREATE TABLE chat_schema (version INTEGER PRIMARY KEY); INSERT INTO chat_schema VALUES (1)";
    run(&file, script.to_owned()).await;
    for migrate in [true, false] {
        let (kind, text) = refused(SqlConfig::new(file.url()).migrate(migrate)).await;
        assert_eq!(kind, StoreErrorKind::Schema);
        assert!(text.contains("(without digests) was made from another text"), "{text}");
    }
}

#[tokio::test]
async fn without_migrations_the_printed_script_makes_the_schema() {
    let file = File::new();
    let config = SqlConfig::new(file.url()).namespace("c_").migrate(false);
    assert_eq!(refused(config.clone()).await.0, StoreErrorKind::Schema);
    run(&file, SqlStore::migrations(Dialect::Sqlite, "c_").unwrap()).await;
    let store = SqlStore::connect(config).await.unwrap();
    create(&store).await;
    drop(SqlStore::connect(SqlConfig::new(file.url()).namespace("c_")).await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_and_why() {
    let file = File::new();
    std::fs::write(file.path(), "this is a shopping list, not a database\n".repeat(100)).unwrap();
    let (kind, text) = refused(SqlConfig::new(file.url())).await;
    assert_eq!(kind, StoreErrorKind::Corrupt);
    assert!(text.contains("chat.db"), "{text}");

    let (kind, text) = refused(SqlConfig::new("sqlite:/no/such/folder/chat.db")).await;
    assert_eq!(kind, StoreErrorKind::Unavailable);
    assert!(text.contains("open /no/such/folder/chat.db, whose folder does not exist"), "{text}");

    for url in ["sqlite:", "sqlite://"] {
        let (kind, text) = refused(SqlConfig::new(url)).await;
        assert_eq!(kind, StoreErrorKind::Other);
        assert!(text.contains("names no file"), "{text}");
    }

    for url in ["oracle://scott:tiger@db", "chat.db", ""] {
        let (kind, text) = refused(SqlConfig::new(url)).await;
        assert_eq!(kind, StoreErrorKind::Unsupported);
        assert!(!text.contains("tiger"), "{text}");
    }
}

/// A file system on which no memory can be shared, such as a network's: there SQLite goes back to another journal.
#[tokio::test]
async fn a_place_without_write_ahead_log_is_refused() {
    let file = File::new();
    let config = SqlConfig::new(format!("{}?vfs=unix-dotfile", file.url()));
    let (kind, text) = refused(config.clone()).await;
    assert_eq!(kind, StoreErrorKind::Unsupported);
    assert!(text.contains("journal_mode = delete (wanted: wal)"), "{text}");
    create(&SqlStore::connect(config.accept_unsafe(true)).await.unwrap()).await;
}

#[tokio::test]
async fn databases_in_memory_are_apart() {
    let (one, two) =
        (SqlStore::open("sqlite::memory:").await.unwrap(), SqlStore::open("sqlite::memory:").await.unwrap());
    create(&one).await;
    assert_eq!(append(&two, [text("nowhere")]).await, [Outcome::Missing]);
}
