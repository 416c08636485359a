//! What is said without being stored.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use chat_core::{Code, Draft, Engine, Hub, Outgoing, RoomSpec, Seq};
use common::{Client, human, user};
use serde_json::json;

#[tokio::test]
async fn typing_that_ends_over_and_over_is_told_once() {
    let engine = common::engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("r").members([user("bob")])).await.unwrap();
    let mut bob = Client::greeted(&engine, "bob").await;
    bob.until(|frame| frame["type"] == "followed" && frame["room"] == json!(room.id())).await;
    room.signal(Outgoing::Typing(true)).await.unwrap();
    for _ in 0..100 {
        room.signal(Outgoing::Typing(false)).await.unwrap();
    }
    room.post(Draft::text("done")).await.unwrap();
    let mut told = Vec::new();
    loop {
        match bob.next().await {
            frame if frame["kind"] == "typing" => told.push(frame["on"].as_bool().unwrap()),
            frame if frame["body"]["text"] == "done" => break,
            _ => {}
        }
    }
    assert_eq!(told, [true, false]);
}

#[tokio::test]
async fn read_marks_are_limited_and_leave_the_right_to_send() {
    let mut limits = common::limits();
    (limits.sends_per_second, limits.sends_burst) = (1, 3);
    let engine = Engine::builder().limits(limits).build().await.unwrap();
    let hub = engine.hub(human("ann"));
    let room = hub.create(RoomSpec::public("r")).await.unwrap();
    for _ in 0..3 {
        room.signal(Outgoing::Read(Seq::FIRST)).await.unwrap();
    }
    let refused = room.signal(Outgoing::Read(Seq::FIRST)).await.unwrap_err();
    assert_eq!(refused.code, Code::RateLimited);
    assert!(refused.retry_after.is_some());
    room.post(Draft::text("still here")).await.unwrap();
}
