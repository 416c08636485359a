//! How MySQL and MariaDB carry the statements out.

#![allow(clippy::unwrap_used)]

use chat_core::{
    Body, Draft, EntryId, Key, LogStore, RoomId, RoomSpec, Seq, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::{Append, Consumer, Feed},
};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, Row};

use super::{open, steps};
use crate::{
    Dialect, SqlConfig, SqlStore,
    connection::{Arg, Connection},
    plans,
    prefix::Prefix,
};

fn room() -> RoomId {
    RoomId::named("tea")
}

/// Fills rooms: of empty ones the planner says only that they are empty, and it walks through a few as well as not.
async fn fill(store: &SqlStore) {
    let entry = |draft, author: &str| {
        let id = EntryId::from_bytes(*Key::generate().as_bytes());
        NewEntry::new(id, draft, UserId::new(author).unwrap(), "Ann".into(), Timestamp(5))
    };
    let creation = || Draft::new(Body::Room(RoomChange::Created(RoomSpec::public("tea"))));
    let rooms = [room()].into_iter().chain((0..200).map(|n| RoomId::named(&n.to_string())));
    let create = |room: RoomId| {
        let (author, texts) = (room.to_string(), (0..20).map(|n| entry(Draft::text(n.to_string()), "ann")));
        let entries = [entry(creation(), &author)].into_iter().chain(texts).collect();
        Append { room, guard: Some(Seq::ZERO), entries }
    };
    store.append(&rooms.map(create).collect::<Vec<_>>()).await.unwrap();
    store.behind(&Consumer::new("ann").unwrap(), 1).await.unwrap(); // and somebody follows them
}

/// Guesses the arguments of a statement by what they are compared with.
fn args(statement: &str) -> Vec<Arg> {
    let arg = |n: usize| {
        let (before, _) = statement.split_once(&format!("?{n}"))?;
        let any = |ends: &[&str]| ends.iter().any(|end| before.ends_with(end));
        Some(if any(&["JSON_TABLE("]) {
            Arg::from(r#"[["ann", "member"]]"#)
        } else if any(&["u.id = ", "u.id > ", "users WHERE id = ", "consumer = "]) {
            Arg::from("ann")
        } else if any(&["r.id = ", "r.id > ", "WHERE id = ", "WHERE id > "]) {
            Arg::from(room())
        } else {
            Arg::Int(if n == 2 { 9 } else { 3 })
        })
    };
    (1..).map_while(arg).collect()
}

#[tokio::test]
#[ignore = "needs MariaDB or MySQL: scripts/test"]
async fn no_statement_walks_through_a_table() {
    let (url, name) = plans::place("CHAT_TEST_MYSQL");
    let mut root = MySqlConnection::connect(&url).await.unwrap();
    root.command(format!("CREATE DATABASE {name}")).await.unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    let config = SqlConfig::new(format!("{server}/{name}"));
    fill(&SqlStore::connect(config.clone()).await.unwrap()).await;
    let options = open::options(&config).unwrap();
    let mut connection = open::connect(&options, &open::session(&config)).await.unwrap();
    connection.command("ANALYZE TABLE chat_entries, chat_rooms, chat_users".to_owned()).await.unwrap();

    let prefix = Prefix::new("chat_", Dialect::MySql).unwrap();
    let own = MySqlConnection::STATEMENTS.all().into_iter().chain(plans::shared());
    let plain = own.map(|statement| (prefix.fill(statement), args(&prefix.fill(statement))));
    let (id, key) = (format!("X'{}'", hex::encode(room().as_bytes())), "X'00112233445566778899aabbccddeeff'");
    let of_rows = steps::STATEMENTS.into_iter().map(|statement| {
        let row = match statement {
            users if users.contains("users") => format!("X'{}'", hex::encode("ann")),
            by_key if by_key.contains("{p}keys") => format!("(1,1,{key}),(1,2,{key})"),
            entries if entries.contains("INSERT INTO {p}entries") => format!("(1,1,{key},{key},1,NULL,1,1,'',1,1)"),
            heads if heads.contains("INSERT INTO") => format!("(1,{id},1,{key},1,1,1,'','')"),
            places if places.contains("{p}places") => "1,2".to_owned(),
            _ => format!("{id},{key}"),
        };
        (prefix.fill(statement).replace("{rows}", &row), Vec::new())
    });
    for (statement, args) in plain.chain(of_rows) {
        for (table, how, key_len, extra) in plan(&mut connection, &statement, args).await {
            // A plan that was not needed shows nothing; in a list, nobody need have marked anything.
            let empty = extra.contains("no matching row") || extra.contains("Impossible");
            let cut = empty && !statement.contains("WITH page");
            assert!(!cut, "{extra}: {statement}");
            // What is walked through is an argument or a page, the one row of the version, or the few who follow: to count
            // them, or to put all of them behind in a new room.
            let followers = table == "f" && statement.contains("0, 1 FROM chat_feeds");
            let small = followers || ["", "v", "page", "chat_schema", "chat_feeds"].contains(&&*table);
            let ours = !small && !table.starts_with('<');
            assert!(!ours || !["ALL", "index"].contains(&&*how), "{table} by {how} in {statement}");
            // What is searched is searched by more than the room (of 8 bytes) alone.
            let entries = ["e", "n", "l", "chat_entries"].contains(&&*table);
            assert!(!entries || key_len != "8" && how != "ALL", "{table} by {how} {key_len} in {statement}");
        }
    }
    root.command(format!("DROP DATABASE {name}")).await.unwrap();
    connection.close().await.unwrap();
}

/// Returns the tables of a plan: name, kind of access, bytes of the key, remarks.
async fn plan(
    connection: &mut MySqlConnection,
    statement: &str,
    args: Vec<Arg>,
) -> Vec<(String, String, String, String)> {
    let explain = if statement.contains("?1") {
        super::sql::in_order(statement.to_owned(), args)
    } else {
        (statement.to_owned(), args)
    };
    let mut query = sqlx::query(AssertSqlSafe(format!("EXPLAIN {}", explain.0)));
    for arg in explain.1 {
        query = match arg {
            Arg::Int(int) => query.bind(int),
            Arg::Text(text) => query.bind(text),
            Arg::Bytes(bytes) => query.bind(bytes),
        };
    }
    let text = |row: &sqlx::mysql::MySqlRow, column: &str| {
        row.try_get_unchecked::<Option<String>, _>(column).unwrap().unwrap_or_default()
    };
    let rows = query.fetch_all(connection).await.unwrap();
    // An INSERT lists its target, too, in which it looks for nothing.
    let read = rows.iter().filter(|row| text(row, "select_type") != "INSERT");
    read.map(|row| (text(row, "table"), text(row, "type"), text(row, "key_len"), text(row, "Extra"))).collect()
}
