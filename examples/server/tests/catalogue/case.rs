//! What one case works with: somebody who is logged in, a room of theirs, and ways to misbehave.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    lab::Stranger,
    raw::{Raw, TEXT, frame},
    server::{Site, key},
    socket::Socket,
    talk::send,
    upstream::Upstream,
    vitals::Measure,
};

/// What a case should take of the processor at most, unoptimised: a login's worth.
const CPU_EXPECTED: Duration = Duration::from_millis(100);

/// Is one case's user, room and address.
#[derive(Clone)]
pub(crate) struct Case {
    /// The server, as seen from the case's own address.
    pub(crate) site: Site,
    pub(crate) address: Ipv4Addr,
    pub(crate) user: String,
    pub(crate) token: String,
    pub(crate) room: String,
    /// Somebody else on the same server.
    pub(crate) stranger: Arc<Stranger>,
    pub(crate) upstream: Upstream,
    pub(crate) measure: Measure,
    head: u64,
    sent: Arc<AtomicU64>,
    cpu: Duration,
    held: u64,
}

/// Connects from an address of this machine.
pub(crate) async fn tcp_from(address: Ipv4Addr, site: &Site) -> TcpStream {
    let server: SocketAddr = site.url.strip_prefix("http://").unwrap().parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

impl Case {
    /// Registers a user, who makes a room.
    pub(crate) async fn new(
        site: Site,
        address: Ipv4Addr,
        user: String,
        (stranger, upstream): (Arc<Stranger>, Upstream),
        measure: Measure,
    ) -> Self {
        let token = site.token_of_new(&user).await;
        let room = site.create_room(&token, "a case").await;
        let sent = Arc::default();
        Self {
            site,
            address,
            user,
            token,
            room,
            stranger,
            upstream,
            measure,
            head: 1,
            sent,
            cpu: CPU_EXPECTED,
            held: 0,
        }
    }

    /// States that this case stores so many entries in its room.
    pub(crate) fn stores(&mut self, entries: u64) {
        self.head += entries;
    }

    /// States what this case should take of the processor; it fails at five times that.
    pub(crate) fn takes(&mut self, cpu: Duration) {
        self.cpu = cpu;
    }

    /// States that the server may hold so many bytes for this case, whatever it was sent.
    pub(crate) fn may_hold(&mut self, bytes: u64) {
        self.held = bytes;
    }

    /// Returns what the server's memory may grow by for what it was sent and holds.
    pub(crate) fn memory_allowed(&self) -> u64 {
        2 * self.bytes_sent() + self.held
    }

    pub(crate) fn cpu_expected(&self) -> Duration {
        self.cpu
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Connects from this case's own address.
    pub(crate) async fn tcp(&self) -> TcpStream {
        tcp_from(self.address, &self.site).await
    }

    /// Connects, to say anything at all.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::new(self.tcp().await, self.sent.clone())
    }

    /// Connects and shakes hands, to send frames.
    pub(crate) async fn shaken(&self) -> Raw {
        let mut raw = self.raw().await;
        raw.send(&self.upgrade(&[])).await;
        assert_eq!(raw.status().await, "101");
        raw
    }

    /// Connects, shakes hands and says hello, to send frames.
    pub(crate) async fn greeted(&self) -> Raw {
        let mut raw = self.shaken().await;
        raw.send(&frame(TEXT, br#"{"type":"hello","ref":0}"#)).await;
        let welcome = raw.frame().await.expect("an answer to hello").1;
        assert!(welcome.starts_with(br#"{"type":"welcome""#), "{welcome:?}");
        raw
    }

    /// The same, and receives the case's room.
    pub(crate) async fn followed(&self) -> Raw {
        let mut raw = self.greeted().await;
        raw.hear_followed(&self.room).await;
        raw
    }

    /// Connects and shakes hands until that is refused, at most so often.
    pub(crate) async fn as_many_as_possible(&self, most: usize) -> Vec<Raw> {
        let mut open = Vec::new();
        for _ in 0..most {
            let mut raw = self.raw().await;
            if raw.send(&self.upgrade(&[])).await && raw.status().await == "101" {
                open.push(raw);
            }
        }
        open
    }

    /// Returns the same case at other addresses.
    pub(crate) fn neighbours(&self, count: u8) -> impl Iterator<Item = Self> {
        let [a, b, c, _] = self.address.octets();
        (0..count).map(move |last| Self { address: Ipv4Addr::new(a, b, c, 100 + last), ..self.clone() })
    }

    /// Returns how many WebSockets are open, as the server counts.
    pub(crate) async fn open_sockets(&self) -> u64 {
        let metrics = self.site.operator("/metrics").await.text;
        let line = metrics.lines().find_map(|line| line.strip_prefix("chat_ws_open ")).unwrap_or("0");
        line.trim().parse().unwrap()
    }

    /// Connects as a good client does, and says hello.
    pub(crate) async fn socket(&self) -> Socket<TcpStream> {
        Socket::over(self.tcp().await, &self.site, &self.token).await
    }

    /// A good request for a WebSocket, with more headers.
    pub(crate) fn upgrade(&self, more: &[(&str, &str)]) -> Vec<u8> {
        let host = self.site.url.strip_prefix("http://").unwrap();
        let mut head = format!(
            "GET /chat/ws HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.token
        );
        for (name, value) in more {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Types a command in the case's room. Returns the one reply that a bot posts there, or else what happened.
    pub(crate) async fn command(&mut self, typed: &str) -> String {
        self.command_about(typed, "").await
    }

    /// Types a command while others are at work in the case's room: its reply is the one that names `subject`.
    pub(crate) async fn command_about(&mut self, typed: &str, subject: &str) -> String {
        let mut raw = self.followed().await;
        raw.say(&self.fill(&send(&json!({ "kind": "text", "text": typed })))).await;
        let (mut accepted, mut reply) = (false, None);
        while !accepted || reply.is_none() {
            match raw.hear().await {
                Ok(frame) if frame["type"] == "accepted" => accepted = true,
                Ok(frame) if frame["type"] == "error" => return format!("error {}", frame["name"]),
                Ok(frame) if frame["type"] == "entry" => {
                    let text = frame["body"]["text"].as_str().unwrap();
                    if text.contains(subject) {
                        reply = Some(text.to_owned());
                    }
                }
                Ok(_) => {}
                Err(end) => return end,
            }
        }
        self.stores(1);
        reply.unwrap_or_default()
    }

    /// Reads how the room stands now.
    pub(crate) async fn summary(&self) -> Value {
        self.site.get_as(&self.token, &format!("/chat/rooms/{}", self.room)).await.json()
    }

    pub(crate) async fn fault_in_room(&self) -> Option<String> {
        let head = self.summary().await["head"].clone();
        (head != self.head).then(|| format!("the room's head is {head}, not {}", self.head))
    }
}

/// Does what people do: the case of those who behave.
pub(crate) async fn visit(case: &mut Case) {
    let mut socket = case.socket().await;
    socket.hear_followed(&case.room).await;
    socket.post(&case.room, "hello").await;
    socket.hear_text().await;
    socket.say(json!({ "type": "history", "ref": 3, "room": case.room })).await;
    socket.hear("history").await;
    socket.say(json!({ "type": "send", "ref": 4, "room": case.room, "key": key(), "body": {} })).await;
    socket.hear("error").await;
    case.stores(1);
}

/// Returns what all of these are, or else each.
pub(crate) fn same(mut replies: Vec<String>) -> String {
    replies.dedup();
    replies.join("; ")
}
