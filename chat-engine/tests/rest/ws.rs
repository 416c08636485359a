//! The WebSocket behind the host's login.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::{
    on_every_store,
    site::{BASE, Site},
};

on_every_store!(a_connection_is_who_the_host_says_and_hears_what_rest_posts);

async fn connect(site: &Site, user: &str) -> WebSocketStream<TcpStream> {
    let socket = TcpStream::connect(site.address).await.unwrap();
    let request = http::Request::get(format!("ws://{}{BASE}/ws", site.address))
        .header("host", site.address.to_string())
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "chat.v1.json")
        .header("x-user", user);
    let (stream, response) = client_async(request.body(()).unwrap(), socket).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v1.json");
    stream
}

/// Reads frames until one of this type comes.
async fn until(stream: &mut WebSocketStream<TcpStream>, kind: &str) -> Value {
    let read = async {
        loop {
            if let Message::Text(text) = stream.next().await.unwrap().unwrap() {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == kind {
                    return frame;
                }
            }
        }
    };
    timeout(Duration::from_secs(10), read).await.unwrap()
}

async fn a_connection_is_who_the_host_says_and_hears_what_rest_posts(site: Site) {
    let room = site.room("ann", json!({ "title": "Trip", "members": ["bob"] })).await;
    let mut stream = connect(&site, "bob").await;
    // A token or a name in the frame would change nothing.
    let hello = json!({ "type": "hello", "ref": 1, "user": "ann" });
    stream.send(Message::text(hello.to_string())).await.unwrap();
    let welcome = until(&mut stream, "welcome").await;
    assert_eq!((&welcome["user"], &welcome["name"]), (&json!("bob"), &json!("BOB")));
    until(&mut stream, "followed").await;
    site.say("ann", &room, "hello").await.expect(201);
    let entry = until(&mut stream, "entry").await;
    assert_eq!((&entry["author"], &entry["body"]["text"]), (&json!("ann"), &json!("hello")));
    let members = site.get("ann", &format!("{room}/members")).await.expect(200);
    let online: Vec<_> = members["members"].as_array().unwrap().iter().map(|member| &member["online"]).collect();
    assert_eq!(online, [false, true]);
}

#[tokio::test]
async fn what_is_no_upgrade_is_told_to_upgrade() {
    let site = Site::memory().await;
    assert_eq!(site.get("ann", "/ws").await.status, 426);
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let site = Site::memory().await;
    let headers = "x-user: ann\r\norigin: https://evil.example\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(site.send("GET", "/ws", headers, None).await.status, 403);
}

#[tokio::test]
async fn draining_ends_connections_with_advice_to_resume() {
    let site = Site::memory().await;
    let mut stream = connect(&site, "ann").await;
    stream.send(Message::text(r#"{"type":"hello","ref":1}"#)).await.unwrap();
    until(&mut stream, "welcome").await;
    let chat = site.chat.clone();
    let draining = tokio::spawn(async move { chat.drain(Duration::from_secs(5)).await });
    let close = until(&mut stream, "close").await;
    assert_eq!((&close["code"], &close["reconnect"]), (&json!(1012), &json!(true)));
    while let Some(Ok(_)) = stream.next().await {}
    timeout(Duration::from_secs(10), draining).await.unwrap().unwrap();
}
