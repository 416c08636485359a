//! The end of a node, as its clients see it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{
    Authenticator, Code, Engine, Hub, Identity, Key, Peer, RoomId, RoomSpec, StoreError,
    conformance::faulty::{Call, FaultyStore, StoreFault},
    memory::MemoryStore,
};
use common::{Client, human};
use serde_json::json;
use tokio::{sync::Notify, task::JoinHandle};

/// Begins to drain, far longer than anything here takes.
async fn begin_drain(engine: &Engine) -> JoinHandle<()> {
    let draining = tokio::spawn({
        let engine = engine.clone();
        async move { engine.drain(Duration::from_mins(1)).await }
    });
    while engine.is_ready().await {
        tokio::task::yield_now().await;
    }
    draining
}

/// Reads history only when it is let.
#[derive(Default)]
struct SlowHistory {
    asked: Notify,
    let_go: Notify,
}

#[async_trait]
impl StoreFault for SlowHistory {
    async fn before(&self, call: &mut Call) -> Result<(), StoreError> {
        if matches!(call, Call::History { .. }) {
            self.asked.notify_one();
            self.let_go.notified().await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_request_behind_a_slow_one_is_answered_before_the_session_is_closed() {
    let store = Arc::new(FaultyStore::new(MemoryStore::new(), SlowHistory::default()));
    let engine = Engine::builder().limits(common::limits()).store(store.clone()).build().await.unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("r")).await.unwrap().id();
    let mut ann = Client::greeted(&engine, "ann").await;
    let _ = ann.say(&json!({"type": "history", "ref": 1, "room": room}));
    store.fault().asked.notified().await;
    let _ = ann.say(&json!({"type": "create", "ref": 2, "key": Key::generate(), "spec": {"name": "other", "title": "Other", "visibility": "public"}}));
    let draining = begin_drain(&engine).await;
    store.fault().let_go.notify_one();
    let last = ann.until(|frame| frame["ref"] == 2 || frame["type"] == "close").await;
    assert_eq!(last["ref"], 2, "{last}");
    assert!(last["type"] == "ack" || last["retryable"] == true, "{last}");
    ann.until(|frame| frame["type"] == "close").await;
    drop(ann);
    draining.await.unwrap();
}

/// Believes everybody, when it is let.
#[derive(Default)]
struct SlowAuthenticator {
    asked: Notify,
    let_go: Notify,
}

#[async_trait]
impl Authenticator for SlowAuthenticator {
    async fn authenticate(&self, token: &str) -> Result<Identity, Code> {
        self.asked.notify_one();
        self.let_go.notified().await;
        Ok(human(token))
    }
}

#[tokio::test]
async fn a_hello_that_was_said_before_a_drain_is_answered_and_so_is_what_was_asked_behind_it() {
    let doorman = Arc::new(SlowAuthenticator::default());
    let engine = Engine::builder().limits(common::limits()).authenticator(doorman.clone()).build().await.unwrap();
    let mut ann = Client::connect_as(&engine, Peer::unknown(None));
    let _ = ann.say(&json!({"type": "hello", "ref": 1, "token": "ann"}));
    let _ = ann.say(&json!({"type": "rooms", "ref": 2}));
    doorman.asked.notified().await;
    let draining = begin_drain(&engine).await;
    let key = Key::generate();
    let body = json!({"kind": "text", "text": "too late"});
    let _ = ann.say(&json!({"type": "send", "ref": 3, "key": key, "room": RoomId::named("r"), "body": body}));
    let refusal = ann.next().await;
    assert_eq!(
        (&refusal["ref"], &refusal["name"], &refusal["key"]),
        (&json!(3), &json!("draining"), &json!(key)),
        "what is asked while others are waited for is refused at once: {refusal}"
    );
    doorman.let_go.notify_one();
    for reference in [1, 2] {
        let answer = ann.until(|frame| frame["ref"] == reference || frame["type"] == "close").await;
        assert_eq!(answer["ref"], reference, "{answer}");
    }
    let close = ann.until(|frame| frame["type"] == "close").await;
    assert_eq!(close["code"], 1012, "{close}");
    assert!(close["retry_after_ms"].is_u64(), "{close}");
    drop(ann);
    draining.await.unwrap();
}

#[tokio::test]
async fn a_hello_that_is_said_to_a_node_that_drains_is_refused_and_sent_away() {
    let engine = common::engine().await;
    let guest = Client::greeted(&engine, "bob").await;
    let draining = begin_drain(&engine).await;
    let mut ann = Client::connect(&engine, "ann");
    let _ = ann.say(&json!({"type": "hello", "ref": 1}));
    let refusal = ann.until(|frame| frame["type"] == "error").await;
    assert_eq!((&refusal["ref"], &refusal["name"]), (&json!(1), &json!("draining")), "{refusal}");
    drop(guest);
    draining.await.unwrap();
}

#[tokio::test]
async fn who_has_not_said_hello_is_sent_away_too() {
    let engine = common::engine().await;
    let [mut before, mut gone] = ["ann", "bob"].map(|name| Client::connect(&engine, name));
    gone.frames.close();
    drop(gone.session);
    assert_eq!(gone.outbox.strong_count(), 0, "a session that ended holds nothing");
    engine.drain(Duration::from_secs(5)).await;
    assert_eq!(before.next().await["code"], 1012);
    let mut after = Client::connect(&engine, "ann");
    assert_eq!(after.next().await["code"], 1012);
}

#[tokio::test]
async fn whoever_comes_while_a_node_drains_is_told_when_to_come_back_like_the_others() {
    let engine = common::engine().await;
    let mut before = Client::greeted(&engine, "ann").await;
    let draining = begin_drain(&engine).await;
    let mut late = Client::connect(&engine, "bob");
    for client in [&mut before, &mut late] {
        let close = client.until(|frame| frame["type"] == "close").await;
        assert!(close["retry_after_ms"].is_u64(), "{close}");
    }
    drop(before);
    draining.await.unwrap();
}
