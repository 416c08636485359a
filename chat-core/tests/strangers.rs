//! What a room that is not theirs tells strangers: nothing, not even that it exists (S14, P12; S11 for the work).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use chat_core::{
    Draft, Engine, Entry, Flow, Hub, Key, LogStore, Member, Page, RoomId, RoomSpec, RoomStore, RoomSummary, Seq,
    StoreError, UserId,
    memory::MemoryStore,
    store::{Access, Append, Head, Listing, Outcome},
};
use common::{Client, human, user};
use serde_json::{Value, json};

/// Each try is one command; half of them go to a room that exists, half to one that does not.
const TRIES: usize = 100_000;
const STRANGERS: usize = 8;

/// Chance that can be repeated: xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A room of others, and an id that no room has and that is used in just the same way.
struct Pair {
    foreign: RoomId,
    nothing: RoomId,
}

/// Makes rooms of every kind that are none of a stranger's business.
async fn rooms_of_others(engine: &Engine) -> Vec<Pair> {
    let (ann, bob) = (engine.hub(human("ann")), engine.hub(human("bob")));
    let plans = ann.create(RoomSpec::private("plans")).await.unwrap();
    let named = ann.create(RoomSpec::private("order:4711")).await.unwrap();
    let direct = bob.direct(&user("ann"));
    for room in [&plans, &named, &direct] {
        for text in ["the plan", "the other plan"] {
            room.post(Draft::text(text)).await.unwrap();
        }
    }
    plans.post(common::join("bob")).await.unwrap();
    let foreign = [plans.id(), named.id(), direct.id(), RoomId::inbox(&user("ann"))];
    let pair = |(byte, foreign)| Pair { foreign, nothing: RoomId::random([byte; 16]) };
    (1..).zip(foreign).map(pair).collect()
}

/// Makes up something that a client can ask about a room. `id` is an entry's id that exists nowhere.
fn command(chance: &mut Chance, room: &str, key: Key, id: &str) -> Value {
    let seq = chance.below(6);
    let send = |body: Value| json!({ "type": "send", "ref": 1, "room": room, "key": key, "body": body });
    match chance.below(20) {
        0 => json!({ "type": "history", "ref": 1, "room": room }),
        1 => json!({ "type": "history", "ref": 1, "room": room, "before": seq + 1, "limit": seq + 1 }),
        2 => json!({ "type": "history", "ref": 1, "room": room, "after": seq }),
        3 => json!({ "type": "members", "ref": 1, "room": room }),
        4 => json!({ "type": "members", "ref": 1, "room": room, "after_user": "ann" }),
        5 => json!({ "type": "follow", "ref": 1, "room": room }),
        6 => json!({ "type": "follow", "ref": 1, "room": room, "cursor": { "seq": seq, "id": id } }),
        7 => json!({ "type": "unfollow", "ref": 1, "room": room }),
        8 => json!({ "type": "signal", "ref": 1, "room": room, "signal": "read", "seq": seq }),
        9 => json!({ "type": "signal", "ref": 1, "room": room, "signal": "wave", "data": {} }),
        10 => send(json!({ "kind": "text", "text": "let me in" })),
        11 => send(json!({ "kind": "text", "text": "me too", "reply_to": seq })),
        12 => send(json!({ "kind": "edit", "target": seq, "text": "changed" })),
        13 => send(json!({ "kind": "delete", "target": seq })),
        14 => send(json!({ "kind": "react", "target": seq, "emoji": "👍", "on": true })),
        15 => send(json!({ "kind": "member", "change": "join", "user": "stranger" })),
        16 => send(json!({ "kind": "member", "change": "leave", "user": "ann" })),
        17 => send(json!({ "kind": "member", "change": "role", "user": "ann", "role": "member" })),
        18 => send(json!({ "kind": "room", "change": "set", "title": "mine" })),
        _ => send(json!({ "kind": "shop.order", "text": "order", "data": { "n": seq } })),
    }
}

/// Says it and returns the answer, as text without the room's id: everything else has to be the same to the byte.
async fn answer(client: &mut Client, frame: &Value, room: &str) -> String {
    assert_eq!(client.say(frame), Flow::More, "{frame}");
    let answer = client.until(|frame| frame["ref"] == 1).await;
    answer.to_string().replace(room, "ROOM")
}

#[tokio::test]
async fn a_foreign_room_answers_every_command_as_one_that_does_not_exist_s14() {
    let engine = common::engine().await;
    let pairs = rooms_of_others(&engine).await;
    let before: Vec<_> = heads(&engine, &pairs).await;
    let mut members = Client::greeted(&engine, "ann").await;
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        strangers.push(Client::greeted(&engine, &format!("stranger{number}")).await);
    }
    let (mut chance, mut answers) = (Chance(0x5eed), BTreeSet::new());
    for number in 0..TRIES / 2 {
        let pair = &pairs[usize::try_from(chance.below(4)).unwrap()];
        let client = &mut strangers[usize::try_from(chance.below(STRANGERS as u64)).unwrap()];
        let [foreign, nothing] = [pair.foreign, pair.nothing].map(|room| room.to_string());
        let (key, id) = (Key::generate(), Key::generate().to_string());
        let asked = command(&mut chance, &foreign, key, &id);
        let of_foreign = answer(client, &asked, &foreign).await;
        let text = asked.to_string().replace(&foreign, &nothing);
        let of_nothing = answer(client, &serde_json::from_str(&text).unwrap(), &nothing).await;
        assert_eq!(of_foreign, of_nothing, "try {number}: {asked}");
        answers.insert(serde_json::from_str::<Value>(&of_foreign).unwrap()["name"].to_string());
    }
    assert!(answers.contains("\"not_found\""), "{answers:?}");
    assert!(!answers.contains("null"), "everything is refused: {answers:?}");
    assert_eq!(heads(&engine, &pairs).await, before, "nothing was stored");
    assert_eq!(members.say(&json!({ "type": "rooms", "ref": 1 })), Flow::More);
    let heard = members.until(|frame| frame["ref"] == 1 || frame["author"].to_string().contains("stranger")).await;
    assert_eq!(heard["type"], "rooms", "nothing was delivered");
}

#[tokio::test]
async fn a_cursor_of_a_foreign_room_is_answered_as_one_of_no_room_s14() {
    let engine = common::engine().await;
    for pair in rooms_of_others(&engine).await {
        let mut frames = Vec::new();
        for room in [pair.foreign, pair.nothing] {
            let mut client = Client::connect(&engine, "stranger");
            let cursor = json!({ "room": room, "seq": 1, "id": Key::generate() });
            assert_eq!(client.say(&json!({ "type": "hello", "ref": 1, "cursors": [cursor] })), Flow::More);
            let frame = client.until(|frame| frame["type"] == "unfollowed").await;
            frames.push(frame.to_string().replace(&room.to_string(), "ROOM"));
        }
        assert_eq!(frames[0], frames[1]);
        assert!(frames[0].contains("not_found"), "{}", frames[0]);
    }
}

async fn heads(engine: &Engine, pairs: &[Pair]) -> Vec<Option<Seq>> {
    let system = engine.hub(chat_core::Identity::system());
    let mut heads = Vec::new();
    for pair in pairs {
        for room in [pair.foreign, pair.nothing] {
            heads.push(system.summary(room).await.ok().map(|summary| summary.head));
        }
    }
    heads
}

/// Counts every call, so that work can be compared instead of time.
#[derive(Default)]
struct Counting {
    inner: MemoryStore,
    calls: AtomicUsize,
}

impl Counting {
    fn count(&self) -> &MemoryStore {
        self.calls.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

#[async_trait]
impl LogStore for Counting {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.count().append(batch).await
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.count().read(room, after, limit).await
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.count().history(room, page).await
    }

    /// Not counted: the head poll asks by itself.
    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.inner.heads(rooms).await
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.count().trim(room, through).await
    }
}

#[async_trait]
impl RoomStore for Counting {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        self.count().access(room, user).await
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.count().members(room, page).await
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        self.count().rooms(which, page).await
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.count().mark(user, room, read).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.count().project(entries).await
    }
}

#[tokio::test]
async fn a_foreign_room_costs_the_same_reads_as_one_that_does_not_exist_s11() {
    let store = Arc::new(Counting::default());
    let engine = Engine::builder().limits(common::limits()).store(store.clone()).build().await.unwrap();
    let pairs = rooms_of_others(&engine).await;
    let mut client = Client::greeted(&engine, "stranger").await;
    let mut chance = Chance(0x5eed);
    for number in 0..1_000 {
        let pair = &pairs[usize::try_from(chance.below(4)).unwrap()];
        let [foreign, nothing] = [pair.foreign, pair.nothing].map(|room| room.to_string());
        let asked = command(&mut chance, &foreign, Key::generate(), &Key::generate().to_string());
        let mut work = Vec::new();
        for room in [&foreign, &nothing] {
            let before = store.calls.load(Ordering::SeqCst);
            let asked: Value = serde_json::from_str(&asked.to_string().replace(&foreign, room)).unwrap();
            answer(&mut client, &asked, room).await;
            work.push(store.calls.load(Ordering::SeqCst) - before);
        }
        assert_eq!(work[0], work[1], "try {number}: {asked}");
    }
}
