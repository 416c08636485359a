//! What is no request, and requests at the wrong time.

use std::time::Duration;

use serde_json::json;

use crate::{
    case::{Case, same},
    raw::{TEXT, frame},
    talk::{asks, asks_each, asks_made, send},
};

cases! { ROWS, shared;
    "J1" j01_nothing: "nothing, spaces, a byte order mark" => "error invalid", asks_each(&["", " \n", "\u{feff}{}"]);
    "J2" j02_no_object: "`null`, `[]`, `\"x\"`, `1`, `true`" => "error invalid",
        asks_each(&["null", "[]", "\"x\"", "1", "true"]);
    "J3" j03_deep: "nested 33 deep" => "error invalid",
        asks_made(|| format!(r#"{{"type":"rooms","x":{}{}}}"#, "[".repeat(32), "]".repeat(32)));
    "J3.open" j03_open_brackets: "60,000 open brackets" => "error invalid", asks_made(|| "[".repeat(60_000));
    "J3.objects" j03_open_objects: "12,000 open objects" => "error invalid", asks_made(|| r#"{"a":"#.repeat(12_000));
    "J3.long" j03_100_000_brackets: "100,000 open brackets" => "close 1009", asks_made(|| "[".repeat(100_000));
    "J4" j04_garbage_behind: "an object with garbage, or another object, behind it" => "error invalid",
        asks_each(&[r#"{"type":"rooms"}x"#, r#"{"type":"rooms"}{"type":"rooms"}"#, r#"{"type":"rooms"},"#]);
    "J4.cut" j04_cut_off: "objects that are cut off" => "error invalid",
        asks_each(&["{", r#"{"type"#, r#"{"type":"rooms","#, r#"{"type":"rooms\"#]);
    "J5" j05_no_numbers: "`NaN`, `Infinity`, `1e999`, `-0`, `0x10`, `01` for a number" => "error invalid", numbers;
    "J6" j06_a_field_twice: "`room`, `type` or `key` twice" => "error invalid",
        asks_each(&[
            r#"{"type":"unfollow","ref":7,"room":"ROOM","room":"ROOM"}"#,
            r#"{"type":"rooms","ref":7,"type":"rooms"}"#,
            r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","key":"KEY","body":{"kind":"text","text":"x"}}"#,
        ]);
    "J6.body" j06_a_field_of_a_body_twice: "`text` or `kind` twice in a body" => "error invalid_body",
        asks_each(&[
            r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{"kind":"text","text":"x","text":"y"}}"#,
            r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{"kind":"text","kind":"text","text":"x"}}"#,
        ]);
    "J7.unknown" j07_unknown_type: "an unknown type" => "error unknown_type",
        asks_each(&[r#"{"type":"dance","ref":7}"#, r#"{"type":"","ref":7}"#, r#"{"type":"SEND","ref":7}"#]);
    "J7.missing" j07_no_type: "no type" => "error invalid", asks_each(&["{}", r#"{"ref":7}"#]);
    "J7.object" j07_type_of_another_kind: "an object, a number or `null` as the type" => "error invalid",
        asks_each(&[r#"{"type":{},"ref":7}"#, r#"{"type":7,"ref":7}"#, r#"{"type":null,"ref":7}"#]);
    "J7.server" j07_frames_of_servers: "frames that only servers send" => "error unknown_type",
        asks_each(&[r#"{"type":"entry","ref":7,"room":"ROOM","seq":1}"#, r#"{"type":"welcome","ref":7}"#]);
    "J8" j08_unknown_field: "a field that nobody knows" => "ack, not echoed", unknown_field;
    "J17" j17_1_000_requests: "1,000 requests at once" => "1000 rooms, in order", many_requests;
    "J17.sends" j17_1_000_sends: "1,000 sends at once" => "some ack, error rate_limited", many_sends;
    "J25" j25_twenty_in_a_row: "20 bad requests in a row" => "20 error invalid, close 4020", twenty;
    "J15.before" j15_before_hello: "requests before `hello`" => "error not_greeted", before_hello;
    "J15.again" j15_hello_again: "`hello` again" => "error not_greeted", asks(r#"{"type":"hello","ref":7}"#);
    "J15.twice" j15_follow_twice: "following what is followed" => "error invalid", follow_twice;
    "J15.unfollow" j15_unfollow_nothing: "unfollowing what is not followed" => "error not_found",
        asks(r#"{"type":"unfollow","ref":7,"room":"SECRET"}"#);
    "J15.leave" j15_leave_nothing: "leaving a room without being a member" => "error not_found; error denied", leave_nothing;
    "J18.ahead" j18_read_ahead: "a read mark far above the head" => "ignored, read 1", read_marks(&[1_000_000]);
    "J18.back" j18_read_back: "a read mark that goes back" => "ignored, read 1", read_marks(&[1, 0]);
}

/// Puts what JSON has no number for where one is expected.
async fn numbers(case: &mut Case) -> String {
    let texts: Vec<_> = ["NaN", "Infinity", "-Infinity", "1e999", "-0", "0x10", "01", "+1", "1."]
        .iter()
        .map(|number| format!(r#"{{"type":"rooms","limit":{number}}}"#))
        .collect();
    asks_each(&texts.iter().map(String::as_str).collect::<Vec<_>>())(case).await
}

async fn unknown_field(case: &mut Case) -> String {
    let mut listens = case.socket().await;
    listens.hear_followed(&case.room).await;
    let text = r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","evil":"<here>","body":{"kind":"text","text":"x","evil":"<here>"}}"#;
    let answer = asks(text)(case).await;
    let entry = listens.hear_text().await.to_string();
    let stored = case.site.get_as(&case.token, &format!("/chat/rooms/{}/messages", case.room)).await.text;
    let echo = if entry.contains("evil") || stored.contains("evil") { "echoed" } else { "not echoed" };
    format!("{answer}, {echo}")
}

async fn many_requests(case: &mut Case) -> String {
    case.takes(Duration::from_millis(700)); // a thousand reads of the database
    let mut raw = case.greeted().await;
    let texts: Vec<_> = (1..=1_000).map(|n| format!(r#"{{"type":"rooms","ref":{n},"limit":1}}"#)).collect();
    let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(TEXT, text.as_bytes())).collect();
    raw.send(&bytes).await;
    let (mut heard, mut in_order) = (0, true);
    while heard < 1_000 {
        match raw.hear().await {
            Ok(answer) if answer["type"] == "rooms" => {
                heard += 1;
                in_order &= answer["ref"] == heard;
            }
            Ok(_) => {}
            Err(end) => return end,
        }
    }
    format!("{heard} rooms, {}", if in_order { "in order" } else { "in disorder" })
}

async fn many_sends(case: &mut Case) -> String {
    case.takes(Duration::from_millis(500)); // a thousand requests are read and answered
    let mut raw = case.greeted().await;
    let text = send(&json!({ "kind": "text", "text": "x" }));
    let bytes: Vec<u8> = (0..1_000).flat_map(|_| frame(TEXT, case.fill(&text).as_bytes())).collect();
    raw.send(&bytes).await;
    let (mut stored, mut refused) = (0, 0);
    while stored + refused < 1_000 {
        match raw.hear().await {
            Ok(answer) if answer["type"] == "ack" => stored += 1,
            // After the first refusal the rest waits for it to come again.
            Ok(answer) if answer["name"] == "rate_limited" || answer["name"] == "behind" => refused += 1,
            Ok(answer) if answer["type"] == "error" => return answer.to_string(),
            Ok(_) => {}
            Err(end) => return end,
        }
    }
    case.stores(stored);
    if (1..100).contains(&stored) { "some ack, error rate_limited".into() } else { format!("{stored} ack") }
}

async fn twenty(case: &mut Case) -> String {
    let mut raw = case.greeted().await;
    let (mut errors, mut end) = (0, None);
    raw.send(&frame(TEXT, b"?").repeat(25)).await;
    while end.is_none() {
        match raw.hear().await {
            Ok(answer) if answer["name"] == "invalid" => errors += 1,
            Ok(_) => {}
            Err(how) => end = Some(how),
        }
    }
    format!("{errors} error invalid, {}", end.unwrap_or_default())
}

async fn before_hello(case: &mut Case) -> String {
    let mut raw = case.shaken().await;
    let mut answers = Vec::new();
    for text in [
        r#"{"type":"rooms","ref":7}"#,
        r#"{"type":"history","ref":7,"room":"ROOM"}"#,
        r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{"kind":"text","text":"x"}}"#,
        r#"{"type":"refresh","ref":7,"token":"x"}"#,
    ] {
        raw.say(&case.fill(text)).await;
        answers.push(match raw.hear().await {
            Ok(answer) => format!("{} {}", answer["type"].as_str().unwrap(), answer["name"].as_str().unwrap_or("")),
            Err(end) => end,
        });
    }
    same(answers)
}

async fn follow_twice(case: &mut Case) -> String {
    let mut raw = case.followed().await;
    case.answer(&mut raw, r#"{"type":"follow","ref":7,"room":"ROOM"}"#).await
}

async fn leave_nothing(case: &mut Case) -> String {
    let leave = |room| {
        format!(
            r#"{{"type":"send","ref":7,"room":"{room}","key":"KEY","body":{{"kind":"member","change":"leave","user":"{}"}}}}"#,
            case.user
        )
    };
    let texts = [leave("SECRET"), leave("PUBLIC")];
    asks_each(&texts.each_ref().map(String::as_str))(case).await
}

/// Sets these marks, and asks where the mark is.
fn read_marks(seqs: &[u64]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let mut raw = case.greeted().await;
        let mut answers = Vec::new();
        for seq in seqs {
            let text = format!(r#"{{"type":"signal","ref":7,"room":"ROOM","signal":"read","seq":{seq}}}"#);
            answers.push(case.answer(&mut raw, &text).await);
        }
        let read = case.summary().await["read"].clone();
        format!("{}, read {read}", same(answers))
    }
}
