//! What is written comes back: every kind of body, every user id.

use serde_json::json;

use super::{
    StoreUnderTest,
    setting::{NOW, Setting, delete, edit, entry, join, member, react, seq, text, topic, user},
};
use crate::{
    model::{Body, Membership, Notice, Page, Role, RoomId, RoomSpec, Text},
    store::Listing,
};

pub async fn every_body_comes_back_as_written(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let inbox = |notice| entry("ann", Body::Inbox(notice));
    let texts =
        ["", " ", "a\0b", "\u{1f375} ☕\u{200d}", "'; drop table chat_entries; --", "%_\\\"{}[]\r\n\t", "\u{fffe}"];
    let mut written: Vec<_> = texts.map(|it| text("ann", it)).into();
    written.extend([
        entry("ann", Body::Text(Text { data: json!({"b": 1, "a": [null, 1.5, "x"]}), ..Text::new("hi") })),
        edit("bob", 2, "hello"),
        react("bob", 2, "👍", true),
        delete("ann", 9_007_199_254_740_991),
        join("eve"),
        member("ann", "eve", Membership::Role(Role::Moderator)),
        inbox(Notice::Joined(RoomId::named("x"))),
        inbox(Notice::Revoked { login: Some("l".into()) }),
        entry("ann", Body::Custom { kind: "shop.order".into(), text: "an order".into(), data: json!({"id": 1}) }),
        entry("ann", Body::decode(r#"{ "kind":"poll",  "options":[1, 2.0, "é"] }"#).unwrap()),
        topic("ann", "green"),
    ]);
    for new in &mut written {
        new.sent_at = NOW.plus_ms(-3_000_000_000_000); // an import from before 1970
    }
    tea.append_each(written.clone()).await;
    let expected: Vec<_> = written.iter().zip(2..).map(|(new, at)| new.at(tea.room, seq(at))).collect();
    assert_eq!(tea.read(1, 100).await, expected);
}

pub async fn users_differ_by_every_byte(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    let long = "x".repeat(128);
    // In the order of their bytes, which is not the order of any language.
    let users =
        ["Ann", "a'b", "a_b", "ann", "ann ", "a\u{2f}b", "straße", "strasse", "ß", "é", "e", "\u{1f375}", &long];
    tea.create("system", RoomSpec::public("tea").members(users.map(user))).await;
    tea.append(users.map(|name| text(name, name))).await;

    let mut sorted = users.map(user);
    sorted.sort();
    let members = store.members(tea.room, &Page::newest(100)).await.unwrap();
    assert_eq!(members.iter().map(|member| &member.user).collect::<Vec<_>>(), sorted.iter().collect::<Vec<_>>());
    for entry in tea.history(Page::newest(100)).await {
        assert_eq!(entry.body.text(), Some(entry.author.as_str()));
    }
    for name in users {
        assert_eq!(store.rooms(&Listing::Of(user(name)), &Page::default()).await.unwrap().len(), 1, "{name:?}");
    }
    assert_eq!(store.access(tea.room, &user("ANN")).await.unwrap().unwrap().member, None);
}
