//! The real binary on the databases of real servers.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-server --test stores -- --ignored`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn what_was_acknowledged_outlives_a_crash_on_postgresql() {
    acknowledged_outlives_a_crash(&url("CHAT_TEST_POSTGRES")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB or MySQL: scripts/test"]
async fn what_was_acknowledged_outlives_a_crash_on_mariadb() {
    acknowledged_outlives_a_crash(&url("CHAT_TEST_MYSQL").replacen("mysql:", "mariadb:", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB: scripts/test"]
async fn what_was_acknowledged_outlives_a_crash_on_mongodb() {
    acknowledged_outlives_a_crash(&format!("{}/chat", url("CHAT_TEST_MONGODB"))).await;
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
