//! Rooms, and messages of others.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    case::Case,
    raw::{TEXT, frame},
    server::key,
    socket::Socket,
    talk::{asks, asks_each, asks_made, posts_each, send},
};

cases! { ROWS, shared;
    "J14.unknown" j14_unknown_room: "a room that does not exist, in every request" => "error not_found",
        in_room("11111111-1111-8111-8111-111111111111");
    "J14.secret" j14_secret_room: "a private room of others, in every request" => "error not_found", in_room("SECRET");
    "J14.public" j14_public_room: "a public room without being a member, in every request" => "error denied", in_room("PUBLIC");
    "J14.path" j14_no_room_at_all: "`../x`, `%00`, CRLF, `' OR 1=1 --` as the room" => "error invalid",
        no_room(&[json!("../x"), json!("%00"), json!("\0"), json!("room\r\n"), json!("' OR 1=1 --"), json!("")]);
    "J14.object" j14_operators: "`{\"$gt\":\"\"}`, an array or a number as the room" => "error invalid",
        no_room(&[json!({ "$gt": "" }), json!(["a"]), json!(7), json!(true)]);
    "J14.long" j14_long_room: "a room of 60,000 bytes" => "error invalid", no_room(&[json!("x".repeat(60_000))]);
    "J14.longer" j14_longer_room: "a room of 1 MiB" => "close 1009",
        asks_made(|| format!(r#"{{"type":"history","ref":7,"room":"{}"}}"#, "x".repeat(1024 * 1024)));
    "J14.nobody" j14_message_to_nobody: "a private message to a name that nobody has, or has in other letters" => "error not_found",
        asks_each(&[
            r#"{"type":"send","ref":7,"to":"nobody","key":"KEY","body":{"kind":"text","text":"x"}}"#,
            r#"{"type":"send","ref":7,"to":"STRANGER","key":"KEY","body":{"kind":"text","text":"x"}}"#,
        ]);
    "J14.user" j14_no_user: "what is no user's name as the receiver" => "error invalid",
        asks_each(&[
            r#"{"type":"send","ref":7,"to":"","key":"KEY","body":{"kind":"text","text":"x"}}"#,
            r#"{"type":"send","ref":7,"to":"a\u0000b","key":"KEY","body":{"kind":"text","text":"x"}}"#,
            r#"{"type":"send","ref":7,"to":{"$ne":1},"key":"KEY","body":{"kind":"text","text":"x"}}"#,
            r#"{"type":"send","ref":7,"room":"ROOM","to":"ann","key":"KEY","body":{"kind":"text","text":"x"}}"#,
        ]);
    "J16" j16_257th_room: "the room beyond the 256 that a connection follows" => "error too_many", too_many_rooms;
    "J19" j19_typing_elsewhere: "typing in a private room of others" => "error not_found",
        asks(r#"{"type":"signal","ref":7,"room":"SECRET","signal":"typing"}"#);
    "J19.public" j19_typing_in_public: "typing in a public room without being a member" => "error denied",
        asks(r#"{"type":"signal","ref":7,"room":"PUBLIC","signal":"typing"}"#);
    "J19.flood" j19_typing_flood: "typing 50 times at once" => "heard once", typing;
    "J19.kind" j19_unknown_signal: "signals of kinds that are not known" => "error invalid",
        asks_each(&[
            r#"{"type":"signal","ref":7,"room":"ROOM","signal":"presence"}"#,
            r#"{"type":"signal","ref":7,"room":"ROOM","signal":""}"#,
            r#"{"type":"signal","ref":7,"room":"ROOM","signal":"read"}"#,
        ]);
    "J24" j24_presence_elsewhere: "who is online in a private room of others" => "error not_found",
        asks(r#"{"type":"members","ref":7,"room":"SECRET"}"#);
    "J24.public" j24_presence_in_public: "who is online in a public room without being a member" => "error denied",
        asks(r#"{"type":"members","ref":7,"room":"PUBLIC"}"#);
    "J20.edit" j20_edit_of_anothers: "an edit, a delete of somebody else's message" => "error denied",
        in_public(&[json!({ "kind": "edit", "target": 2, "text": "x" }), json!({ "kind": "delete", "target": 2 })]);
    "J20.nothing" j20_edit_of_nothing: "an edit, a delete, a reaction to a position that is not there" => "error not_found",
        in_public(&[
            json!({ "kind": "edit", "target": 1_000, "text": "x" }),
            json!({ "kind": "delete", "target": 1_000 }),
            json!({ "kind": "react", "target": 1_000, "emoji": "👍", "on": true }),
        ]);
    "J20.entry" j20_edit_of_no_message: "an edit, a delete of what is no message" => "error not_found",
        in_public(&[json!({ "kind": "edit", "target": 1, "text": "x" }), json!({ "kind": "delete", "target": 1 })]);
    "J20.react" j20_reaction_to_no_message: "a reaction to what is no message" => "error denied",
        in_public(&[json!({ "kind": "react", "target": 1, "emoji": "👍", "on": true })]);
    "J20.long" j20_long_reaction: "a reaction of nothing, of 33 bytes, of control characters" => "error invalid_body",
        posts_each(&[
            json!({ "kind": "react", "target": 1, "emoji": "", "on": true }),
            json!({ "kind": "react", "target": 1, "emoji": "x".repeat(33), "on": true }),
            json!({ "kind": "react", "target": 1, "emoji": "\u{1b}", "on": true }),
        ]);
    "J20.deleted" j20_edit_of_deleted: "an edit of one's own deleted message" => "ack, and it stays blank", edit_deleted;
    "J20.reply" j20_reply_to_nothing: "an answer to a position that is not there: only a reference" => "ack",
        posts_each(&[json!({ "kind": "text", "text": "x", "reply_to": 1_000 })]);
    "J20.member" j20_members_of_others: "removing, or promoting, in a room of others" => "error denied",
        in_public(&[
            json!({ "kind": "member", "change": "leave", "user": "stranger" }),
            json!({ "kind": "member", "change": "role", "role": "owner", "user": "stranger" }),
            json!({ "kind": "room", "change": "set", "title": "mine now" }),
        ]);
}

/// Asks everything that can be asked of a room.
fn in_room(room: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let user = case.user.clone();
        let mut texts: Vec<_> = ["members", "history", "follow"]
            .iter()
            .map(|kind| format!(r#"{{"type":"{kind}","ref":7,"room":"{room}"}}"#))
            .collect();
        for signal in [r#""typing""#, r#""read","seq":1"#, r#""shop.cursor","data":{}"#] {
            texts.push(format!(r#"{{"type":"signal","ref":7,"room":"{room}","signal":{signal}}}"#));
        }
        for body in [
            json!({ "kind": "text", "text": "x" }),
            json!({ "kind": "text", "text": "/stock=aapl" }),
            json!({ "kind": "edit", "target": 2, "text": "x" }),
            json!({ "kind": "delete", "target": 2 }),
            json!({ "kind": "react", "target": 2, "emoji": "x", "on": true }),
            json!({ "kind": "member", "change": "leave", "user": "stranger" }),
            json!({ "kind": "member", "change": "role", "role": "owner", "user": user }),
            json!({ "kind": "room", "change": "set", "title": "x" }),
        ] {
            texts.push(format!(r#"{{"type":"send","ref":7,"room":"{room}","key":"KEY","body":{body}}}"#));
        }
        asks_each(&texts.iter().map(String::as_str).collect::<Vec<_>>())(case).await
    }
}

/// Sends what is no room's id where one is expected.
fn no_room(rooms: &[Value]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let texts: Vec<_> = rooms.iter().map(|room| format!(r#"{{"type":"history","ref":7,"room":{room}}}"#)).collect();
        asks_each(&texts.iter().map(String::as_str).collect::<Vec<_>>())(case).await
    }
}

/// Becomes a member of the public room of others, and posts these bodies there.
fn in_public(bodies: &[Value]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        case.site.join(&case.token, &case.stranger.public).await;
        let texts: Vec<_> = bodies
            .iter()
            .map(|body| format!(r#"{{"type":"send","ref":7,"room":"PUBLIC","key":"KEY","body":{body}}}"#))
            .collect();
        asks_each(&texts.iter().map(String::as_str).collect::<Vec<_>>())(case).await
    }
}

async fn edit_deleted(case: &mut Case) -> String {
    let mut raw = case.greeted().await;
    for body in [json!({ "kind": "text", "text": "x" }), json!({ "kind": "delete", "target": 2 })] {
        assert_eq!(case.answer(&mut raw, &send(&body)).await, "ack");
    }
    let answer = case.answer(&mut raw, &send(&json!({ "kind": "edit", "target": 2, "text": "back again" }))).await;
    let shown = case.site.get_as(&case.token, &format!("/chat/rooms/{}/messages", case.room)).await.text;
    let cursors = json!({ "cursors": [{ "room": case.room, "seq": 0 }] });
    let logged = case.site.post_as(&case.token, "/chat/catchup", cursors).await;
    assert_eq!(logged.status, 200, "{logged:?}");
    let is_back = (shown + &logged.text).contains("back again");
    format!("{answer}, and it {}", if is_back { "is back" } else { "stays blank" })
}

async fn typing(case: &mut Case) -> String {
    case.site.join(&case.stranger.token, &case.room).await;
    case.stores(1);
    let mut listens = Socket::over(case.tcp().await, &case.site, &case.stranger.token).await;
    listens.hear_followed(&case.room).await;
    let mut raw = case.greeted().await;
    let text = case.fill(r#"{"type":"signal","ref":7,"room":"ROOM","signal":"typing"}"#);
    raw.send(&frame(TEXT, text.as_bytes()).repeat(50)).await;
    case.answer(&mut raw, &send(&json!({ "kind": "text", "text": "done" }))).await;
    let mut heard = 0;
    loop {
        let frame = listens.hear_any("typing").await;
        heard += usize::from(frame["kind"] == "typing" && frame["on"] == true);
        if frame["body"]["text"] == "done" {
            break;
        }
    }
    if heard == 1 { "heard once".into() } else { format!("heard {heard} times") }
}

/// Becomes a member of 280 rooms, which others make, since one alone may not make so many at once.
async fn too_many_rooms(case: &mut Case) -> String {
    let spec = json!({ "title": "one of many", "members": [case.user] });
    for friend in 0..14 {
        let token = case.site.token_of_new(&format!("{}-friend-{friend}", case.user)).await;
        for _ in 0..20 {
            let made = case.site.post_as(&token, "/chat/rooms", json!({ "key": key(), "spec": spec })).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
    }
    case.measure.restart(); // what people do is no attack
    case.takes(Duration::from_millis(400));
    case.may_hold(2 * 1024 * 1024); // 256 rooms that are followed
    // The case's own room is the one without activity for longest.
    asks(r#"{"type":"follow","ref":7,"room":"ROOM"}"#)(case).await
}
