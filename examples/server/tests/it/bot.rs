//! The stock bot in the room.

use std::time::Duration;

use serde_json::json;

use crate::{
    server::{Server, key},
    socket::Socket,
};

/// Long enough for a second answer to show up, if there were one.
const A_WHILE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_quote_is_asked_for_and_answered_once_in_the_room() {
    let server = Server::start(&["--demo"]);
    let (ann, bob) = (server.token_of_new("ann").await, server.token_of_new("bob").await);
    let room = server.create_room(&ann, "money").await;
    server.join(&bob, &room).await;
    let (mut asks, mut listens) = (Socket::open(&server, &ann).await, Socket::open(&server, &bob).await);
    listens.hear("followed").await;

    asks.post(&room, "/stock=aapl.us").await;
    asks.hear("accepted").await;
    let quote = listens.hear_text().await;
    assert_eq!(quote["body"]["text"], "AAPL.US quote is $93.42 per share");
    assert_eq!(quote["author"], "bot:stock");
    assert_eq!(listens.texts_within(A_WHILE).await, Vec::<String>::new());

    let page = server.get_as(&bob, &format!("/chat/rooms/{room}/messages")).await.json();
    assert_eq!(page["entries"].as_array().unwrap().len(), 1, "the command itself is not stored: {page}");
}

#[tokio::test]
async fn what_is_no_code_is_told_to_who_typed_it_and_to_nobody_else() {
    let server = Server::start(&["--demo"]);
    let ann = server.token_of_new("ann").await;
    let room = server.create_room(&ann, "money").await;
    let mut socket = Socket::open(&server, &ann).await;
    for typed in ["/stock=../../etc", "/stock", "/stock=a&b"] {
        socket.post(&room, typed).await;
        assert_eq!(socket.hear("error").await["name"], "invalid_command", "{typed}");
    }
    assert_eq!(socket.texts_within(A_WHILE).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_code_without_a_price_gets_one_clear_sentence() {
    let server = Server::start(&["--demo"]);
    let ann = server.token_of_new("ann").await;
    let room = server.create_room(&ann, "money").await;
    let mut socket = Socket::open(&server, &ann).await;
    socket.post(&room, "/stock=nope.us").await;
    let sentence = socket.hear_text().await;
    assert_eq!(sentence["body"]["text"], "No quote for NOPE.US: no price is known for this code");
    assert_eq!(sentence["author"], "bot:stock");
}

#[tokio::test]
async fn a_command_works_over_rest_too() {
    let server = Server::start(&["--demo"]);
    let ann = server.token_of_new("ann").await;
    let room = server.create_room(&ann, "money").await;
    let mut socket = Socket::open(&server, &ann).await;
    let body = json!({ "key": key(), "body": { "kind": "text", "text": "/stock=MSFT.US" } });
    let answer = server.post_as(&ann, &format!("/chat/rooms/{room}/messages"), body).await;
    assert_eq!(answer.status, 202);
    assert_eq!(socket.hear_text().await["body"]["text"], "MSFT.US quote is $449.78 per share");
}

#[tokio::test]
async fn a_quote_service_inside_the_network_is_asked_only_when_allowed() {
    let refused = crate::server::run(&[
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--store",
        "memory:",
        "--accounts",
        "sqlite::memory:",
        "--quote-url",
        "http://127.0.0.1:1/{code}",
    ]);
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && words.contains("private"), "{words}");
    drop(Server::start(&["--quote-private", "--quote-url", "http://127.0.0.1:1/{code}"]));
}
