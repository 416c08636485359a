//! Who is online, as sessions see it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::sync::Arc;

use chat_core::{
    Engine, Hub, RoomId, RoomSpec,
    memory::{MemoryPresence, MemoryStore},
};
use common::{client::Client, human, leave, user};
use serde_json::{Value, json};

/// Lists a room's members; returns whether this one is online.
async fn lists(client: &mut Client, room: RoomId, user: &str) -> bool {
    let _ = client.say(&json!({"type": "members", "ref": 7, "room": room}));
    let answer = client.until(|frame| frame["ref"] == 7).await;
    let members = answer["members"].as_array().unwrap();
    members.iter().any(|member| member["user"] == user && member["online"] == true)
}

fn came(user: &str) -> impl Fn(&Value) -> bool {
    move |frame| frame["kind"] == "presence" && frame["user"] == user && frame["online"] == true
}

async fn follows(client: &mut Client, room: RoomId) {
    client.until(|frame| frame["type"] == "followed" && frame["room"] == json!(room)).await;
}

#[tokio::test]
async fn a_watcher_is_told_although_another_listed_the_members_in_between() {
    let (store, presence) = (Arc::new(MemoryStore::new()), Arc::new(MemoryPresence::default()));
    let build = || {
        let engine = Engine::builder().limits(common::limits());
        engine.store(store.clone()).presence(presence.clone()).build()
    };
    let (here, there) = (build().await.unwrap(), build().await.unwrap());
    let spec = RoomSpec::public("r").members([user("bob"), user("cid")]);
    let room = here.hub(human("ann")).create(spec).await.unwrap().id();
    let (mut ann, mut cid) = (Client::greeted(&here, "ann").await, Client::greeted(&here, "cid").await);
    follows(&mut ann, room).await;
    follows(&mut cid, room).await;
    assert!(!lists(&mut ann, room, "bob").await);
    let _bob = Client::greeted(&there, "bob").await; // no word of it gets here until presence is polled
    while !lists(&mut cid, room, "bob").await {
        tokio::task::yield_now().await;
    }
    ann.until(came("bob")).await;
}

#[tokio::test]
async fn who_was_removed_from_a_room_is_not_told_who_comes_there() {
    let engine = common::engine().await;
    let hub = engine.hub(human("ann"));
    let spec = RoomSpec::private("secret").members([user("bob"), user("cid")]);
    let secret = hub.create(spec).await.unwrap();
    let other = hub.create(RoomSpec::private("other").members([user("bob"), user("dan")])).await.unwrap().id();
    let mut bob = Client::greeted(&engine, "bob").await;
    for _ in 0..2 {
        bob.until(|frame| frame["type"] == "followed").await;
    }
    assert!(!lists(&mut bob, secret.id(), "cid").await);
    assert!(!lists(&mut bob, other, "dan").await);
    secret.post(leave("bob")).await.unwrap();
    bob.until(|frame| frame["type"] == "unfollowed").await;
    let mut cid = Client::greeted(&engine, "cid").await;
    follows(&mut cid, secret.id()).await;
    while !lists(&mut cid, secret.id(), "cid").await {
        tokio::task::yield_now().await;
    }
    let _dan = Client::greeted(&engine, "dan").await;
    let told = bob.until(|frame| frame["kind"] == "presence" && frame["user"] != "bob").await;
    assert_eq!(told["user"], "dan", "{told}");
}
