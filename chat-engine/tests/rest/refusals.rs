//! What is refused, with which status and in which words.

use std::{sync::Arc, time::Duration};

use chat_engine::{
    Chat, Limits, RoomId, Seq,
    chat_core::{LogStore, memory::MemoryStore},
};
use serde_json::json;

use crate::site::{Site, id, key, saying};

const JSON: &str = "x-user: ann\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn the_host_s_rejection_is_the_answer() {
    let site = Site::memory().await;
    for (method, path) in
        [("GET", "/rooms"), ("POST", "/catchup"), ("GET", "/ws"), ("GET", "/rooms/0"), ("PUT", "/rooms")]
    {
        let reply = site.send(method, path, "", None).await;
        assert_eq!((reply.status, reply.body.as_str()), (401, "the host says: sign in at /login"), "{path}");
    }
}

#[tokio::test]
async fn malformed_json_is_refused_without_an_echo() {
    let site = Site::memory().await;
    let room = site.public("ann", "open").await;
    let deep = format!(r#"{{"key":"s3cret","body":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let list = format!(r#"["{}", {{"kind":"text","text":"s3cret"}}]"#, key());
    let bodies = [
        "",
        " ",
        "null",
        "[]",
        "1",
        "\"s3cret\"",
        "{",
        "{s3cret}",
        "{} s3cret",
        r#"{"key":1,"s3cret":2}"#,
        r#"{"key":"s3cret","key":"s3cret"}"#,
        &deep,
        &list,
        "\u{feff}{}",
    ];
    for body in bodies {
        for path in [format!("{room}/messages"), "/rooms".into(), "/catchup".into(), "/direct/bob/messages".into()] {
            let reply = site.send("POST", &path, JSON, Some(body)).await;
            reply.expect_error(400, "invalid");
            assert!(!reply.body.contains("s3cret"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_part_of_a_request_has_its_own_code() {
    let site = Site::memory().await;
    let messages = format!("{}/messages", site.public("ann", "open").await);
    let version_4 = "5f2c1f2e-0d0d-4d0d-8d0d-0d0d0d0d0d0d";
    for (request, name) in [
        (json!({}), "invalid"),
        (json!({ "body": { "kind": "text", "text": "hi" } }), "invalid"),
        (json!({ "key": "", "body": { "kind": "text", "text": "hi" } }), "invalid_key"),
        (json!({ "key": version_4, "body": { "kind": "text", "text": "hi" } }), "invalid_key"),
        (json!({ "key": key() }), "invalid"),
        (json!({ "key": key(), "body": {} }), "invalid_body"),
        (json!({ "key": key(), "body": "hi" }), "invalid_body"),
        (json!({ "key": key(), "body": { "kind": "dance" } }), "invalid_body"),
        (json!({ "key": key(), "body": { "kind": "text" } }), "invalid_body"),
        (json!({ "key": key(), "body": { "kind": "text", "text": "   " } }), "invalid_body"),
        (json!({ "key": key(), "body": { "kind": "text", "text": "x".repeat(4_001) } }), "invalid_body"),
    ] {
        site.post("ann", &messages, request).await.expect_error(400, name);
    }
    site.post("ann", "/rooms", json!({ "key": key() })).await.expect_error(400, "invalid");
    site.post("ann", "/rooms", json!({ "key": key(), "spec": 5 })).await.expect_error(400, "invalid_body");
}

#[tokio::test]
async fn only_json_is_taken() {
    let site = Site::memory().await;
    let room = site.public("ann", "open").await;
    let messages = format!("{room}/messages");
    let body = saying("hello").to_string();
    let (join, leave) = (format!("{room}/join"), format!("{room}/leave"));
    for path in [&messages, &join, &leave, "/rooms", "/direct/bob/messages", "/catchup"] {
        for content_type in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"]
        {
            let headers = format!("x-user: ann\r\n{content_type}");
            site.send("POST", path, &headers, Some(&body)).await.expect_error(415, "invalid");
        }
    }
    let headers = "x-user: ann\r\ncontent-type: Application/JSON; charset=utf-8\r\n";
    site.send("POST", &messages, headers, Some(&body)).await.expect(201);
}

#[tokio::test]
async fn a_body_larger_than_a_frame_is_refused() {
    let site = Site::memory().await;
    let messages = format!("{}/messages", site.public("ann", "open").await);
    let padded = |bytes: usize| saying("hi").to_string() + &" ".repeat(bytes);
    site.send("POST", &messages, JSON, Some(&padded(64 * 1024))).await.expect_error(413, "invalid");
    site.send("POST", &messages, JSON, Some(&padded(63 * 1024))).await.expect(201);
}

#[tokio::test]
async fn a_wrong_verb_is_told_the_right_ones() {
    let site = Site::memory().await;
    for (method, path, allowed) in [
        ("DELETE", "/rooms", "GET,HEAD,POST"),
        ("PUT", "/catchup", "POST"),
        ("POST", "/ws", "GET,HEAD"),
        ("POST", "/client.js", "GET,HEAD"),
        ("GET", "/direct/bob/messages", "POST"),
    ] {
        let reply = site.ask("ann", method, path, None).await;
        reply.expect_error(405, "invalid");
        assert_eq!(reply.header("allow"), Some(allowed), "{path}");
    }
    assert_eq!(site.get("ann", "/nothing").await.status, 404);
}

#[tokio::test]
async fn a_condition_that_cannot_be_checked_is_refused() {
    let site = Site::memory().await;
    let room = site.public("ann", "open").await;
    let headers = format!("{JSON}if-match: \"5\"\r\n");
    let said = saying("only if nobody was faster").to_string();
    site.send("POST", &format!("{room}/messages"), &headers, Some(&said)).await.expect_error(412, "invalid");
    assert_eq!(site.get("ann", &format!("{room}/messages")).await.expect(200)["entries"], json!([]));
}

#[tokio::test]
async fn what_is_no_id_is_not_found_like_what_does_not_exist() {
    let site = Site::memory().await;
    let unknown = site.get("ann", &format!("/rooms/{}", RoomId::named("nowhere"))).await.expect_error(404, "not_found");
    let long = "9".repeat(4096);
    for bad in ["0", "-1", "%2e%2e", "%00", "%ff", "room%0d%0a", "%7B%22$gt%22%3A%22%22%7D", &long] {
        for path in [format!("/rooms/{bad}"), format!("/rooms/{bad}/messages"), format!("/rooms/{bad}/members")] {
            let error = site.get("ann", &path).await.expect_error(404, "not_found");
            assert_eq!(error, unknown, "{path}");
        }
        site.post("ann", &format!("/rooms/{bad}/join"), json!({ "key": key() })).await.expect_error(404, "not_found");
    }
    for bad in ["%00", "%ff", "e%CC%81", &"x".repeat(129)] {
        site.post("ann", &format!("/direct/{bad}/messages"), saying("hi")).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn a_query_is_read_strictly() {
    let site = Site::memory().await;
    let room = site.public("ann", "open").await;
    for query in [
        "limit=0",
        "limit=201",
        "limit=1000000000",
        "limit=-1",
        "limit=",
        "limit=5&limit=5",
        "before=1&after=2",
        "offset=-1",
        "filter[$ne]=",
        "before=x",
        "token=s3cret",
    ] {
        let reply = site.get("ann", &format!("{room}/messages?{query}")).await;
        reply.expect_error(400, "invalid");
        assert!(!reply.body.contains("s3cret"));
    }
    for path in ["/rooms?which=all", "/rooms?after=1", &format!("{room}/members?after_user=%00")] {
        site.get("ann", path).await.expect_error(400, "invalid");
    }
}

#[tokio::test]
async fn who_is_too_fast_is_told_how_long_to_wait() {
    let mut limits = Limits::default();
    (limits.sends_per_second, limits.sends_burst) = (1, 2);
    let site = Site::of(Chat::builder().limits(limits), None).await;
    let room = site.public("ann", "open").await;
    let mut replies = Vec::new();
    for _ in 0..4 {
        replies.push(site.say("ann", &room, "again").await);
    }
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    let error = refused.expect_error(429, "rate_limited");
    assert!(error["retry_after_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_node_that_goes_away_says_so() {
    let site = Site::memory().await;
    let room = site.public("ann", "open").await;
    site.chat.drain(Duration::from_secs(1)).await;
    site.say("ann", &room, "too late").await.expect_error(503, "draining");
}

#[tokio::test]
async fn a_key_older_than_what_is_kept_is_gone() {
    let store = Arc::new(MemoryStore::new());
    let site = Site::of(Chat::builder().store(store.clone()), None).await;
    let room = site.public("ann", "open").await;
    let old = saying("lost");
    for text in ["a", "b", "c"] {
        // The key's time is in ms: the old one must be older than what is trimmed.
        tokio::time::sleep(Duration::from_millis(2)).await;
        site.say("ann", &room, text).await.expect(201);
    }
    store.trim(id(&room), Seq::new(3).unwrap()).await.unwrap();
    site.post("ann", &format!("{room}/messages"), old).await.expect_error(410, "too_old");
}
