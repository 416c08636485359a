//! What the tests of the engine share.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

pub mod client;

use std::time::Duration;

use chat_core::{
    Body, Draft, Engine, Event, Identity, Limits, Seq, UserId,
    model::{MemberChange, Membership},
};
use futures::{StreamExt, stream::BoxStream};

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
