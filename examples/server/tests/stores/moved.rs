//! A server whose store is copied to another kind while it is stopped.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    fresh,
    server::{Server, Site, key},
    socket::Socket,
    url,
};

/// How many messages there are before the move; more than one page of what is copied at once.
const BEFORE: u64 = 230;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn a_server_moves_from_sqlite_to_postgresql_and_its_clients_go_on_where_they_were() {
    let mut old = Server::start(&["--load-profile"]);
    let (ann, bob) = (old.token_of_new("ann").await, old.token_of_new("bob").await);
    let room = old.create_room(&ann, "tea").await;
    old.join(&bob, &room).await;
    let messages = format!("/chat/rooms/{room}/messages");
    let mut sent = Vec::new();
    for number in 0..BEFORE {
        let message = saying(number);
        sent.push((message.clone(), post(&old, &ann, &messages, &message).await));
    }
    // Bob has seen the tenth, and is away from then on.
    let cursor = json!({ "room": room, "seq": sent[9].1["seq"], "id": sent[9].1["id"] });
    let from = format!("sqlite:{}", old.folder.path().join("chat.db").display());
    let to = format!("{}?schema={}", url("CHAT_TEST_POSTGRES"), fresh("moved"));

    let refused = copy(&from, &to);
    assert!(!refused.status.success(), "the server is still running");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop the server first"), "{refused:?}");
    old.signal("TERM");
    assert_eq!(old.ended().code(), Some(0));
    let copied = copy(&from, &to);
    assert!(copied.status.success(), "{copied:?}");
    assert!(String::from_utf8_lossy(&copied.stdout).contains(": the same in "), "{copied:?}");

    // Accounts stay where they were, so that everybody is still logged in.
    let new = Server::start(&["--store", &to, "--accounts", &from, "--load-profile"]);
    let bearer = format!("Bearer {bob}");
    let mut bob = Socket::try_open(&new, &[("authorization", &bearer)]).await.unwrap();
    bob.say(json!({ "type": "hello", "ref": 1, "cursors": [cursor] })).await;
    for (message, ack) in &sent[10..] {
        let entry = bob.hear_text().await;
        assert_eq!((&entry["seq"], &entry["id"], &entry["body"]), (&ack["seq"], &ack["id"], &message["body"]));
    }
    for (message, ack) in &sent {
        let again = post(&new, &ann, &messages, message).await;
        assert_eq!((&again["seq"], &again["id"]), (&ack["seq"], &ack["id"]), "a retry is the message itself");
    }
    let last = sent.last().unwrap().1["seq"].as_u64().unwrap();
    let next = post(&new, &ann, &messages, &saying(BEFORE)).await;
    assert_eq!(next["seq"].as_u64(), Some(last + 1));
    assert_eq!(bob.hear_text().await["body"]["text"], BEFORE.to_string());
}

fn saying(number: u64) -> Value {
    json!({ "key": key(), "body": { "kind": "text", "text": number.to_string() } })
}

async fn post(site: &Site, token: &str, messages: &str, message: &Value) -> Value {
    let answer = site.post_as(token, messages, message.clone()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    answer.json()
}

fn copy(from: &str, to: &str) -> Output {
    let admin = PathBuf::from(env!("CARGO_BIN_EXE_chat-server")).with_file_name("chat-admin");
    assert!(admin.exists(), "cargo build -p chat-admin");
    Command::new(admin).args(["copy", from, to]).output().unwrap()
}
