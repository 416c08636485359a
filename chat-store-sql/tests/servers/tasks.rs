//! Callers who leave, connections that break, sessions of other settings.

use chat_core::{LogStore, Seq, store::Outcome};
use chat_store_sql::SqlStore;
use futures::{FutureExt, future::join_all};

use crate::{
    common::{Place, until},
    room::{append, create, leave_appends, log, seq, share, tea, text},
};

on_both!(
    a_caller_who_leaves_holds_nobody_up,
    a_connection_that_was_cut_is_replaced,
    names_and_texts_of_any_character_are_kept,
);

/// Counts the transactions that this place's connections have open.
fn open_transactions(place: &Place) -> String {
    let name = place.name();
    if place.is_postgres() {
        format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND state LIKE 'idle in transaction%'"
        )
    } else {
        format!(
            "SELECT count(*) FROM information_schema.innodb_trx AS t
             JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id WHERE p.db = '{name}'"
        )
    }
}

/// Opens a store whose connections the server knows by the place's name.
async fn open(place: &Place) -> SqlStore {
    let named =
        if place.is_postgres() { place.url_with(&format!("application_name={}", place.name())) } else { place.url() };
    SqlStore::open(&named).await.unwrap()
}

async fn a_caller_who_leaves_holds_nobody_up(place: Place) {
    let store = open(&place).await;
    create(&store).await;
    leave_appends(&store, 100).await;
    // Reads are left, too, while a connection waits for their answer.
    for polls in 0..50 {
        let mut read = store.read(tea(), Seq::ZERO, 100);
        for _ in 0..polls % 5 {
            if (&mut read).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    until(&mut place.other().await, &open_transactions(&place), 0).await;
}

async fn a_connection_that_was_cut_is_replaced(place: Place) {
    let store = open(&place).await;
    create(&store).await;
    let mut other = place.other().await;
    let name = place.name();
    for round in 2..5 {
        if place.is_postgres() {
            let cut = format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{name}'"
            );
            assert!(other.number(&cut).await > 0);
        } else {
            let mine = other.number("SELECT CAST(CONNECTION_ID() AS SIGNED)").await;
            let theirs = format!("FROM information_schema.processlist WHERE db = '{name}' AND id <> {mine}");
            let count = other.number(&format!("SELECT count(*) {theirs}")).await;
            assert!(count > 0);
            for _ in 0..count {
                let next = other.number(&format!("SELECT CAST(max(id) AS SIGNED) {theirs}")).await;
                other.run(&format!("KILL {next}")).await;
                until(&mut other, &format!("SELECT count(*) {theirs} AND id = {next}"), 0).await;
            }
        }
        // Each connection that was lying ready may fail once, with an error that may be tried again.
        let new = text("again");
        let stored = loop {
            match store.append(&share([new.clone()])).await {
                Ok(outcomes) => break outcomes.concat(),
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        };
        assert_eq!(stored, [Outcome::Stored(seq(round))]);
    }
}

async fn names_and_texts_of_any_character_are_kept(place: Place) {
    let store = open(&place).await;
    create(&store).await;
    let written = ["\u{1f375}\u{1f468}\u{200d}\u{1f469}", "trailing  ", "'\"\\`;--", "a\0b", "\u{10ffff}"];
    for text_of in written {
        let mut new = text(text_of);
        new.name = text_of.into();
        append(&store, [new]).await;
        let read = store.read(tea(), Seq::ZERO, 100).await.unwrap();
        let last = read.last().unwrap();
        assert_eq!(last.body.text(), Some(text_of));
        assert_eq!(*last.name, *text_of.replace('\0', "\u{fffd}"), "no zero is kept in a display name");
    }
}

mod mysql_only {
    use super::{Place, SqlStore, append, create, text, until};

    /// Under REPEATABLE READ, the server's default, whoever waited for a lock may read what was there before, and miss a
    /// key that was stored meanwhile.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs MariaDB or MySQL: scripts/test"]
    async fn appends_read_what_was_committed_while_they_waited() {
        let place = Place::mysql().await;
        let store: SqlStore = place.open().await;
        create(&store).await;
        let (mut other, mut watcher) = (place.other().await, place.other().await);
        other.run("BEGIN").await;
        other.run("UPDATE chat_rooms SET head = head").await;
        let waits = tokio::spawn(async move { append(&store, [text("hello")]).await });
        let waiting = format!(
            "SELECT count(*) FROM information_schema.innodb_trx AS t
             JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id
             WHERE p.db = '{}' AND t.trx_state = 'LOCK WAIT' AND t.trx_isolation_level = 'READ COMMITTED'",
            place.name()
        );
        until(&mut watcher, &waiting, 1).await;
        other.run("COMMIT").await;
        waits.await.unwrap();
    }
}

mod postgres_only {
    use sqlx::{Executor, postgres::PgPoolOptions};

    use super::{FutureExt, Place, SqlStore, append, create, join_all, log, open, open_transactions, tea, text, until};

    /// What leaving callers are kept from: written with the driver's pool and its transactions, the same ends badly. So the counts
    /// of `a_caller_who_leaves_holds_nobody_up` are not 0 because nothing else was possible.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs PostgreSQL: scripts/test"]
    async fn a_caller_who_leaves_the_drivers_own_begin_leaves_a_transaction_that_others_write_into() {
        let place = Place::postgres().await;
        create(&open(&place).await).await;
        let url = place.url().replace("schema=", "options=-c%20search_path%3D");
        let one = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
        let pool = one.connect(&format!("{url}&application_name={}", place.name())).await.unwrap();
        let mut left = Box::pin(pool.begin());
        assert!((&mut left).now_or_never().is_none(), "it has to wait for the server");
        drop(left);

        let mut other = place.other().await;
        until(&mut other, &open_transactions(&place), 1).await;
        pool.execute("INSERT INTO chat_feeds (consumer) VALUES ('acknowledged')").await.expect("it is said to be done");
        assert_eq!(other.number("SELECT count(*) FROM chat_feeds").await, 0, "and nobody else sees it");
        until(&mut other, &open_transactions(&place), 1).await;
        drop(pool);
    }

    /// An append that was handed a connection inside somebody's transaction would be answered as stored before it is.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: scripts/test"]
    async fn inside_an_open_transaction_the_procedure_stores_nothing() {
        let place = Place::postgres().await;
        let store = place.open().await;
        create(&store).await;
        let mut other = place.other().await;
        let room = format!("{:032x}", u128::from_be_bytes(*tea().as_bytes()));
        let bytes = |hex: &str| format!("ARRAY['\\x{hex}']::bytea[]");
        let call = format!(
            "CALL chat_append({}, ARRAY[0]::bigint[], {id}, {id}, ARRAY[1]::bigint[], ARRAY['ann'], ARRAY['Ann'], {id},
                              ARRAY[1]::smallint[], ARRAY['{{\"kind\":\"text\",\"text\":\"hi\"}}'], ARRAY[1]::bigint[],
                              ARRAY[1]::bigint[], NULL, NULL, NULL)",
            bytes(&room),
            id = bytes(&"01".repeat(16)),
        );
        other.run("BEGIN").await;
        assert_eq!(other.try_run(&call).await, Err("2D000".to_owned()), "it cannot commit");
        other.run("COMMIT").await; // of what failed
        assert_eq!(log(&store).await, Vec::<String>::new());
        other.run(&call).await;
        assert_eq!(log(&store).await, ["hi"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "needs PostgreSQL: scripts/test"]
    async fn another_isolation_by_default_changes_nothing() {
        let place = Place::postgres().await;
        let url = place.url_with("options=-c%20default_transaction_isolation%3Dserializable");
        let nodes = [SqlStore::open(&url).await.unwrap(), SqlStore::open(&url).await.unwrap()];
        create(&nodes[0]).await;
        let write = async |n: usize| {
            for _ in 0..10 {
                append(&nodes[n % 2], [text("hello")]).await;
            }
        };
        join_all((0..8).map(write)).await;
        assert_eq!(log(&nodes[0]).await.len(), 80);
    }
}
