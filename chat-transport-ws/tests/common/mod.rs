//! A server on a port of its own, and a client that can misbehave.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::{net::SocketAddr, time::Duration};

use chat_core::Engine;
use chat_transport_ws::{Front, FrontConfig, PerAddress, WsConfig, WsServer};
use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

pub(crate) const SOON: Duration = Duration::from_secs(5);
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) ws: WsServer,
}

pub(crate) fn ws_config() -> WsConfig {
    let mut config = WsConfig::default();
    config.per_address = PerAddress::unlimited();
    config
}

pub(crate) fn front_config() -> FrontConfig {
    let mut config = FrontConfig::default();
    config.per_address = PerAddress::unlimited();
    config
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(ws_config(), front_config()).await
    }

    pub(crate) async fn with(ws: WsConfig, front: FrontConfig) -> Self {
        Self::serving(Engine::builder().build().await.unwrap(), ws, front).await
    }

    pub(crate) async fn serving(engine: Engine, ws: WsConfig, front: FrontConfig) -> Self {
        let ws = WsServer::new(engine, ws);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (server, front) = (ws.clone(), Front::new(front));
        tokio::spawn(async move { server.serve(listener, &front, "/ws", std::future::pending()).await });
        Self { address, ws }
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw { stream: TcpStream::connect(self.address).await.unwrap() }
    }

    /// A client that has shaken hands.
    pub(crate) async fn shaken(&self) -> Raw {
        let mut raw = self.connect().await;
        raw.send(&request(&[])).await;
        assert_eq!(raw.status().await, 101);
        raw
    }

    /// The end of every test of bad input: whoever behaves is served as before.
    pub(crate) async fn still_serves(&self) {
        let url = format!("ws://{}/ws", self.address);
        let (mut good, _) = timeout(SOON, tokio_tungstenite::connect_async(url)).await.unwrap().unwrap();
        good.send(Message::Ping("hi".into())).await.unwrap();
        loop {
            match timeout(SOON, good.next()).await.unwrap().unwrap().unwrap() {
                Message::Pong(payload) => break assert_eq!(payload, "hi"),
                Message::Text(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}

/// A good request for a WebSocket, with more headers.
pub(crate) fn request(more: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!(
        "GET /ws HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    for (name, value) in more {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A masked frame; `first` is the byte with FIN, RSV and opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let length = (payload.len() as u64).to_be_bytes();
    let mut out = match payload.len() {
        0..=125 => vec![first, 0x80 | length[7]],
        126..=0xFFFF => [&[first, 0xFE], &length[6..]].concat(),
        _ => [&[first, 0xFF], &length[..]].concat(),
    };
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
}

impl Raw {
    /// Writes; a server that has closed already is no error of the test's.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(SOON, self.stream.write_all(bytes)).await.expect("the server stopped reading").is_ok()
    }

    /// Reads a response's head. Returns its status, or 0 if the connection ends before.
    pub(crate) async fn status(&mut self) -> u16 {
        self.head().await.get(9..12).map_or(0, |status| status.parse().unwrap())
    }

    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(SOON, self.stream.read_u8()).await.expect("no answer") {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads one frame of the server's.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(2 * SOON, self.try_frame()).await.expect("no frame").ok()
    }

    async fn try_frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            n => u64::from(n),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await?;
        Ok((first, payload))
    }

    /// Reads up to the close frame. Returns its code; 0 if there is none.
    pub(crate) async fn close_code(&mut self) -> u16 {
        while let Some((first, payload)) = self.frame().await {
            if first == CLOSE {
                return payload.get(..2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
            }
        }
        0
    }

    /// Reads until the connection ends.
    pub(crate) async fn ended(&mut self) {
        let mut waste = Vec::new();
        let _ = timeout(SOON, self.stream.read_to_end(&mut waste)).await.expect("the connection stays open");
    }
}
