//! Posting and reading back.

use std::time::Duration;

use chat_engine::{BotRunner, Chat, CommandError, Invocation, Reply, RoomId, UserId};
use serde_json::{Value, json};

use crate::{
    on_every_store,
    site::{Site, id, key, saying},
};

on_every_store!(
    a_message_is_stored_once_however_often_it_is_sent,
    another_body_under_the_same_key_conflicts,
    history_comes_oldest_first_and_pages_both_ways,
    edits_reactions_and_deletes_are_posted_like_messages,
    the_texts_that_a_message_had_are_read_until_it_is_deleted,
    the_first_message_to_a_person_creates_their_room,
    an_application_s_own_kind_comes_back_untouched,
);

async fn a_message_is_stored_once_however_often_it_is_sent(site: Site) {
    let room = site.public("ann", "open").await;
    let message = saying("hello");
    let first = site.post("ann", &format!("{room}/messages"), message.clone()).await.expect(201);
    assert_eq!(first["seq"], 2);
    assert_eq!(first["room"], id(&room).to_string());
    assert_eq!(first["key"], message["key"]);
    let again = site.post("ann", &format!("{room}/messages"), message).await.expect(201);
    assert_eq!(first, again);
    let history = site.get("ann", &format!("{room}/messages")).await.expect(200);
    assert_eq!(texts(&history), ["hello"]);
    assert_eq!(history["entries"][0]["id"], first["id"]);
    assert_eq!(history["entries"][0]["name"], "ANN");
}

async fn another_body_under_the_same_key_conflicts(site: Site) {
    let room = site.public("ann", "open").await;
    let mut message = saying("hello");
    site.post("ann", &format!("{room}/messages"), message.clone()).await.expect(201);
    message["body"]["text"] = "goodbye".into();
    site.post("ann", &format!("{room}/messages"), message).await.expect_error(409, "conflict");
}

async fn history_comes_oldest_first_and_pages_both_ways(site: Site) {
    let room = site.public("ann", "open").await;
    for number in 2..=6 {
        site.say("ann", &room, &number.to_string()).await.expect(201);
    }
    for (query, expected) in [
        ("", vec!["2", "3", "4", "5", "6"]),
        ("?limit=2", vec!["5", "6"]),
        ("?limit=2&before=5", vec!["3", "4"]),
        ("?limit=2&after=3", vec!["4", "5"]),
        ("?after=6", vec![]),
        ("?before=0", vec![]),
    ] {
        let page = site.get("ann", &format!("{room}/messages{query}")).await.expect(200);
        assert_eq!(texts(&page), expected, "{query}");
    }
    site.get("bob", &format!("{room}/messages")).await.expect_error(403, "denied");
}

async fn edits_reactions_and_deletes_are_posted_like_messages(site: Site) {
    let room = site.public("ann", "open").await;
    site.join("bob", &room).await;
    let (kept, gone) = (3, 4);
    site.say("ann", &room, "helo").await.expect(201);
    site.say("ann", &room, "oops").await.expect(201);
    let post = async |user: &str, body: Value| {
        site.post(user, &format!("{room}/messages"), json!({ "key": key(), "body": body })).await
    };
    post("ann", json!({ "kind": "edit", "target": kept, "text": "hello" })).await.expect(201);
    post("bob", json!({ "kind": "react", "target": kept, "emoji": "👍" })).await.expect(201);
    post("ann", json!({ "kind": "delete", "target": gone })).await.expect(201);
    post("bob", json!({ "kind": "edit", "target": kept, "text": "mine" })).await.expect_error(403, "denied");
    let history = site.get("bob", &format!("{room}/messages")).await.expect(200);
    assert_eq!(texts(&history), ["hello", ""]);
    assert_eq!(history["entries"][0]["folded"]["reactions"][0]["users"], json!(["bob"]));
    assert_eq!(history["entries"][1]["folded"]["deleted"], true);
}

async fn the_texts_that_a_message_had_are_read_until_it_is_deleted(site: Site) {
    let room = site.public("ann", "open").await;
    site.say("ann", &room, "helo").await.expect(201);
    let edit = json!({ "key": key(), "body": { "kind": "edit", "target": 2, "text": "hello" } });
    site.post("ann", &format!("{room}/messages"), edit).await.expect(201);
    let edits = format!("{room}/messages/2/edits");
    let found = site.get("ann", &edits).await.expect(200);
    let texts = found["texts"].as_array().unwrap();
    let told: Vec<_> = texts.iter().map(|it| (it["seq"].as_u64(), it["text"].as_str(), it["name"].as_str())).collect();
    assert_eq!(told, [(Some(2), Some("helo"), Some("ANN")), (Some(3), Some("hello"), Some("ANN"))]);
    site.get("bob", &edits).await.expect_error(403, "denied");
    for none in ["1", "3", "99", "0", "x", "9007199254740992"] {
        site.get("ann", &format!("{room}/messages/{none}/edits")).await.expect_error(404, "not_found");
    }
    let delete = json!({ "key": key(), "body": { "kind": "delete", "target": 2 } });
    site.post("ann", &format!("{room}/messages"), delete).await.expect(201);
    assert_eq!(site.get("ann", &edits).await.expect(200)["texts"], json!([]));
}

async fn the_first_message_to_a_person_creates_their_room(site: Site) {
    let direct = RoomId::direct(&UserId::new("ann").unwrap(), &UserId::new("bob smith").unwrap());
    let sent = site.post("ann", "/direct/bob%20smith/messages", saying("psst")).await.expect(201);
    assert_eq!(sent["room"], direct.to_string());
    let rooms = site.get("bob smith", "/rooms").await.expect(200);
    assert_eq!(rooms["rooms"][0]["room"], direct.to_string());
    assert_eq!(rooms["rooms"][0]["unread"], 1);
    assert_eq!(rooms["rooms"][0]["with"], json!({ "user": "ann", "name": "ANN" }));
    let history = site.get("bob smith", &format!("/rooms/{direct}/messages")).await.expect(200);
    assert_eq!(texts(&history), ["psst"]);
    site.get("eve", &format!("/rooms/{direct}/messages")).await.expect_error(404, "not_found");
}

async fn an_application_s_own_kind_comes_back_untouched(site: Site) {
    let room = site.public("ann", "open").await;
    let body = json!({ "kind": "shop.order", "text": "an order", "data": { "number": 4711, "tags": ["a", null] } });
    let request = json!({ "key": key(), "body": body });
    site.post("ann", &format!("{room}/messages"), request).await.expect(201);
    let history = site.get("ann", &format!("{room}/messages")).await.expect(200);
    assert_eq!(history["entries"][0]["body"], body);
}

#[tokio::test]
async fn a_command_is_accepted_and_not_stored() {
    async fn roll(_: Invocation) -> Result<Reply, CommandError> {
        Ok(Reply::Nothing)
    }
    let site = Site::of(Chat::builder().command("roll", "rolls a die", roll), None).await;
    let room = site.public("ann", "open").await;
    let message = saying("/roll");
    let accepted = site.post("ann", &format!("{room}/messages"), message.clone()).await.expect(202);
    assert_eq!(accepted["key"], message["key"]);
    site.say("ann", &room, "/rol").await.expect_error(400, "unknown_command");
    let history = site.get("ann", &format!("{room}/messages")).await.expect(200);
    assert!(texts(&history).is_empty());
}

#[tokio::test]
async fn a_worker_on_the_queue_answers_a_remote_command() {
    let site = Site::of(Chat::builder().queue("memory:").remote_command("echo", "says it again"), None).await;
    let echo = |call: Invocation| async move { Ok(Reply::Say(call.args.join(" "))) };
    let worker = BotRunner::new(site.chat.queue().unwrap().clone()).command("echo", echo);
    let worker = tokio::spawn(worker.run(std::future::pending()));
    let room = site.public("ann", "open").await;
    site.say("ann", &room, "/echo=hello").await.expect(202);
    let answered = async {
        loop {
            let history = site.get("ann", &format!("{room}/messages")).await.expect(200);
            if texts(&history) == ["hello"] {
                return history["entries"][0]["author"].clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), answered).await.unwrap(), "bot:echo");
    worker.abort();
}

fn texts(history: &Value) -> Vec<&str> {
    history["entries"].as_array().unwrap().iter().map(|entry| entry["body"]["text"].as_str().unwrap()).collect()
}
