//! A client that can misbehave: it sends bytes, and tells what came back in a few words.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than the server takes for anything but its own time-outs.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// First bytes of a frame: FIN and the opcode.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

/// Makes a masked frame; `first` is the byte with FIN, RSV and opcode.
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

pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    /// How long an answer may take.
    pub(crate) patience: Duration,
    sent: Arc<AtomicU64>,
}

impl Raw {
    pub(crate) fn new(stream: TcpStream, sent: Arc<AtomicU64>) -> Self {
        Self { stream, patience: SOON, sent }
    }

    /// Writes. Tells whether the server still takes it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        timeout(self.patience, self.stream.write_all(bytes)).await.expect("the server stopped reading").is_ok()
    }

    /// Reads an answer's head. Returns its status, or how the connection ended.
    pub(crate) async fn status(&mut self) -> String {
        let head = self.head().await;
        head.get(9..12).map_or("closed".into(), str::to_owned)
    }

    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(self.patience, self.stream.read_u8()).await.expect("no answer") {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads one frame of the server's; `None` when the connection has ended.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(self.patience, self.try_frame()).await.expect("no frame").ok()
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

    /// Tells what the server says on the level of frames, in words: `pong`, `close 1002`, `cut`. Texts are passed over.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            return match self.frame().await {
                Some((TEXT, _)) => continue,
                Some((PONG, _)) => "pong".into(),
                Some((PING, _)) => "ping".into(),
                Some((CLOSE, payload)) => close_in_words(&payload),
                Some((first, _)) => format!("a frame {first:#04x}"),
                None => "cut".into(),
            };
        }
    }

    /// Sends a text.
    pub(crate) async fn say(&mut self, text: &str) -> bool {
        self.send(&frame(TEXT, text.as_bytes())).await
    }

    /// Returns the next text as JSON, or in words what comes instead. Pings are passed over.
    pub(crate) async fn hear(&mut self) -> Result<Value, String> {
        loop {
            return match self.frame().await {
                Some((TEXT, text)) => Ok(serde_json::from_slice(&text).unwrap()),
                Some((PING, _)) => continue,
                Some((CLOSE, payload)) => Err(close_in_words(&payload)),
                Some((first, _)) => Err(format!("a frame {first:#04x}")),
                None => Err("cut".into()),
            };
        }
    }

    /// Returns the answer to the request with this `ref`.
    pub(crate) async fn hear_answer(&mut self, reference: u64) -> Value {
        self.hear_that(|frame| frame["ref"] == reference).await
    }

    /// Returns the next frame of this type.
    pub(crate) async fn hear_type(&mut self, kind: &str) -> Value {
        self.hear_that(|frame| frame["type"] == kind).await
    }

    /// Returns the next entry that is a message.
    pub(crate) async fn hear_entry(&mut self) -> Value {
        self.hear_that(|frame| frame["type"] == "entry" && frame["body"]["text"].is_string()).await
    }

    /// Waits until this room is received: what is posted from now on arrives.
    pub(crate) async fn hear_followed(&mut self, room: &str) {
        self.hear_that(|frame| frame["type"] == "followed" && frame["room"] == *room).await;
    }

    async fn hear_that(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.hear().await.unwrap();
            if is_it(&frame) {
                return frame;
            }
        }
    }
}

fn close_in_words(payload: &[u8]) -> String {
    let code = payload.get(..2).map(|code| format!("close {}", u16::from_be_bytes([code[0], code[1]])));
    code.unwrap_or_else(|| "close".into())
}
