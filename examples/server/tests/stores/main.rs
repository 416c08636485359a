//! The real binary on the databases of real servers.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-server --test stores -- --ignored`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chat_core::store::fsck::fsck;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::server::{PATIENCE, Server, Site, key, with_json};

mod moved;
#[path = "../common/server.rs"]
mod server;
#[path = "../common/socket.rs"]
mod socket;

fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where the server is: see scripts/services"))
}

/// Returns a name that no other run has used: what stands under it is not removed, and may be of another version.
fn fresh(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!("{what}_{now}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn what_was_acknowledged_outlives_a_crash_on_postgresql() {
    acknowledged_outlives_a_crash(&format!("{}?schema={}", url("CHAT_TEST_POSTGRES"), fresh("crash"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB or MySQL: scripts/test"]
async fn what_was_acknowledged_outlives_a_crash_on_mariadb() {
    let (server, place) = (url("CHAT_TEST_MYSQL"), fresh("crash"));
    let mut root = <sqlx::MySqlConnection as sqlx::Connection>::connect(&server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {place}"))).execute(&mut root).await.unwrap();
    let server = server.rsplit_once('/').unwrap().0.replacen("mysql:", "mariadb:", 1);
    acknowledged_outlives_a_crash(&format!("{server}/{place}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB: scripts/test"]
async fn what_was_acknowledged_outlives_a_crash_on_mongodb() {
    acknowledged_outlives_a_crash(&format!("{}/{}", url("CHAT_TEST_MONGODB"), fresh("crash"))).await;
}

/// Messages in one database and rooms in another: whenever the process is killed, the rooms follow their logs in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB and PostgreSQL: scripts/test"]
async fn rooms_follow_their_messages_after_crashes_on_mongodb_and_postgresql() {
    let place = fresh("hybrid");
    let messages = format!("{}/{place}", url("CHAT_TEST_MONGODB"));
    let rooms = format!("{}?schema={place}", url("CHAT_TEST_POSTGRES"));
    let folder = tempfile::tempdir().unwrap();
    let accounts = format!("sqlite:{}", folder.path().join("accounts.db").display());
    let flags = ["--messages", &messages, "--store", &rooms, "--accounts", &accounts, "--load-profile"];
    let mut server = Server::start_in(folder, &flags);
    let ann = server.token_of_new("ann").await;

    let mut made = Vec::new();
    for _ in 0..4 {
        let (site, token) = (Site::clone(&server), ann.clone());
        let busy = tokio::spawn(async move { make_rooms(&site, &token).await });
        tokio::time::sleep(Duration::from_secs(3)).await; // a crash at whatever is going on by then
        server.crash_and_restart();
        made.extend(busy.await.unwrap());
    }
    assert!(made.len() > 4, "some rooms were made before the crashes: {made:?}");
    let listed = list(&server, &ann).await;
    for (room, sent) in &made {
        let head = listed.get(room).unwrap_or_else(|| panic!("{room} is not listed of {}", listed.len()));
        assert!(head > sent, "{room} is listed as of {head}, and {sent} messages were acknowledged");
    }
    drop(server);

    let store = chat_engine::open_hybrid(&messages, &rooms).await.unwrap();
    let mut found = Vec::new();
    let all = fsck(&*store, false, |room| found.extend(room.findings.clone())).await.unwrap();
    assert!(all.rooms >= made.len() as u64 && found.is_empty(), "{all:?}: {found:?}");
}

/// Makes rooms and sends into each, until one call is not answered. Returns them with how much was acknowledged in each.
async fn make_rooms(site: &Site, token: &str) -> Vec<(String, u64)> {
    let mut made = Vec::new();
    for number in 0.. {
        let request = site.request(Method::POST, "/chat/rooms").bearer_auth(token).timeout(PATIENCE);
        let spec = json!({ "title": number.to_string(), "visibility": "private" });
        let answer = with_json(request, &json!({ "key": key(), "spec": spec })).send().await;
        let Ok(answer) = answer else { return made };
        let Ok(answer) = answer.bytes().await else { return made };
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        let Some(room) = answer["room"].as_str().map(str::to_owned) else { return made };
        made.push((room.clone(), 0));
        for message in 0..3 {
            let path = format!("/chat/rooms/{room}/messages");
            if post(site, token, &path, message, &key()).await != Some(StatusCode::CREATED) {
                return made;
            }
            if let Some(last) = made.last_mut() {
                last.1 += 1;
            }
        }
    }
    made
}

/// Returns the heads of all rooms that are listed.
async fn list(site: &Site, token: &str) -> BTreeMap<String, u64> {
    let (mut heads, mut path) = (BTreeMap::new(), "/chat/rooms?limit=200".to_owned());
    loop {
        let page = site.get_as(token, &path).await.json();
        let rooms = page["rooms"].as_array().unwrap_or_else(|| panic!("{page}"));
        let Some(last) = rooms.last() else { return heads };
        path = format!("/chat/rooms?limit=200&before={}", last["active"]);
        for room in rooms {
            heads.insert(room["room"].as_str().unwrap().to_owned(), room["head"].as_u64().unwrap());
        }
    }
}

/// Kills the process in the middle of a stream of messages, which goes on where it was cut off, on the same database.
async fn acknowledged_outlives_a_crash(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let accounts = format!("sqlite:{}", folder.path().join("accounts.db").display());
    let mut server = Server::start_in(folder, &["--store", store, "--accounts", &accounts, "--load-profile"]);
    let ann = server.token_of_new("ann").await;
    let room = server.create_room(&ann, "tea").await;
    let messages = format!("/chat/rooms/{room}/messages");

    let mut sent: u32 = 0;
    for _ in 0..3 {
        let site = Site::clone(&server);
        let (token, path, from) = (ann.clone(), messages.clone(), sent);
        let sender = tokio::spawn(async move { send_from(&site, &token, &path, from).await });
        tokio::time::sleep(Duration::from_millis(300)).await; // a crash at whatever is going on by then
        server.crash_and_restart();
        let (last, unknown) = sender.await.unwrap();
        // Sent again under its key, whatever became of it.
        let answer = post(&server, &ann, &messages, last, &unknown).await.expect("the new process answers");
        assert!(matches!(answer, StatusCode::CREATED | StatusCode::OK), "{answer}");
        sent = last + 1;
    }
    assert!(sent > 3, "something was acknowledged before the crashes");
    assert_eq!(history(&server, &ann, &messages).await, (0..sent).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// Sends numbers, one after the other, until one is not acknowledged. Returns it and its key.
async fn send_from(site: &Site, token: &str, messages: &str, from: u32) -> (u32, String) {
    for number in from.. {
        let key = key();
        if post(site, token, messages, number, &key).await != Some(StatusCode::CREATED) {
            return (number, key);
        }
    }
    unreachable!("the server is killed long before")
}

async fn post(site: &Site, token: &str, messages: &str, number: u32, key: &str) -> Option<StatusCode> {
    let request = site.request(Method::POST, messages).bearer_auth(token).timeout(PATIENCE);
    let body = json!({ "key": key, "body": { "kind": "text", "text": number.to_string() } });
    Some(with_json(request, &body).send().await.ok()?.status())
}

/// Returns all texts of a room, oldest first.
async fn history(site: &Site, token: &str, messages: &str) -> Vec<String> {
    let (mut texts, mut after) = (Vec::new(), 0);
    loop {
        let page = site.get_as(token, &format!("{messages}?after={after}")).await.json();
        let entries = page["entries"].as_array().unwrap();
        let Some(last) = entries.last() else { return texts };
        after = last["seq"].as_u64().unwrap();
        texts.extend(entries.iter().map(|entry| entry["body"]["text"].as_str().unwrap().to_owned()));
    }
}
