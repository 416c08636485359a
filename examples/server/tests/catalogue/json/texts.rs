//! Texts and other bodies.

use serde_json::json;

use crate::{
    case::Case,
    talk::{asks, asks_each, asks_made, posts_each, says_each, send},
};

cases! { ROWS, shared;
    "J13.empty" j13_empty: "an empty text, only spaces, line breaks" => "error invalid_body", says_each(&["", "   ", "\n\t\n"]);
    "J13.invisible" j13_invisible: "a text of zero-width characters" => "error invalid_body",
        says_each(&["\u{200b}", "\u{2060}\u{feff}", "\u{ad}", "\u{3164}"]);
    "J13.long" j13_too_long: "a text of 4,001 characters" => "error invalid_body", says_each(&[&"ü".repeat(4_001)]);
    "J13.limit" j13_long: "a text of 4,000 characters" => "ack", says_each(&[&"ü".repeat(4_000)]);
    "J13.marks" j13_combining_marks: "60 KiB of combining marks" => "error invalid_body",
        says_each(&[&format!("e{}", "\u{301}".repeat(30_000))]);
    "J13.surrogate" j13_lone_surrogate: "a lone `\\ud800`" => "error invalid_body",
        asks_each(&[
            r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{"kind":"text","text":"\ud800"}}"#,
            r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{"kind":"text","text":"\udc00\ud800 x"}}"#,
        ]);
    "J13.nul" j13_control_characters: "NUL, ESC, DEL and C1 in a text" => "error invalid_body",
        says_each(&["a\0b", "\u{1b}[2J", "a\u{7f}", "a\u{85}b"]);
    "J13.bidi" j13_overrides: "overrides of the reading direction" => "error invalid_body",
        says_each(&["a\u{202e}b", "a\u{202d}b"]);
    "J21" j21_10_000_mentions: "10,000 mentions in `data`" => "error invalid_body",
        asks_made(|| send(&json!({ "kind": "text", "text": "hi", "data": { "mentions": vec![1; 10_000] } })));
    "J21.members" j21_257_first_members: "a room with 257 first members" => "error invalid_body",
        asks_made(|| {
            let members: Vec<_> = (0..257).map(|n| format!("user-{n}")).collect();
            format!(r#"{{"type":"create","ref":7,"key":"KEY","spec":{}}}"#, json!({ "members": members }))
        });
    "J22" j22_fields_of_the_server: "`author`, `seq`, `id`, `at` and `bot` beside the body" => "ack, none of them taken",
        forged_fields;
    "J22.kind" j22_kinds_of_the_server: "bodies that only servers write" => "error invalid_body",
        posts_each(&[
            json!({ "kind": "room", "change": "created", "spec": { "title": "mine" } }),
            json!({ "kind": "inbox", "change": "revoked" }),
            json!({ "kind": "inbox", "change": "joined", "room": "33299aa6-6f98-859d-8863-19731fb11c8f" }),
            json!({ "kind": "unheard" }),
        ]);
    "J22.member" j22_reserved_members: "a bot, or the system, as a member" => "error invalid_body",
        posts_each(&[
            json!({ "kind": "member", "change": "join", "user": "bot:stock" }),
            json!({ "kind": "member", "change": "join", "user": "system" }),
        ]);
    "J26" j26_escapes: "a text of 24,006 bytes that are 4,001 characters" => "error invalid_body",
        asks_made(|| escaped(4_001));
    "J26.limit" j26_escapes_that_fit: "a text of 24,000 bytes that are 4,000 characters" => "ack", asks_made(|| escaped(4_000));
    "J26.grows" j26_grows: "`data` of 3.4 KB that is more than 4 KiB when written out" => "error invalid_body",
        asks_made(|| {
            let numbers = vec!["1e15"; 680].join(",");
            format!(r#"{{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{{"kind":"text","text":"x","data":[{numbers}]}}}}"#)
        });
    "J26.data" j26_large_data: "`data` of 4 KiB and one byte" => "error invalid_body",
        asks_made(|| send(&json!({ "kind": "text", "text": "x", "data": "x".repeat(4_095) })));
}

/// A text of so many characters, six bytes each as they are sent.
fn escaped(chars: usize) -> String {
    format!(
        r#"{{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{{"kind":"text","text":"{}"}}}}"#,
        r"\u0041".repeat(chars)
    )
}

async fn forged_fields(case: &mut Case) -> String {
    let mut listens = case.socket().await;
    listens.hear_followed(&case.room).await;
    let forged = r#"{"type":"send","ref":7,"room":"ROOM","key":"KEY","author":"stranger","sender":"stranger","seq":99,
        "id":"33299aa6-6f98-859d-8863-19731fb11c8f","at":1,"bot":true,"kind":"system",
        "body":{"kind":"text","text":"x","author":"stranger","seq":99,"at":1}}"#;
    let answer = asks(forged)(case).await;
    let entry = listens.hear_text().await;
    let is_ours = entry["author"] == *case.user
        && entry["seq"] == 2
        && entry["id"] != "33299aa6-6f98-859d-8863-19731fb11c8f"
        && entry["at"].as_i64() > Some(1_700_000_000_000)
        && entry["body"] == json!({ "kind": "text", "text": "x" });
    if is_ours { format!("{answer}, none of them taken") } else { format!("{answer}, {entry}") }
}
