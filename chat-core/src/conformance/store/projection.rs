//! How entries become rooms and members.

use serde_json::json;

use super::{
    StoreUnderTest,
    setting::{Setting, creation, edit, entry, join, member, react, seq, text, topic, user},
};
use crate::model::{Body, Membership, Page, Role, RoomChange, RoomSpec};

pub async fn access_follows_the_log(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    let spec =
        RoomSpec { data: json!({"color": "green"}), ..RoomSpec::private("Tea").named("tea").members([user("bob")]) };
    tea.create("ann", spec.since_join()).await;
    let record = tea.access("bob").await.room;
    assert_eq!((record.id, record.name.as_deref(), &*record.title), (tea.room, Some("tea"), "Tea"));
    assert_eq!(record.data, json!({"color": "green"}));

    let standing = async |who: &str| tea.access(who).await.member.map(|it| (it.role, it.since.get()));
    assert_eq!((standing("ann").await, standing("bob").await), (Some((Role::Owner, 1)), Some((Role::Member, 1))));
    tea.append([join("eve"), member("ann", "eve", Membership::Role(Role::Moderator))]).await;
    assert_eq!(standing("eve").await, Some((Role::Moderator, 2)));
    tea.append([member("eve", "eve", Membership::Leave)]).await;
    tea.append([member("ann", "eve", Membership::Role(Role::Owner))]).await;
    assert_eq!(standing("eve").await, None);
    tea.append([join("eve")]).await;
    assert_eq!(standing("eve").await, Some((Role::Member, 6)));

    let set = RoomChange::Set { title: Some("Green tea".into()), topic: None, data: Some(json!([1])) };
    tea.append([topic("ann", "leaves")]).await;
    tea.append([entry("ann", Body::Room(set))]).await;
    let access = tea.access("nobody").await;
    assert_eq!((&*access.room.title, &*access.room.topic, access.room.data), ("Green tea", "leaves", json!([1])));
    assert_eq!((access.room.created, access.room.history), (record.created, record.history));
    assert_eq!((access.as_of, access.guard, access.member), (seq(8), seq(8), None));
}

pub async fn a_second_join_changes_nothing(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    tea.append([join("eve"), member("ann", "eve", Membership::Role(Role::Moderator))]).await;
    let before = tea.access("eve").await.member;
    tea.append([join("eve"), member("ann", "ann", Membership::Join)]).await;
    assert_eq!(tea.access("eve").await.member, before);
    assert_eq!(tea.access("ann").await.member.map(|member| (member.role, member.since)), Some((Role::Owner, seq(1))));
}

pub async fn projecting_twice_changes_nothing(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    tea.append([text("ann", "2"), edit("ann", 2, "two"), react("bob", 2, "👍", true), join("eve")]).await;
    tea.append([member("ann", "eve", Membership::Leave)]).await;
    tea.append([react("bob", 2, "👍", false), join("eve"), topic("ann", "green")]).await;
    let all = async || {
        let members = store.members(tea.room, &Page::default()).await.unwrap();
        (tea.access("eve").await, members, tea.history(Page::default()).await, tea.listed("eve").await)
    };
    let (before, log) = (all().await, tea.log().await);
    for part in [&log[..], &log[1..4], &log[4..5], &[]] {
        store.project(part).await.unwrap();
        assert_eq!(all().await, before);
    }
}

pub async fn projecting_needs_no_log(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    let news = [creation("ann", RoomSpec::public("tea")), join("bob"), text("bob", "hi"), topic("ann", "green")];
    let entries: Vec<_> = news.iter().zip(1..).map(|(new, at)| new.at(tea.room, seq(at))).collect();
    store.project(&entries[..3]).await.unwrap();
    store.project(&entries[1..]).await.unwrap();
    let access = tea.access("bob").await;
    assert_eq!((access.as_of, access.guard, &*access.room.topic), (seq(4), seq(4), "green"));
    assert_eq!(access.member.map(|member| (member.name, member.since)), Some(("BOB".into(), seq(2))));
    assert_eq!(tea.listed("bob").await.map(|room| room.head), Some(seq(4)));
}
