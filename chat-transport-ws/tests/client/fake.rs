//! A server that says what a test tells it to.

use chat_core::{RoomId, UserId, protocol};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::CloseFrame,
    },
};

use crate::common::SOON;

pub(crate) struct Fake(TcpListener);

/// Is one connection of a client.
pub(crate) struct Peer(WebSocketStream<TcpStream>);

impl Fake {
    pub(crate) async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ws", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    /// Waits for the next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = timeout(SOON, self.0.accept()).await.expect("a connection in time").unwrap();
        #[allow(clippy::result_large_err, clippy::unnecessary_wraps)] // as the library asks
        let agree = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            response.headers_mut().insert("sec-websocket-protocol", protocol::NAME.parse().unwrap());
            Ok(response)
        };
        Peer(tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap())
    }

    /// Waits for the next connection and welcomes it as ann; returns its `hello`, too.
    pub(crate) async fn welcome(&self) -> (Peer, Value) {
        let mut peer = self.accept().await;
        let hello = peer.hear("hello").await;
        peer.greet(&hello, "ann").await;
        (peer, hello)
    }
}

impl Peer {
    pub(crate) async fn greet(&mut self, asked: &Value, user: &str) {
        let limits = json!({"frame_bytes": 65536, "text_chars": 4000, "rooms": 256});
        let welcome = json!({"type": "welcome", "ref": asked["ref"], "protocol": protocol::NAME, "user": user,
            "name": user, "now": 1_731_666_414_192_i64, "features": [], "commands": [], "limits": limits});
        self.say(welcome).await;
    }

    pub(crate) async fn say(&mut self, frame: Value) {
        self.say_text(frame.to_string()).await;
    }

    /// Says what need not be a frame.
    pub(crate) async fn say_text(&mut self, text: String) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Hangs up, with a WebSocket close code.
    pub(crate) async fn close(&mut self, code: u16) {
        self.0.send(Message::Close(Some(CloseFrame { code: code.into(), reason: "".into() }))).await.unwrap();
    }

    /// Receives the next request, which must be of this type.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        let frame = timeout(SOON, self.any()).await.expect(kind);
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// Receives the next request.
    pub(crate) async fn any(&mut self) -> Value {
        loop {
            match self.0.next().await.expect("the client hung up").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(close) => panic!("closed instead of asked: {close:?}"),
                _ => {}
            }
        }
    }

    /// Waits until the client has heard all that was said. Returns what it asks meanwhile.
    pub(crate) async fn asks_before_it_has_heard_all(&mut self) -> Option<Value> {
        self.0.send(Message::Ping("heard?".into())).await.unwrap();
        loop {
            match timeout(SOON, self.0.next()).await.expect("an answer in time").expect("the client hung up").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Pong(_) => return None,
                _ => {}
            }
        }
    }

    /// Answers a `send` of ann's to a user as stored.
    pub(crate) async fn ack(&mut self, send: &Value, seq: u64) {
        let user = |name: &str| UserId::new(name).unwrap();
        let room = RoomId::direct(&user("ann"), &user(send["to"].as_str().unwrap()));
        let (reference, key) = (&send["ref"], &send["key"]);
        self.say(json!({"type": "ack", "ref": reference, "key": key, "room": room, "seq": seq, "id": id(seq)})).await;
    }

    /// Refuses a request.
    pub(crate) async fn refuse(&mut self, request: &Value, name: &str, retryable: bool) {
        let error = json!({"type": "error", "ref": request["ref"], "key": request["key"], "code": 1, "name": name,
            "message": "no", "retryable": retryable});
        self.say(error).await;
    }

    /// Waits until the client hangs up.
    pub(crate) async fn hung_up(&mut self) {
        while let Some(Ok(_)) = timeout(SOON, self.0.next()).await.expect("the client hangs up") {}
    }
}

/// Returns the id of the entry at this position in a fake's log.
pub(crate) fn id(seq: u64) -> String {
    format!("01932f5c-8a70-7c3e-9d1a-{seq:012x}")
}
