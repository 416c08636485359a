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
    raw::Raw,
    server::{Site, key},
    socket::Socket,
};

/// What a case should take of the processor at most, unoptimised: a login's worth.
const CPU_EXPECTED: Duration = Duration::from_millis(100);

/// Is one case's user, room and address.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The server, as seen from the case's own address.
    pub(crate) site: Site,
    pub(crate) address: Ipv4Addr,
    #[allow(dead_code)] // for cases that name their user
    pub(crate) user: String,
    pub(crate) token: String,
    pub(crate) room: String,
    head: u64,
    sent: Arc<AtomicU64>,
    cpu: Duration,
}

impl Case {
    pub(crate) async fn new(site: Site, address: Ipv4Addr, user: &str, name: &str) -> Self {
        let token = site.token_of_new(user).await;
        let room = site.create_room(&token, name).await;
        let (user, name, sent) = (user.to_owned(), name.to_owned(), Arc::default());
        Self { name, site, address, user, token, room, head: 1, sent, cpu: CPU_EXPECTED }
    }

    /// States that this case stores so many entries in its room.
    pub(crate) fn stores(&mut self, entries: u64) {
        self.head += entries;
    }

    /// States what this case should take of the processor; it fails at five times that.
    pub(crate) fn takes(&mut self, cpu: Duration) {
        self.cpu = cpu;
    }

    pub(crate) fn cpu_expected(&self) -> Duration {
        self.cpu
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Connects from this case's own address.
    pub(crate) async fn tcp(&self) -> TcpStream {
        let server: SocketAddr = self.site.url.strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((self.address, 0).into()).unwrap();
        socket.connect(server).await.unwrap()
    }

    /// Connects, to say anything at all.
    pub(crate) async fn raw(&self) -> Raw {
        Raw::new(self.tcp().await, self.sent.clone())
    }

    /// Connects and shakes hands, to send frames.
    #[allow(dead_code)] // for cases that send frames
    pub(crate) async fn shaken(&self) -> Raw {
        let mut raw = self.raw().await;
        raw.send(&self.upgrade(&[])).await;
        assert_eq!(raw.status().await, "101");
        raw
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

    /// Reads where the room stands now.
    pub(crate) async fn head(&self) -> Value {
        self.site.get_as(&self.token, &format!("/chat/rooms/{}", self.room)).await.json()["head"].clone()
    }

    pub(crate) async fn fault_in_room(&self) -> Option<String> {
        let head = self.head().await;
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
