//! Catching up by cursors.

use std::sync::Arc;

use chat_engine::{
    Chat, EntryId, Key, Retention, RoomId, Seq,
    chat_core::{LogStore, memory::MemoryStore},
};
use serde_json::{Value, json};

use crate::{
    http::Reply,
    on_every_store,
    site::{Site, id, key},
};

on_every_store!(
    a_cursor_gets_what_came_after_it,
    the_limit_bounds_the_whole_answer_and_more_says_so,
    a_cursor_of_another_log_is_reset,
    a_room_that_is_not_ones_own_fails_alone,
);

async fn catch_up(site: &Site, user: &str, request: Value) -> Reply {
    site.post(user, "/catchup", request).await
}

fn start(room: &str) -> Value {
    json!({ "room": id(room).to_string(), "seq": 0 })
}

async fn a_cursor_gets_what_came_after_it(site: Site) {
    let room = site.public("ann", "open").await;
    let seen = site.say("ann", &room, "seen").await.expect(201);
    site.say("ann", &room, "missed").await.expect(201);
    let edit = json!({ "key": key(), "body": { "kind": "edit", "target": 3, "text": "edited" } });
    site.post("ann", &format!("{room}/messages"), edit).await.expect(201);
    let cursor = json!({ "room": seen["room"], "seq": seen["seq"], "id": seen["id"] });
    let found = catch_up(&site, "ann", json!({ "cursors": [cursor] })).await.expect(200)["rooms"][0].clone();
    // The log itself, as a follower would get it: the edit is an entry of its own.
    let entries = found["entries"].as_array().unwrap();
    assert_eq!(entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(entries[1]["body"]["kind"], "edit");
    assert_eq!(found["more"], false);
    assert!(found.get("gap").is_none() && found.get("reset").is_none());
}

async fn the_limit_bounds_the_whole_answer_and_more_says_so(site: Site) {
    let (one, two) = (site.public("ann", "one").await, site.public("ann", "two").await);
    for room in [&one, &two] {
        for number in 0..3 {
            site.say("ann", room, &number.to_string()).await.expect(201);
        }
    }
    let mut cursors = vec![start(&one), start(&two)];
    let mut seen = 0;
    for _ in 0..10 {
        let answer = catch_up(&site, "ann", json!({ "cursors": cursors, "limit": 3 })).await.expect(200);
        cursors.clear();
        let mut taken = 0;
        for room in answer["rooms"].as_array().unwrap() {
            taken += room["entries"].as_array().unwrap().len();
            if room["more"] == true {
                let last = room["entries"].as_array().unwrap().last();
                let at = last.map_or((json!(0), Value::Null), |last| (last["seq"].clone(), last["id"].clone()));
                cursors.push(json!({ "room": room["room"], "seq": at.0, "id": at.1 }));
            }
        }
        assert!(taken <= 3);
        seen += taken;
        if cursors.is_empty() {
            break;
        }
    }
    assert_eq!((seen, cursors.len()), (8, 0));
}

async fn a_cursor_of_another_log_is_reset(site: Site) {
    let room = site.public("ann", "open").await;
    for cursor in [
        json!({ "room": id(&room).to_string(), "seq": 1, "id": EntryId::new(1, [9; 10]).to_string() }),
        json!({ "room": id(&room).to_string(), "seq": 99, "id": EntryId::new(1, [9; 10]).to_string() }),
    ] {
        let found = catch_up(&site, "ann", json!({ "cursors": [cursor] })).await.expect(200);
        assert_eq!(found["rooms"][0]["reset"], true, "{found}");
    }
}

async fn a_room_that_is_not_ones_own_fails_alone(site: Site) {
    let (mine, other) = (site.public("ann", "mine").await, site.room("bob", json!({ "title": "other" })).await);
    let nowhere = format!("/rooms/{}", RoomId::named("nowhere"));
    let cursors = [start(&other), start(&nowhere), start(&mine)];
    let found = catch_up(&site, "ann", json!({ "cursors": cursors })).await.expect(200);
    assert_eq!(found["type"], "catchup");
    assert_eq!(
        (&found["rooms"][0]["error"]["type"], &found["rooms"][0]["error"]["name"]),
        (&json!("error"), &json!("not_found"))
    );
    assert_eq!(found["rooms"][1]["error"], found["rooms"][0]["error"]);
    assert_eq!(found["rooms"][2]["entries"][0]["seq"], 1);
}

#[tokio::test]
async fn what_was_trimmed_is_a_gap() {
    let store = Arc::new(MemoryStore::new());
    let site = Site::of(Chat::builder().store(store.clone()), None).await;
    let room = site.public("ann", "open").await;
    let seen = site.say("ann", &room, "a").await.expect(201);
    for text in ["b", "c", "d"] {
        site.say("ann", &room, text).await.expect(201);
    }
    store.trim(id(&room), Seq::new(4).unwrap()).await.unwrap();
    let cursor = json!({ "room": seen["room"], "seq": seen["seq"], "id": seen["id"] });
    let found = catch_up(&site, "ann", json!({ "cursors": [cursor] })).await.expect(200)["rooms"][0].clone();
    assert_eq!(found["gap"], json!({ "from": 3, "to": 4, "why": "retention" }));
    assert_eq!(found["entries"][0]["body"]["text"], "d");
}

#[tokio::test]
async fn what_a_room_keeps_no_longer_is_a_gap_and_its_keys_are_too_old() {
    let site = Site::of(Chat::builder().retention(Retention::forever().count(2)), None).await;
    let room = site.public("ann", "open").await;
    // Keys of two hours ago: what is younger than an hour is kept.
    let aged = |text: &str| {
        let key = Key::new(Key::generate().unix_ms() - 7_200_000, [text.as_bytes()[0]; 10]);
        json!({ "key": key, "body": { "kind": "text", "text": text } })
    };
    let seen = site.post("ann", &format!("{room}/messages"), aged("a")).await.expect(201);
    for text in ["b", "c", "d"] {
        site.post("ann", &format!("{room}/messages"), aged(text)).await.expect(201);
    }
    assert_eq!(site.chat.engine().retain().await.unwrap(), 3);
    let cursor = json!({ "room": seen["room"], "seq": seen["seq"], "id": seen["id"] });
    let found = catch_up(&site, "ann", json!({ "cursors": [cursor] })).await.expect(200)["rooms"][0].clone();
    assert_eq!(found["gap"], json!({ "from": 3, "to": 3, "why": "retention" }));
    assert_eq!(found["entries"].as_array().unwrap().len(), 2);
    site.post("ann", &format!("{room}/messages"), aged("b")).await.expect_error(410, "too_old");
    site.post("ann", &format!("{room}/messages"), aged("c")).await.expect(201);
    site.say("ann", &room, "new").await.expect(201);
}

#[tokio::test]
async fn too_many_cursors_are_refused() {
    let site = Site::memory().await;
    let cursor = json!({ "room": RoomId::named("r").to_string(), "seq": 0 });
    let request = json!({ "cursors": vec![cursor; 257] });
    catch_up(&site, "ann", request).await.expect_error(429, "too_many");
    catch_up(&site, "ann", json!({ "cursors": [], "limit": 201 })).await.expect_error(400, "invalid");
    catch_up(&site, "ann", json!({ "limit": 1 })).await.expect_error(400, "invalid");
}
