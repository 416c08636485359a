//! What is written is read back as it was, and what nobody wrote is refused without a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use chat_core::{
    Body, Cursor, Draft, Entry, EntryId, Key, Role, RoomId, RoomSpec, Seq, Text, Timestamp, UserId,
    model::{Edit, Erase, MemberChange, Membership, NewEntry, Notice, React, RoomChange},
    protocol::{Request, Target, decode},
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn seq() -> impl Strategy<Value = Seq> {
    (0..=Seq::MAX.get()).prop_map(|number| Seq::new(number).unwrap())
}

fn user() -> impl Strategy<Value = UserId> {
    "[a-zA-Z0-9 @._-]{1,128}".prop_map(|name| UserId::new(name).unwrap())
}

fn room() -> impl Strategy<Value = RoomId> {
    any::<[u8; 16]>().prop_map(RoomId::from_bytes)
}

fn key() -> impl Strategy<Value = Key> {
    (0..1_i64 << 47, any::<[u8; 10]>()).prop_map(|(ms, random)| Key::new(ms, random))
}

fn text() -> impl Strategy<Value = Text> {
    (any::<String>(), prop::option::of(seq()), data()).prop_map(|(text, reply_to, data)| {
        let text = reply_to.into_iter().fold(Text::new(text), Text::reply_to);
        let mut body = json!({"kind": "text", "text": text.text, "reply_to": text.reply_to});
        body["data"] = data;
        let Ok(Body::Text(text)) = Body::decode(&body.to_string()) else { panic!("a text") };
        text
    })
}

fn membership() -> impl Strategy<Value = Membership> {
    let role = prop_oneof![Just(Role::Member), Just(Role::Moderator), Just(Role::Owner)];
    prop_oneof![Just(Membership::Join), Just(Membership::Leave), role.prop_map(Membership::Role)]
}

fn notice() -> impl Strategy<Value = Notice> {
    prop_oneof![
        room().prop_map(Notice::Joined),
        room().prop_map(Notice::Left),
        prop::option::of(any::<String>()).prop_map(|login| Notice::Revoked { login: login.map(Into::into) }),
    ]
}

fn room_change() -> impl Strategy<Value = RoomChange> {
    let words = || prop::option::of(any::<String>().prop_map(Into::into));
    // A `null` is no other value: it cannot be set.
    let set = prop::option::of(data().prop_filter("a value", |data| !data.is_null()));
    let spec = (any::<String>(), prop::collection::vec(user(), 0..4));
    prop_oneof![
        spec.prop_map(|(title, members)| RoomChange::Created(RoomSpec::private(title).members(members))),
        (words(), words(), set).prop_map(|(title, topic, data)| RoomChange::Set { title, topic, data }),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        text().prop_map(Body::Text),
        (seq(), any::<String>()).prop_map(|(target, text)| Body::Edit(Edit { target, text })),
        seq().prop_map(Body::Delete),
        (seq(), any::<String>(), any::<bool>()).prop_map(|(target, emoji, on)| Body::React(React {
            target,
            emoji,
            on
        })),
        (user(), prop::collection::vec(seq(), 0..4)).prop_map(|(user, targets)| Body::Erase(Erase { user, targets })),
        (user(), membership()).prop_map(|(user, change)| Body::Member(MemberChange { user, change })),
        room_change().prop_map(Body::Room),
        notice().prop_map(Body::Inbox),
        ("[a-z]{1,8}\\.[a-z.]{0,8}", any::<String>(), data()).prop_map(|(kind, text, data)| Body::Custom {
            kind,
            text,
            data
        }),
    ]
}

proptest! {
    #[test]
    fn a_body_reads_as_it_was_written(body in body()) {
        prop_assert_eq!(Body::decode(&body.encode()).unwrap(), body);
    }

    #[test]
    fn an_entry_reads_as_it_was_written(
        body in body(),
        (room, key, id) in (room(), key(), any::<[u8; 16]>()),
        (author, name) in (user(), any::<String>()),
        (seq, at) in (seq(), any::<i64>()),
    ) {
        let new = NewEntry::new(EntryId::from_bytes(id), Draft { key, body }, author, name.into(), Timestamp(at));
        let entry = new.into_entry(room, seq);
        let json = serde_json::to_string(&entry).unwrap();
        prop_assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
    }

    #[test]
    fn a_cursor_reads_as_it_was_written(room in room(), seq in seq(), id in prop::option::of(any::<[u8; 16]>())) {
        let cursor = Cursor::new(room, seq, id.map(EntryId::from_bytes));
        prop_assert_eq!(serde_json::from_str::<Cursor>(&serde_json::to_string(&cursor).unwrap()).unwrap(), cursor);
    }

    #[test]
    fn a_draft_arrives_as_it_was_sent(body in body(), room in room(), key in key(), reference in any::<u64>()) {
        let body_json = body.encode();
        let frame = format!(r#"{{"type":"send","ref":{reference},"room":"{room}","key":"{key}","body":{body_json}}}"#);
        let sent = Request::Send { target: Target::Room(room), draft: Draft { key, body } };
        prop_assert_eq!(decode(frame.as_bytes()).unwrap(), (Some(reference), sent));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC*|[{}\\[\\]\",:a-z0-9]*") {
        let _ = decode(&bytes);
        let _ = (decode(text.as_bytes()), Body::decode(&text));
    }

    #[test]
    fn a_frame_that_was_damaged_is_answered(body in body(), room in room(), key in key(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let body = body.encode();
        let mut frame = format!(r#"{{"type":"send","ref":1,"room":"{room}","key":"{key}","body":{body}}}"#).into_bytes();
        let at = at.index(frame.len());
        frame[at] = byte;
        let _ = decode(&frame);
        let _ = decode(&frame[..at]);
    }
}
