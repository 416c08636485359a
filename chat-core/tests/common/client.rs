//! A session as a transport sees it: frames in, frames out.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use chat_core::{Close, Encoding, Engine, Flow, Frame, Outbox, Peer, Push, ServerFrame, Session, protocol};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::human;

/// An outbox that has room for everything and keeps it as JSON.
pub struct Frames(mpsc::UnboundedSender<Value>);

impl Outbox for Frames {
    fn push(&self, frame: &Frame) -> Push {
        let sent = self.0.send(serde_json::from_slice(&frame.bytes).unwrap());
        if sent.is_ok() { Push::Taken } else { Push::Gone }
    }

    fn close(&self, why: Close) {
        let _ = self.0.send(json!({"type": "close", "code": why.code as u16}));
    }
}

struct Json;

impl Encoding for Json {
    fn encode(&self, frame: &ServerFrame<'_>) -> Bytes {
        protocol::encode(frame).into()
    }
}

/// A client that speaks JSON.
pub struct Client {
    pub session: Session,
    pub frames: mpsc::UnboundedReceiver<Value>,
    /// Dead once nobody in the engine holds the connection any more.
    pub outbox: Weak<Frames>,
}

impl Client {
    pub fn connect(engine: &Engine, name: &str) -> Self {
        let (sender, frames) = mpsc::unbounded_channel();
        let outbox = Arc::new(Frames(sender));
        let held = Arc::downgrade(&outbox);
        let session = engine.connect(Peer::known(None, human(name)), outbox, Arc::new(Json));
        Self { session, frames, outbox: held }
    }

    pub async fn greeted(engine: &Engine, name: &str) -> Self {
        let mut client = Self::connect(engine, name);
        assert_eq!(client.say(&json!({"type": "hello", "ref": 1})), Flow::More);
        client.until(|frame| frame["type"] == "followed").await;
        client
    }

    pub fn say(&mut self, frame: &Value) -> Flow {
        self.session.receive(frame.to_string().as_bytes())
    }

    pub async fn next(&mut self) -> Value {
        tokio::time::timeout(Duration::from_secs(20), self.frames.recv()).await.expect("a frame in time").unwrap()
    }

    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.next().await;
            if wanted(&frame) {
                return frame;
            }
        }
    }
}
