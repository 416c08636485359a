//! What the tests of the engine share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use chat_core::{
    Body, Close, Draft, Encoding, Engine, Event, Flow, Frame, Identity, Limits, Outbox, Peer, Push, Seq, ServerFrame,
    Session, UserId,
    model::{MemberChange, Membership},
    protocol,
};
use futures::{StreamExt, stream::BoxStream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Longer than anything here takes: a test that hangs fails with a word on what it waited for.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub fn human(name: &str) -> Identity {
    Identity::human(user(name), name)
}

pub fn limits() -> Limits {
    Limits::load_profile()
}

pub async fn engine() -> Engine {
    Engine::builder().limits(limits()).build().await.unwrap()
}

pub fn join(name: &str) -> Draft {
    Draft::new(Body::Member(MemberChange { user: user(name), change: Membership::Join }))
}

pub fn leave(name: &str) -> Draft {
    Draft::new(Body::Member(MemberChange { user: user(name), change: Membership::Leave }))
}

/// A stream of events with patience.
pub struct Stream(BoxStream<'static, Event>);

impl Stream {
    pub fn new(events: BoxStream<'static, Event>) -> Self {
        Self(events)
    }

    pub async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.0.next()).await.expect("an event in time").expect("an event before the end")
    }

    /// Waits until the next room is followed; returns from where.
    pub async fn followed(&mut self) -> Seq {
        loop {
            if let Event::Followed { head, .. } = self.next().await {
                return head;
            }
        }
    }

    /// Receives so many texts, checking that each room's positions rise without holes.
    pub async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        let mut last = std::collections::BTreeMap::new();
        while texts.len() < count {
            match self.next().await {
                Event::Entry(entry) => {
                    if let Some(before) = last.insert(entry.room, entry.seq) {
                        assert_eq!(before.next(), entry.seq, "a hole or a repeat");
                    }
                    texts.extend(entry.body.text().map(str::to_owned));
                }
                Event::Gap { .. } | Event::Reset(_) | Event::Closed(_) => panic!("no break was expected"),
                _ => {}
            }
        }
        texts
    }

    /// Waits for the end.
    pub async fn closed(&mut self) {
        while !matches!(self.next().await, Event::Closed(_)) {}
    }
}

/// An outbox that has room for everything and keeps it as JSON.
pub struct Frames(mpsc::UnboundedSender<Value>);

impl Frames {
    fn add(&self, frame: &[u8]) -> bool {
        self.0.send(serde_json::from_slice(frame).unwrap()).is_ok()
    }
}

impl Outbox for Frames {
    fn push(&self, frame: &Frame) -> Push {
        if self.add(&frame.bytes) { Push::Taken } else { Push::Gone }
    }

    fn close(&self, why: Close) {
        self.add(&Json.encode(&ServerFrame::Close(&why)));
    }
}

struct Json;

impl Encoding for Json {
    fn encode(&self, frame: &ServerFrame<'_>) -> Bytes {
        protocol::encode(frame).into()
    }
}

/// A session at the seam that transports use.
pub struct Client {
    pub session: Session,
    pub frames: mpsc::UnboundedReceiver<Value>,
    /// Dead once nobody in the engine holds the connection any more.
    pub outbox: Weak<Frames>,
}

impl Client {
    pub fn connect(engine: &Engine, name: &str) -> Self {
        Self::connect_as(engine, Peer::known(None, human(name)))
    }

    pub fn connect_as(engine: &Engine, peer: Peer) -> Self {
        let (sender, frames) = mpsc::unbounded_channel();
        let outbox = Arc::new(Frames(sender));
        let weak = Arc::downgrade(&outbox);
        let session = engine.connect(peer, outbox, Arc::new(Json));
        Self { session, frames, outbox: weak }
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
