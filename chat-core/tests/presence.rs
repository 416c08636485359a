//! Who is online, as sessions see it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Engine, Hub, Presence, RoomId, RoomSpec, UserId,
    memory::{MemoryPresence, MemoryStore},
    model::NodeId,
    presence::{Lease, PresenceError, PresenceErrorKind},
};
use common::{Client, human, leave, user};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Lists a room's members; returns whether this one is online.
async fn lists(client: &mut Client, room: RoomId, user: &str) -> bool {
    let _ = client.say(&json!({"type": "members", "ref": 7, "room": room}));
    let answer = client.until(|frame| frame["ref"] == 7).await;
    let members = answer["members"].as_array().unwrap();
    members.iter().any(|member| member["user"] == user && member["online"] == true)
}

/// Lists a room's members until this one is online.
async fn sees_online(client: &mut Client, room: RoomId, user: &str) {
    let online = async {
        while !lists(client, room, user).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), online).await.expect("the user online in time");
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
    sees_online(&mut cid, room, "bob").await;
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
    sees_online(&mut cid, secret.id(), "cid").await;
    let _dan = Client::greeted(&engine, "dan").await;
    let told = bob.until(|frame| frame["kind"] == "presence" && frame["user"] != "bob").await;
    assert_eq!(told["user"], "dan", "{told}");
}

/// A presence store whose `leave` lands only when it is let.
#[derive(Default)]
struct SlowToLeave {
    inner: MemoryPresence,
    leaving: Notify,
    let_go: Notify,
    left: Notify,
}

#[async_trait]
impl Presence for SlowToLeave {
    async fn enter(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.inner.enter(node, users).await
    }

    async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.leaving.notify_one();
        self.let_go.notified().await;
        self.inner.leave(node, users).await?;
        self.left.notify_one();
        Ok(())
    }

    async fn refresh(&self, node: NodeId) -> Result<Lease, PresenceError> {
        self.inner.refresh(node).await
    }

    async fn online(&self, users: &[UserId]) -> Result<Vec<bool>, PresenceError> {
        self.inner.online(users).await
    }
}

#[tokio::test]
async fn who_comes_back_while_the_store_is_slow_to_let_them_go_is_online() {
    let presence = Arc::new(SlowToLeave::default());
    let mut limits = common::limits();
    limits.presence_grace = Duration::ZERO;
    let engine = Engine::builder().limits(limits).presence(presence.clone()).build().await.unwrap();
    drop(Client::greeted(&engine, "ann").await);
    presence.leaving.notified().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("r")).await.unwrap().id();
    let mut ann = Client::greeted(&engine, "ann").await;
    sees_online(&mut ann, room, "ann").await;
    presence.let_go.notify_one();
    presence.left.notified().await;
    sees_online(&mut ann, room, "ann").await;
}

/// A presence store that is away when told so.
#[derive(Default)]
struct Away {
    inner: MemoryPresence,
    silent: AtomicBool,
    refused: Notify,
}

impl Away {
    fn look(&self) -> Result<(), PresenceError> {
        if self.silent.load(Ordering::Acquire) {
            self.refused.notify_one();
            return Err(PresenceError::new(PresenceErrorKind::Unavailable, "anything"));
        }
        Ok(())
    }
}

#[async_trait]
impl Presence for Away {
    async fn enter(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.look()?;
        self.inner.enter(node, users).await
    }

    async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.look()?;
        self.inner.leave(node, users).await
    }

    async fn refresh(&self, node: NodeId) -> Result<Lease, PresenceError> {
        self.inner.refresh(node).await
    }

    async fn online(&self, users: &[UserId]) -> Result<Vec<bool>, PresenceError> {
        self.inner.online(users).await
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_the_store_is_away_is_offline_once_it_is_back() {
    let presence = Arc::new(Away::default());
    let engine = Engine::builder().limits(common::limits()).presence(presence.clone()).build().await.unwrap();
    let bob = Client::greeted(&engine, "bob").await;
    let is_online = async || presence.inner.online(&[user("bob")]).await.unwrap() == [true];
    while !is_online().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    presence.silent.store(true, Ordering::Release);
    drop(bob);
    presence.refused.notified().await;
    presence.silent.store(false, Ordering::Release);
    let offline = async {
        while is_online().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(25), offline).await.expect("the next refresh tells it");
}
