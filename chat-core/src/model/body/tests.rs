//! Bodies as they are stored.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::model::{Role, RoomId, RoomSpec, UserId};

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

#[test]
fn every_kind_keeps_its_stored_encoding() {
    let user = UserId::new("bob").unwrap();
    let golden = [
        (
            Body::Text(Text { reply_to: Some(seq(3)), data: json!({"a": 1}), ..Text::new("hi") }),
            r#"{"kind":"text","text":"hi","reply_to":3,"data":{"a":1}}"#,
        ),
        (Body::Edit(Edit { target: seq(2), text: "ho".into() }), r#"{"kind":"edit","text":"ho","target":2}"#),
        (Body::Delete(seq(2)), r#"{"kind":"delete","target":2}"#),
        (
            Body::React(React { target: seq(2), emoji: "👍".into(), on: true }),
            r#"{"kind":"react","target":2,"emoji":"👍","on":true}"#,
        ),
        (
            Body::Erase(Erase { user: UserId::stand_in([10; 8]), targets: vec![seq(2), seq(5)] }),
            r#"{"kind":"erase","targets":[2,5],"user":"erased:0a0a0a0a0a0a0a0a"}"#,
        ),
        (
            Body::Member(MemberChange { user: user.clone(), change: Membership::Role(Role::Moderator) }),
            r#"{"kind":"member","change":"role","user":"bob","role":"moderator"}"#,
        ),
        (
            Body::Member(MemberChange { user, change: Membership::Leave }),
            r#"{"kind":"member","change":"leave","user":"bob"}"#,
        ),
        (
            Body::Room(RoomChange::Created(RoomSpec::public("general").named("general"))),
            r#"{"kind":"room","change":"created","spec":{"name":"general","title":"general","visibility":"public","history":"all"}}"#,
        ),
        (
            Body::Room(RoomChange::Set { title: None, topic: Some("tea".into()), data: None }),
            r#"{"kind":"room","change":"set","topic":"tea"}"#,
        ),
        (
            Body::Inbox(Notice::Revoked { login: Some("l1".into()) }),
            r#"{"kind":"inbox","change":"revoked","login":"l1"}"#,
        ),
        (
            Body::Custom { kind: "shop.order".into(), text: "an order".into(), data: json!([1]) },
            r#"{"kind":"shop.order","text":"an order","data":[1]}"#,
        ),
    ];
    for (body, encoded) in golden {
        assert_eq!(body.encode(), encoded);
        assert_eq!(serde_json::to_string(&body).unwrap(), encoded);
        assert_eq!(Body::decode(encoded).unwrap(), body);
    }
}

#[test]
fn a_kind_of_a_newer_version_is_kept_as_it_is() {
    let newer = r#"{"kind":"poll","options":["a","b"]}"#;
    let body = Body::decode(newer).unwrap();
    assert_eq!((body.encode().as_str(), &*body.kind()), (newer, "poll"));
    assert_eq!(serde_json::to_string(&body).unwrap(), newer);
}

#[test]
fn what_is_no_body_is_refused_without_repeating_it() {
    for bad in [
        "null",
        "[]",
        r#"["shop.order"]"#,
        r#"["text",null,"hi"]"#,
        "1",
        "{}",
        r#"{"kind":1}"#,
        r#"{"kind":"text"}"#,
        r#"{"kind":"text","text":1}"#,
        r#"{"kind":"text","text":"a","text":"b"}"#,
        r#"{"kind":"edit","text":"a","target":-1}"#,
    ] {
        assert!(Body::decode(bad).is_err(), "{bad}");
    }
}

#[test]
fn numbers_in_data_are_written_as_they_were_read() {
    let body = Body::decode(r#"{"kind":"shop.order","data":18615446744073759511605}"#).unwrap();
    assert_eq!(Body::decode(&body.encode()).unwrap(), body);
}

#[test]
fn only_what_takes_a_right_away_moves_the_guard() {
    let user = UserId::new("bob").unwrap();
    let member = |change| Body::Member(MemberChange { user: user.clone(), change });
    assert!(!member(Membership::Join).restricts());
    assert!(member(Membership::Leave).restricts() && member(Membership::Role(Role::Member)).restricts());
    assert!(!Body::Room(RoomChange::Created(RoomSpec::default())).restricts());
    let joined = Notice::Joined(RoomId::named("r"));
    assert!(Body::Inbox(Notice::Revoked { login: None }).restricts() && !Body::Inbox(joined).restricts());
}
