//! A session as a transport sees it: frames in, frames out.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chat_core::{Engine, Flow, Hub, Key, Limits, Page, RemoteCommand, RoomSpec, memory::MemoryQueue};
use common::{Client, human};
use serde_json::{Value, json};

fn send(room: &str, key: Key, text: &str) -> Value {
    json!({"type": "send", "room": room, "key": key, "body": {"kind": "text", "text": text}})
}

async fn engine(set: impl FnOnce(&mut Limits)) -> Engine {
    let mut limits = common::limits();
    set(&mut limits);
    Engine::builder().limits(limits).build().await.unwrap()
}

#[tokio::test]
async fn nothing_is_answered_before_hello_and_hello_comes_once() {
    let engine = engine(|_| {}).await;
    let mut client = Client::connect(&engine, "ann");
    assert_eq!(client.say(&json!({"type": "rooms", "ref": 7})), Flow::More);
    let refused = client.next().await;
    assert_eq!((&refused["name"], &refused["ref"]), (&json!("not_greeted"), &json!(7)));
    assert!(!client.session.is_greeted());
    assert_eq!(client.say(&json!({"type": "hello", "ref": 8})), Flow::More);
    let welcome = client.next().await;
    assert_eq!((&welcome["type"], &welcome["ref"], &welcome["user"]), (&json!("welcome"), &json!(8), &json!("ann")));
    assert_eq!(client.say(&json!({"type": "hello", "ref": 9})), Flow::More);
    assert_eq!(client.until(|frame| frame["ref"] == 9).await["name"], "not_greeted");
}

#[tokio::test]
async fn twenty_invalid_frames_in_a_row_end_the_session() {
    let engine = engine(|_| {}).await;
    let mut client = Client::greeted(&engine, "ann").await;
    for _ in 0..19 {
        assert_eq!(client.session.receive(b"{}"), Flow::More);
    }
    assert_eq!(client.say(&json!({"type": "rooms"})), Flow::More);
    for _ in 0..19 {
        assert_eq!(client.session.receive(b"nonsense"), Flow::More);
    }
    assert!(
        matches!(client.session.receive(b"nonsense"), Flow::End(close) if close.code == chat_core::CloseCode::Abusive)
    );
}

#[tokio::test]
async fn reading_waits_while_too_many_requests_are_under_way() {
    let engine = engine(|limits| limits.requests_in_flight_max = 4).await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("r")).await.unwrap().id().to_string();
    let mut client = Client::greeted(&engine, "ann").await;
    let mut flows = Vec::new();
    for number in 0..4 {
        flows.push(client.say(&send(&room, Key::generate(), &number.to_string())));
    }
    assert_eq!(flows, [Flow::More, Flow::More, Flow::More, Flow::Wait]);
    client.session.ready().await;
    assert_eq!(client.say(&json!({"type": "rooms"})), Flow::More);
}

/// A client by the book, see docs/protocol.md: what is refused for now is sent again with everything after it.
#[tokio::test]
async fn a_burst_over_the_limit_arrives_whole_and_in_order() {
    let engine = engine(|limits| (limits.sends_per_second, limits.sends_burst) = (200, 7)).await;
    let hub = engine.hub(human("ann"));
    let room = hub.create(RoomSpec::public("r")).await.unwrap();
    let mut client = Client::greeted(&engine, "ann").await;
    let drafts: Vec<(Key, String)> = (0..60).map(|number| (Key::generate(), number.to_string())).collect();
    let mut unanswered: BTreeSet<usize> = (0..drafts.len()).collect();
    while !unanswered.is_empty() {
        let tried: Vec<usize> = unanswered.iter().copied().collect();
        for index in &tried {
            let (key, text) = &drafts[*index];
            let _ = client.say(&send(&room.id().to_string(), *key, text));
        }
        for _ in &tried {
            let answer = client.until(|frame| frame["type"] == "ack" || frame["type"] == "error").await;
            let index = drafts.iter().position(|(key, _)| answer["key"] == json!(key)).unwrap();
            if answer["type"] == "ack" {
                unanswered.remove(&index);
            } else {
                assert_eq!(answer["retryable"], true, "{answer}");
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // as the answers ask for
    }
    let stored = room.history(Page::newest(200)).await.unwrap();
    let texts: Vec<_> = stored.iter().map(|entry| entry.body.text().unwrap().to_owned()).collect();
    assert_eq!(texts, drafts.into_iter().map(|(_, text)| text).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_that_ends_leaves_its_rooms() {
    let engine = engine(|_| {}).await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("r")).await.unwrap();
    let mut client = Client::greeted(&engine, "ann").await;
    let Client { session, ref mut frames, .. } = client;
    drop(session);
    room.post(chat_core::Draft::text("anybody?")).await.unwrap();
    // Once the room has let go of the session's outbox, the channel ends; until then nothing but entries may come.
    while let Some(frame) = tokio::time::timeout(Duration::from_secs(20), frames.recv()).await.expect("the end") {
        assert!(matches!(frame["type"].as_str(), Some("entry" | "followed")), "{frame}");
    }
}

#[tokio::test]
async fn a_cursor_of_a_room_beyond_those_a_session_follows_is_too_many() {
    let engine = engine(|limits| limits.rooms_per_session_max = 2).await;
    let hub = engine.hub(human("ann"));
    let first = hub.create(RoomSpec::public("first")).await.unwrap().id();
    let foreign = engine.hub(human("bob")).create(RoomSpec::private("foreign")).await.unwrap().id();
    let second = hub.create(RoomSpec::public("second")).await.unwrap();
    second.post(chat_core::Draft::text("the latest")).await.unwrap();
    let mut client = Client::connect(&engine, "ann");
    let three = [first, foreign, second.id()].map(|room| json!({"room": room, "seq": 0}));
    let _ = client.say(&json!({"type": "hello", "ref": 0, "cursors": three}));
    assert_eq!(client.next().await["name"], "invalid", "a client that is obedient would come back for ever");
    let cursors = [json!({"room": first, "seq": 0}), json!({"room": foreign, "seq": 0})];
    let _ = client.say(&json!({"type": "hello", "ref": 1, "cursors": cursors}));
    let mut why = std::collections::BTreeMap::new();
    while why.len() < 2 {
        let frame = client.until(|frame| frame["type"] == "unfollowed").await;
        why.insert(frame["room"].to_string(), frame["why"].clone());
    }
    assert_eq!(why[&json!(first).to_string()], "too_many");
    assert_eq!(why[&json!(foreign).to_string()], "not_found");
}

#[tokio::test]
async fn a_command_that_cannot_be_taken_holds_up_nothing_that_is_said_after_it() {
    let full = Arc::new(MemoryQueue::new().with_capacity(0));
    let stock = RemoteCommand::new(full);
    let engine = Engine::builder().limits(common::limits()).command("stock", "prices", stock).build().await.unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("r")).await.unwrap().id().to_string();
    let mut client = Client::greeted(&engine, "ann").await;
    let command = Key::generate();
    for _ in 0..2 {
        assert_eq!(client.say(&send(&room, command, "/stock=aapl")), Flow::More);
        let refused = client.until(|frame| frame["key"] == json!(command)).await;
        assert_eq!((&refused["name"], &refused["retryable"]), (&json!("retry"), &json!(true)));
        let message = Key::generate();
        assert_eq!(client.say(&send(&room, message, "hello")), Flow::More);
        let answer = client.until(|frame| frame["key"] == json!(message) && frame["type"] != "entry").await;
        assert_eq!(answer["type"], "ack", "{answer}");
    }
}
