//! Numbers, cursors and keys.

use serde_json::json;

use crate::{
    case::{Case, same},
    raw::Raw,
    server::key,
    talk::{asks, asks_each},
};

cases! { ROWS, shared;
    "J9.cursor" j09_cursor: "-1, 1.5, \"5\", 2^53 and 2^64 as the `seq` of a cursor" => "error invalid",
        each_number(r#"{"type":"follow","ref":7,"room":"ROOM","cursor":{"seq":NUMBER}}"#);
    "J9.read" j09_read_mark: "the same as a read mark" => "error invalid",
        each_number(r#"{"type":"signal","ref":7,"room":"ROOM","signal":"read","seq":NUMBER}"#);
    "J9.target" j09_target: "the same as the target of an edit" => "error invalid_body",
        each_number(r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{"kind":"edit","text":"x","target":NUMBER}}"#);
    "J9.page" j09_page: "-1, 1.5, \"5\" and 2^64 as the place of a page" => "error invalid", pages(&["-1", "1.5", "\"5\"", "18446744073709551616"]);
    "J9.beyond" j09_beyond: "2^53, 2^63 and 2^64 - 1 as the place of a page: beyond all there is" => "0 after, 1 before", pages_beyond;
    "J9.ref" j09_reference: "-1, 1.5, \"5\" and 2^64 as the `ref`" => "error invalid, without a ref", references;
    "J10" j10_cursor_above_the_head: "a cursor above the head" => "reset, followed at 1", cursor("1000000");
    "J11" j11_cursor_with_a_wrong_id: "a cursor with the right position and a wrong id" => "reset, followed at 1", cursor("1");
    "J10.hello" j10_cursors_in_hello: "the same in `hello`" => "reset, followed at 1", cursor_in_hello;
    "J12" j12_bad_keys: "no UUID, a UUID of version 4, NUL, nothing at all as the key" => "error invalid_key", keys;
    "J12.type" j12_key_of_another_kind: "a number, or no key" => "error invalid",
        asks_each(&[
            r#"{"type":"send","ref":7,"room":"ROOM","key":7,"body":{"kind":"text","text":"x"}}"#,
            r#"{"type":"send","ref":7,"room":"ROOM","body":{"kind":"text","text":"x"}}"#,
        ]);
    "J12.future" j12_key_of_the_future: "a key of the year 10889" => "error invalid_key",
        asks(r#"{"type":"send","ref":7,"room":"ROOM","key":"ffffffff-ffff-7fff-bfff-ffffffffffff","body":{"kind":"text","text":"x"}}"#);
    "J12.again" j12_key_with_another_text: "a key again, with another text" => "ack, error conflict", key_again;
    "J12.foreign" j12_key_of_another_user: "the key of somebody else's message" => "ack", foreign_key;
    "J23" j23_limits: "the limits 0, -1, 201 and 10^9" => "error invalid",
        asks_each(&[
            r#"{"type":"history","ref":7,"room":"ROOM","limit":0}"#,
            r#"{"type":"history","ref":7,"room":"ROOM","limit":-1}"#,
            r#"{"type":"members","ref":7,"room":"ROOM","limit":201}"#,
            r#"{"type":"rooms","ref":7,"limit":1000000000}"#,
        ]);
    "J23.both" j23_before_and_after: "`before` and `after` together" => "error invalid",
        asks(r#"{"type":"history","ref":7,"room":"ROOM","before":5,"after":1}"#);
}

fn each_number(text: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let numbers = ["-1", "1.5", "\"5\"", "9007199254740992", "18446744073709551616"];
        let texts = numbers.map(|number| text.replace("NUMBER", number));
        asks_each(&texts.each_ref().map(String::as_str))(case).await
    }
}

/// Asks for the page before and the one after each of these.
fn pages(numbers: &[&str]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let page = |side, number| format!(r#"{{"type":"history","ref":7,"room":"ROOM","{side}":{number}}}"#);
        let texts: Vec<_> =
            numbers.iter().flat_map(|number| ["before", "after"].map(|side| page(side, number))).collect();
        asks_each(&texts.iter().map(String::as_str).collect::<Vec<_>>())(case).await
    }
}

/// What is beyond every position must not come round to the first one.
async fn pages_beyond(case: &mut Case) -> String {
    let mut raw = case.greeted().await;
    case.answer(&mut raw, &text_under(&key(), "the only message")).await;
    let mut counts = Vec::new();
    for number in ["9007199254740992", "9223372036854775808", "18446744073709551615"] {
        let mut count = [0; 2];
        for (side, count) in ["after", "before"].iter().zip(&mut count) {
            raw.say(&case.fill(&format!(r#"{{"type":"history","ref":7,"room":"ROOM","{side}":{number}}}"#))).await;
            let answer = raw.hear_answer(7).await;
            *count = answer["entries"].as_array().map_or(99, Vec::len);
        }
        counts.push(format!("{} after, {} before", count[0], count[1]));
    }
    same(counts)
}

async fn references(case: &mut Case) -> String {
    let mut raw = case.greeted().await;
    let mut answers = Vec::new();
    for reference in ["-1", "1.5", "\"5\"", "18446744073709551616"] {
        raw.say(&format!(r#"{{"type":"rooms","ref":{reference}}}"#)).await;
        let error = raw.hear_type("error").await;
        let under = if error["ref"].is_null() { "without a ref" } else { "under a ref" };
        answers.push(format!("error {}, {under}", error["name"].as_str().unwrap()));
    }
    same(answers)
}

/// Follows the case's room from a cursor that is not of its log.
fn cursor(seq: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let mut raw = case.followed().await;
        case.answer(&mut raw, r#"{"type":"unfollow","ref":7,"room":"ROOM"}"#).await;
        raw.say(
            &case.fill(&format!(r#"{{"type":"follow","ref":7,"room":"ROOM","cursor":{{"seq":{seq},"id":"KEY"}}}}"#)),
        )
        .await;
        reset_and_followed(case, &mut raw).await
    }
}

async fn cursor_in_hello(case: &mut Case) -> String {
    let mut raw = case.shaken().await;
    raw.say(&case.fill(r#"{"type":"hello","ref":7,"cursors":[{"room":"ROOM","seq":1000000,"id":"KEY"}]}"#)).await;
    reset_and_followed(case, &mut raw).await
}

async fn reset_and_followed(case: &Case, raw: &mut Raw) -> String {
    let mut words = Vec::new();
    while words.len() < 2 {
        match raw.hear().await {
            Ok(frame) if frame["room"] == *case.room => words.push(match frame["type"].as_str() {
                Some("followed") => format!("followed at {}", frame["seq"]),
                other => other.unwrap_or_default().to_owned(),
            }),
            Ok(_) => {}
            Err(end) => words.push(end),
        }
    }
    words.join(", ")
}

async fn keys(case: &mut Case) -> String {
    let keys = [
        "",
        "7",
        "no-uuid",
        "01932f5c-8a6b-7f20-8c5d-3e9b1a7d4f0",
        "8c5d3e9b-1a7d-4f02-8a6b-7f2001932f5c", // version 4
        "01932f5c-8a6b-7f20-cc5d-3e9b1a7d4f02", // another variant
        "00000000-0000-0000-0000-000000000000",
        "\\u0000",
        "01932f5c-8a6b-7f20-8c5d-3e9b1a7d4f02\\u0000",
    ];
    let texts = keys.map(|key| {
        format!(r#"{{"type":"send","ref":7,"room":"ROOM","key":"{key}","body":{{"kind":"text","text":"x"}}}}"#)
    });
    asks_each(&texts.each_ref().map(String::as_str))(case).await
}

fn text_under(key: &str, text: &str) -> String {
    format!(r#"{{"type":"send","ref":7,"room":"ROOM","key":"{key}","body":{{"kind":"text","text":"{text}"}}}}"#)
}

async fn key_again(case: &mut Case) -> String {
    let mut raw = case.greeted().await;
    let key = key();
    let first = case.answer(&mut raw, &text_under(&key, "one")).await;
    format!("{first}, {}", case.answer(&mut raw, &text_under(&key, "two")).await)
}

/// A key belongs to its author: somebody else's is as good as a new one.
async fn foreign_key(case: &mut Case) -> String {
    let path = format!("/chat/rooms/{}/messages", case.stranger.public);
    let key = key();
    let message = json!({ "key": key, "body": { "kind": "text", "text": "theirs" } });
    let stored = case.site.post_as(&case.stranger.token, &path, message).await;
    assert_eq!(stored.status, 201, "{stored:?}");
    asks(&text_under(&key, "ours"))(case).await
}
