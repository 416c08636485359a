//! The whole way: clients over WebSocket, a real engine behind.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chat_core::{Authenticator, Code, Engine, Identity, Key, Limits, RoomId, UserId};
use common::{Raw, SOON, Server, TEXT, frame, front_config, ws_config};
use futures::{SinkExt, StreamExt, future::join_all};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

/// Whoever gives a name is believed.
struct ByName;

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, token: &str) -> Result<Identity, Code> {
        let user = UserId::new(token).map_err(|_| Code::Unauthenticated)?;
        Ok(Identity::human(user, token))
    }
}

async fn start(limits: Limits) -> (Engine, Server) {
    let engine = Engine::builder().authenticator(Arc::new(ByName)).limits(limits).build().await.unwrap();
    let mut config = ws_config();
    config.close_within = Duration::from_millis(300);
    (engine.clone(), Server::serving(engine, config, front_config()).await)
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    asked: u64,
    /// Entries that came while an answer was awaited.
    entries: Vec<Value>,
}

impl Client {
    async fn hello(server: &Server, name: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/ws", server.address)).await.unwrap();
        let mut client = Self { socket, asked: 0, entries: Vec::new() };
        let welcome = client.ask(json!({"type": "hello", "token": name})).await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        client
    }

    async fn frame(&mut self) -> Value {
        loop {
            match timeout(SOON, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    async fn tell(&mut self, mut request: Value) -> u64 {
        self.asked += 1;
        request["ref"] = self.asked.into();
        self.socket.send(Message::Text(request.to_string().into())).await.unwrap();
        self.asked
    }

    async fn ask(&mut self, request: Value) -> Value {
        let reference = self.tell(request).await;
        loop {
            let frame = self.frame().await;
            if frame["ref"] == reference {
                return frame;
            }
            self.entries.extend((frame["type"] == "entry").then_some(frame));
        }
    }

    /// Returns the next entry of this room.
    async fn entry(&mut self, room: RoomId) -> Value {
        loop {
            let next = if self.entries.is_empty() { self.frame().await } else { self.entries.remove(0) };
            if next["type"] == "entry" && next["room"] == json!(room) {
                return next;
            }
        }
    }

    /// Creates a room with these members.
    async fn create(&mut self, members: &[&str]) -> RoomId {
        let spec = json!({"title": "room", "members": members});
        let ack = self.ask(json!({"type": "create", "key": key(0), "spec": spec})).await;
        ack["room"].as_str().unwrap_or_else(|| panic!("{ack}")).parse().unwrap()
    }

    async fn post(&mut self, room: RoomId, number: u32, text: &str) -> Value {
        self.ask(send(room, number, text)).await
    }
}

fn key(number: u32) -> Key {
    let mut random = [7; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Key::new(i64::try_from(now.as_millis()).unwrap(), random)
}

fn send(room: RoomId, number: u32, text: &str) -> Value {
    json!({"type": "send", "room": room, "key": key(number), "body": {"kind": "text", "text": text}})
}

#[tokio::test]
async fn a_message_reaches_everybody_in_the_room_in_order() {
    let (_engine, server) = start(Limits::load_profile()).await;
    let mut ann = Client::hello(&server, "ann").await;
    let mut others = [Client::hello(&server, "bob").await, Client::hello(&server, "cyd").await];
    let room = ann.create(&["bob", "cyd"]).await;
    for number in 1..=200 {
        ann.tell(send(room, number, &format!("text {number}"))).await;
    }
    for client in others.iter_mut().chain([&mut ann]) {
        assert_eq!(client.entry(room).await["body"]["kind"], "room");
        for number in 1..=200 {
            let entry = client.entry(room).await;
            assert_eq!((&entry["seq"], &entry["body"]["text"]), (&json!(number + 1), &json!(format!("text {number}"))));
        }
    }
    server.still_serves().await;
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_is_answered_and_twenty_in_a_row_end_the_connection() {
    let (_engine, server) = start(Limits::default()).await;
    let mut raw = server.shaken().await;
    for _ in 0..20 {
        raw.send(&frame(TEXT, b"{}")).await;
    }
    for _ in 0..20 {
        let (_, error) = raw.frame().await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&error).unwrap()["name"], "invalid");
    }
    assert_eq!(raw.close_code().await, 4020);
    server.still_serves().await;
}

#[tokio::test]
async fn w29_connections_that_say_no_hello_are_closed_in_time() {
    let mut limits = Limits::default();
    limits.hello_within = Duration::from_millis(400);
    let (_engine, server) = start(limits).await;
    let mut ann = Client::hello(&server, "ann").await;
    let began = Instant::now();
    let mut silent = join_all((0..100).map(|_| server.shaken())).await;
    for code in join_all(silent.iter_mut().map(Raw::close_code)).await {
        assert_eq!(code, 4004);
    }
    assert!(began.elapsed() >= Duration::from_millis(350));
    assert_eq!(ann.ask(json!({"type": "rooms"})).await["type"], "rooms");
    server.still_serves().await;
}

#[tokio::test]
async fn w32_a_client_that_never_reads_is_parked_and_gets_everything_when_it_does() {
    let (_engine, server) = start(Limits::load_profile()).await;
    let mut ann = Client::hello(&server, "ann").await;
    let mut slow = server.shaken().await;
    socket2::SockRef::from(&slow.stream).set_recv_buffer_size(64 * 1024).unwrap();
    slow.send(&frame(TEXT, br#"{"type":"hello","token":"bob"}"#)).await;
    let room = ann.create(&["bob"]).await;
    let text = "x".repeat(4000);
    for number in 1..=400 {
        assert_eq!(ann.post(room, number, &text).await["type"], "ack");
    }
    let mut last = 0;
    while last < 401 {
        let (first, json) = slow.frame().await.unwrap();
        let frame: Value = serde_json::from_slice(&json).unwrap_or_else(|_| panic!("a frame {first:x}"));
        if frame["type"] == "entry" && frame["room"] == json!(room) {
            assert_eq!(frame["seq"], last + 1);
            last += 1;
        }
    }
    server.still_serves().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_hold_up_the_end() {
    let (engine, server) = start(Limits::load_profile()).await;
    let mut ann = Client::hello(&server, "ann").await;
    let mut stuck = server.shaken().await;
    stuck.send(&frame(TEXT, br#"{"type":"hello","token":"bob"}"#)).await;
    let room = ann.create(&["bob"]).await;
    for number in 1..=400 {
        ann.post(room, number, &"x".repeat(4000)).await;
    }
    drop(ann);
    engine.drain(Duration::from_millis(100)).await;
    assert!(server.ws.closed(SOON).await);
}

#[tokio::test]
async fn a_client_that_asks_without_end_and_reads_nothing_is_not_listened_to() {
    let (_engine, server) = start(Limits::load_profile()).await;
    let mut ann = Client::hello(&server, "ann").await;
    let room = ann.create(&[]).await;
    let text = "x".repeat(4000);
    for number in 1..=100 {
        ann.post(room, number, &text).await;
    }
    let mut greedy = server.shaken().await;
    greedy.send(&frame(TEXT, br#"{"type":"hello","token":"ann"}"#)).await;
    let request = frame(TEXT, json!({"type": "history", "room": room, "limit": 100}).to_string().as_bytes());
    // 400 KB each: beyond a few of them the server stops reading, so that writing blocks here.
    let asked = async {
        for _ in 0..1_000_000 {
            if tokio::io::AsyncWriteExt::write_all(&mut greedy.stream, &request).await.is_err() {
                return;
            }
        }
        panic!("the server took everything");
    };
    let _ = timeout(Duration::from_secs(1), asked).await;
    server.still_serves().await;
}

#[tokio::test]
async fn at_drain_everybody_is_told_to_come_back_and_all_connections_close() {
    let (engine, server) = start(Limits::default()).await;
    let mut ann = Client::hello(&server, "ann").await;
    engine.drain(SOON).await;
    let close = loop {
        let frame = ann.frame().await;
        if frame["type"] == "close" {
            break frame;
        }
    };
    assert_eq!((&close["type"], &close["code"], &close["reconnect"]), (&json!("close"), &json!(1012), &json!(true)));
    match timeout(SOON, ann.socket.next()).await.unwrap().unwrap().unwrap() {
        Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 1012),
        other => panic!("unexpected {other:?}"),
    }
    while timeout(SOON, ann.socket.next()).await.unwrap().is_some() {}
    assert!(server.ws.closed(SOON).await);
}
