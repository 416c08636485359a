//! What two nodes see of each other while one of them has the lock of a room.

use std::time::{Duration, Instant};

use chat_core::{Key, LogStore, RoomId, Seq, StoreErrorKind, model::NewEntry, store::Outcome};
use chat_store_sql::SqlStore;
use futures::future::join_all;

use crate::{
    common::{Other, Place, until},
    room::{append, create, creation, log, seq, share, share_of, tea, text},
};

on_both!(
    a_key_stored_while_an_append_waits_is_a_duplicate,
    a_guard_moved_while_an_append_waits_is_stale,
    who_waits_too_long_is_told_so_and_stores_nothing,
    who_waited_too_long_in_the_middle_holds_no_lock,
    a_tailing_reader_sees_no_hole_while_two_nodes_write,
    batches_that_cross_never_wait_in_a_circle,
);

fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

/// Returns the query that counts who waits for this connection.
async fn waiting(place: &Place, other: &mut Other) -> String {
    if place.is_postgres() {
        let pid = other.number("SELECT pg_backend_pid()::bigint").await;
        format!("SELECT count(*) FROM pg_stat_activity WHERE {pid} = ANY (pg_blocking_pids(pid))")
    } else {
        // Who is in the statement that locks. InnoDB's own tables are not renewed while several tests ask for them.
        format!(
            "SELECT count(*) FROM information_schema.processlist
             WHERE db = '{}' AND info LIKE '%FOR UPDATE%' AND id <> CONNECTION_ID()",
            place.name()
        )
    }
}

/// Stores a message with two entries in the log, then holds the room's lock in a transaction that does `more`, until an
/// append of `entry` waits for it. Returns what that append is answered when the transaction commits.
async fn meanwhile(place: &Place, entry: &NewEntry, more: &str) -> (SqlStore, Vec<Outcome>) {
    let store = place.open().await;
    create(&store).await;
    append(&store, [text("hello")]).await;

    let (mut other, mut watcher) = (place.other().await, place.other().await);
    other.run("BEGIN").await;
    other.run("UPDATE chat_rooms SET head = head").await;
    other.run(more).await;
    let waiting = waiting(place, &mut other).await;
    let (node, entry) = (store.clone(), entry.clone());
    let waits = tokio::spawn(async move { append(&node, [entry]).await });
    until(&mut watcher, &waiting, 1).await;
    other.run("COMMIT").await;
    (store, waits.await.unwrap())
}

async fn a_key_stored_while_an_append_waits_is_a_duplicate(place: Place) {
    let (new, hello) = (text("hello"), hex(Key::generate().as_bytes()));
    let bytes = |hex: &str| if place.is_postgres() { format!("'\\x{hex}'") } else { format!("UNHEX('{hex}')") };
    let key = if place.is_postgres() { "key" } else { "`key`" };
    // What another node would do with the same draft. One statement that locks and looks would look as before the lock.
    let stored = format!(
        "INSERT INTO chat_entries (room, seq, id, {key}, author, hash, message, body, at, sent_at)
         SELECT room, 3, {id}, {new_key}, author, hash, message, body, at, sent_at FROM chat_entries WHERE seq = 2;
         UPDATE chat_rooms SET head = 3, head_id = {id}",
        id = bytes(&hello),
        new_key = bytes(&hex(new.key.as_bytes())),
    );
    let (store, answer) = meanwhile(&place, &new, &stored).await;
    assert!(matches!(answer[..], [Outcome::Duplicate(at, _)] if at == seq(3)), "{answer:?}");
    assert_eq!(append(&store, [text("next")]).await, [Outcome::Stored(seq(4))]);
    assert_eq!(log(&store).await, ["hello", "hello", "next"]);
}

async fn a_guard_moved_while_an_append_waits_is_stale(place: Place) {
    let (store, answer) = meanwhile(&place, &text("too late"), "UPDATE chat_rooms SET guard = 2").await;
    assert_eq!(answer, [Outcome::Stale(seq(2))]);
    assert_eq!(log(&store).await, ["hello"]);
}

async fn who_waits_too_long_is_told_so_and_stores_nothing(place: Place) {
    let mut config = place.config();
    config.busy_timeout = Duration::from_millis(300);
    let store = SqlStore::connect(config).await.unwrap();
    create(&store).await;
    let mut other = place.other().await;
    other.run("BEGIN").await;
    other.run("UPDATE chat_rooms SET head = head").await;
    let (new, left) = (text("patience"), text("left"));
    let changes = [share([new.clone()]), share([left])];
    for refused in join_all(changes.iter().map(|batch| store.append(batch))).await {
        let error = refused.unwrap_err();
        assert!(error.kind() == StoreErrorKind::Contended && error.is_transient(), "{error:?}");
    }
    other.run("ROLLBACK").await;
    assert_eq!(log(&store).await, Vec::<String>::new());
    assert_eq!(append(&store, [new]).await, [Outcome::Stored(seq(2))]);
}

/// A time-out ends the statement, in MySQL not the transaction; nor is it undone there, what was written before.
async fn who_waited_too_long_in_the_middle_holds_no_lock(place: Place) {
    let mut config = place.config();
    config.busy_timeout = Duration::from_millis(300);
    let store = SqlStore::connect(config).await.unwrap();
    create(&store).await;
    let (mut other, mut next) = (place.other().await, place.other().await);
    other.run("BEGIN").await;
    other.run("UPDATE chat_users SET name = 'Anna' WHERE id = 'ann'").await;
    let mut renamed = text("the room is locked by now");
    renamed.name = "Ann B.".into();
    let error = store.append(&share([renamed.clone()])).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Contended);
    let deadline = Instant::now() + Duration::from_secs(10);
    while next.try_run("SELECT head FROM chat_rooms FOR UPDATE NOWAIT").await.is_err() {
        assert!(Instant::now() < deadline, "the room stays locked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    other.run("ROLLBACK").await;
    assert_eq!(append(&store, [renamed]).await, [Outcome::Stored(seq(2))]);
}

/// Numbers from a sequence become visible out of order; ours are given under the room's lock.
async fn a_tailing_reader_sees_no_hole_while_two_nodes_write(place: Place) {
    const WRITERS: u16 = 12;
    const CALLS: u16 = 12;
    let nodes = [place.open().await, place.open().await];
    create(&nodes[0]).await;
    let write = async |n: u16| {
        for call in 0..CALLS {
            append(&nodes[usize::from(n % 2)], [text(&format!("{n}.{call}")), text("more")]).await;
        }
    };
    // The table itself, without the store's own reading: every look must show 1, 2, 3… up to somewhere.
    let mut other = place.other().await;
    let tail = async {
        let (total, mut looks) = (1 + i64::from(WRITERS * CALLS * 2), 0);
        loop {
            let holes = "SELECT max(seq) - count(*) + (max(seq) * 1000000) FROM chat_entries";
            let seen = other.number(holes).await;
            assert_eq!(seen % 1_000_000, 0, "a hole below {}", seen / 1_000_000);
            looks += 1;
            if seen / 1_000_000 == total {
                break looks;
            }
        }
    };
    let (looks, _) = tokio::join!(tail, join_all((0..WRITERS).map(write)));
    assert!(looks > 20, "{looks} looks show little");
    assert_eq!(log(&nodes[1]).await.len(), usize::from(WRITERS * CALLS * 2));
}

async fn batches_that_cross_never_wait_in_a_circle(place: Place) {
    let nodes = [place.open().await, place.open().await];
    let rooms = ["a", "b", "c", "d"].map(RoomId::named);
    let creations: Vec<_> = rooms.iter().map(|room| share_of(*room, [creation()])).collect();
    nodes[0].append(&creations).await.unwrap();
    let write = async |n: usize| {
        for _ in 0..10 {
            let mut batch: Vec<_> = rooms.iter().map(|room| share_of(*room, [text("1")])).collect();
            batch.rotate_left(n % 4);
            if n.is_multiple_of(2) {
                batch.reverse();
            }
            let stored = nodes[n % 2].append(&batch).await.unwrap().concat();
            assert!(stored.iter().all(|outcome| matches!(outcome, Outcome::Stored(_))), "{stored:?}");
        }
    };
    // A circle would be broken by the server, and the batch sent again; but the server counts them.
    let circles = if place.is_postgres() {
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    } else {
        "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status
         WHERE variable_name = 'innodb_deadlocks'"
    };
    let mut other = place.other().await;
    let before = other.number(circles).await;
    join_all((0..6).map(write)).await;
    assert_eq!(other.number(circles).await, before, "somebody waited in a circle");
    for head in nodes[0].heads(&rooms).await.unwrap() {
        assert_eq!(head.seq, seq(61));
    }
    assert_eq!(nodes[0].read(tea(), Seq::ZERO, 1).await.unwrap(), []);
}
