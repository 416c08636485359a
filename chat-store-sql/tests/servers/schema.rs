//! Making, sharing and refusing schemas.

use chat_core::{StoreErrorKind, store::Outcome};
use chat_store_sql::{Dialect, SqlConfig, SqlStore};
use futures::future::join_all;

use crate::{
    common::Place,
    room::{append, create, log, text},
};

on_both!(
    nodes_that_start_at_once_make_one_schema,
    namespaces_in_one_database_know_nothing_of_each_other,
    a_newer_schema_is_refused,
    a_schema_of_an_edited_migration_is_refused,
    a_schema_that_does_not_say_what_it_was_made_from_is_refused,
    without_migrations_the_printed_script_makes_the_schema,
    a_role_that_may_change_no_schema_suffices,
    what_cannot_be_opened_says_so_without_the_password,
);

fn dialect(place: &Place) -> Dialect {
    if place.is_postgres() { Dialect::Postgres } else { Dialect::MySql }
}

async fn refused(config: SqlConfig) -> (StoreErrorKind, String) {
    let error = SqlStore::connect(config).await.unwrap_err();
    (error.kind(), error.to_string())
}

async fn nodes_that_start_at_once_make_one_schema(place: Place) {
    let nodes = join_all((0..8).map(|_| place.open())).await;
    create(&nodes[0]).await;
    for node in &nodes {
        append(node, [text("hello")]).await;
    }
    assert_eq!(log(&place.open().await).await.len(), 8);
}

async fn namespaces_in_one_database_know_nothing_of_each_other(place: Place) {
    let open = async |namespace: &str| SqlStore::connect(place.config().namespace(namespace)).await.unwrap();
    let (production, staging, bare) = (open("chat_").await, open("staging_").await, open("").await);
    create(&production).await;
    append(&production, [text("for customers")]).await;
    for other in [&staging, &bare] {
        assert_eq!(append(other, [text("nowhere")]).await, [Outcome::Missing]);
        create(other).await;
    }
    assert_eq!((log(&production).await.len(), log(&staging).await.len(), log(&bare).await.len()), (1, 0, 0));
}

async fn a_newer_schema_is_refused(place: Place) {
    drop(place.open().await);
    place.other().await.run("INSERT INTO chat_schema VALUES (99, '')").await;
    for migrate in [true, false] {
        let (kind, text) = refused(place.config().migrate(migrate)).await;
        assert_eq!(kind, StoreErrorKind::Schema);
        assert!(text.contains("version 99"), "{text}");
    }
}

/// It would be accepted by its number, and fail at the first append.
async fn a_schema_of_an_edited_migration_is_refused(place: Place) {
    drop(place.open().await);
    place.other().await.run("DROP TABLE chat_feeds; UPDATE chat_schema SET digest = 'of another text'").await;
    for migrate in [true, false] {
        let (kind, text) = refused(place.config().migrate(migrate)).await;
        assert_eq!(kind, StoreErrorKind::Schema);
        assert!(text.contains("(version 1) was made from another text"), "{text}");
    }
}

async fn a_schema_that_does_not_say_what_it_was_made_from_is_refused(place: Place) {
    let mut other = place.other().await;
    other.run("CREATE TABLE chat_schema (version bigint PRIMARY KEY); INSERT INTO chat_schema VALUES (1)").await;
    for migrate in [true, false] {
        let (kind, text) = refused(place.config().migrate(migrate)).await;
        assert_eq!(kind, StoreErrorKind::Schema);
        assert!(text.contains("(without digests) was made from another text"), "{text}");
    }
}

async fn without_migrations_the_printed_script_makes_the_schema(place: Place) {
    let config = place.config().namespace("c_").migrate(false);
    assert_eq!(refused(config.clone()).await.0, StoreErrorKind::Schema);
    place.other().await.run(&SqlStore::migrations(dialect(&place), "c_").unwrap()).await;
    create(&SqlStore::connect(config).await.unwrap()).await;
    drop(SqlStore::connect(place.config().namespace("c_")).await.unwrap());
}

async fn a_role_that_may_change_no_schema_suffices(place: Place) {
    let (name, mut root) = (place.name().to_owned(), place.other().await);
    let grants = if place.is_postgres() {
        format!(
            "CREATE ROLE {name} LOGIN PASSWORD 'tea'; GRANT USAGE ON SCHEMA {name} TO {name};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {name};
             GRANT EXECUTE ON ALL ROUTINES IN SCHEMA {name} TO {name}"
        )
    } else {
        format!(
            "CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'tea';
             GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO {name}@'127.0.0.1'"
        )
    };
    drop(place.open().await);
    root.run(&grants).await;
    let (scheme, rest) =
        place.url().split_once("://").map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned())).unwrap();
    let url = format!("{scheme}://{name}:tea@{}", rest.split_once('@').unwrap().1);
    for migrate in [true, false] {
        let store = SqlStore::connect(SqlConfig::new(&url).migrate(migrate)).await.unwrap();
        append(&store, [text("hello")]).await;
    }
    let store = SqlStore::open(&url).await.unwrap();
    create(&store).await;
    append(&store, [text("hello")]).await;
    assert_eq!(log(&store).await, ["hello"]);
    let error = refused(SqlConfig::new(&url).namespace("other_")).await;
    assert_eq!(error.0, StoreErrorKind::Other, "it may make no tables");
    drop(store);
    let forget = if place.is_postgres() {
        format!("DROP OWNED BY {name}; DROP ROLE {name}")
    } else {
        format!("DROP USER {name}@'127.0.0.1'")
    };
    root.run(&forget).await;
}

async fn what_cannot_be_opened_says_so_without_the_password(place: Place) {
    let scheme = if place.is_postgres() { "postgres" } else { "mariadb" };
    let (kind, text) = refused(SqlConfig::new(format!("{scheme}://ann:hunter2@127.0.0.1:1/chat"))).await;
    assert_eq!(kind, StoreErrorKind::Unavailable);
    assert!(text.contains("127.0.0.1:1") && !text.contains("hunter2"), "{text}");
    let nobody = place.url().replace("root@", "nobody:hunter2@").replace("postgres@", "nobody:hunter2@");
    let (kind, text) = refused(SqlConfig::new(nobody)).await;
    assert!(kind == StoreErrorKind::Other && !text.contains("hunter2"), "{text}");
}

mod postgres_only {
    use super::{Place, SqlStore, append, create, join_all, log, text};
    use crate::common::until;

    /// A session remembers that there was no such table: also while it waits until another one has made it.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: scripts/test"]
    async fn nodes_that_wait_for_each_other_see_the_schema_that_is_there_by_then() {
        let place = Place::postgres().await;
        let server = place.url().split_once('?').map(|(server, _)| server.to_owned()).unwrap();
        // Not by our own parameter, with which a statement before the look renews what is remembered.
        let url = format!("{server}?options=-c%20search_path%3D{}", place.name());
        let mut other = place.other().await;
        other.run("SELECT pg_advisory_lock(1667785076)").await;
        let open = || tokio::spawn(SqlStore::open(url.clone().leak()));
        let nodes = [open(), open(), open()];
        let waiting = "SELECT least(count(*), 3) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        until(&mut place.other().await, waiting, 3).await;
        other.run("SELECT pg_advisory_unlock(1667785076)").await;

        let nodes: Vec<_> = join_all(nodes).await.into_iter().map(|node| node.unwrap().unwrap()).collect();
        create(&nodes[0]).await;
        append(&nodes[2], [text("hello")]).await;
        assert_eq!(log(&nodes[1]).await, ["hello"]);
    }
}

mod mysql_only {
    use chat_core::StoreErrorKind;

    use super::{Dialect, Place, SqlStore, create, refused};

    /// DDL is not transactional there: a node that dies in the middle leaves some of the tables.
    #[tokio::test]
    #[ignore = "needs MariaDB or MySQL: scripts/test"]
    async fn a_migration_that_broke_off_is_run_to_its_end() {
        let script = SqlStore::migrations(Dialect::MySql, "chat_").unwrap();
        let statements: Vec<_> = script.split_inclusive(";\n").collect();
        assert!(statements.len() > 6, "statements are told apart");
        for broken_off in 1..statements.len() {
            let place = Place::mysql().await;
            place.other().await.run(&statements[..broken_off].concat()).await;
            create(&place.open().await).await;
        }
    }

    /// Half of the tables would be those of one text, half of another.
    #[tokio::test]
    #[ignore = "needs MariaDB or MySQL: scripts/test"]
    async fn a_migration_that_broke_off_is_not_ended_by_another_text() {
        let script = SqlStore::migrations(Dialect::MySql, "chat_").unwrap();
        let (_, recorded) = script.split_once("VALUES (-1, '").unwrap();
        let other = script.replace(&recorded[..64], &"0".repeat(64));
        let statements: Vec<_> = other.split_inclusive(";\n").collect();
        for broken_off in 2..=statements.len() {
            let place = Place::mysql().await;
            place.other().await.run(&statements[..broken_off].concat()).await;
            let (kind, text) = refused(place.config()).await;
            assert_eq!(kind, StoreErrorKind::Schema, "after {broken_off} statements");
            assert!(text.contains("(version 1) was made from another text"), "{text}");
        }
    }
}
