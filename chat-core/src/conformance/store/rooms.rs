//! What [`RoomStore`](crate::RoomStore) lists: members, rooms, read marks.

use super::{
    StoreUnderTest,
    setting::{NOW, Setting, creation, delete, edit, join, member, seq, stored, text, topic, user},
};
use crate::{
    model::{Membership, NewEntry, Page, Role, RoomId, RoomSpec, RoomSummary, Seq, Visibility},
    store::{Append, Listing},
};

pub async fn members_page_by_user_id(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    tea.append([join("eve"), join("dan"), member("ann", "zoe", Membership::Join)]).await;
    tea.append([member("ann", "eve", Membership::Role(Role::Moderator))]).await;
    let page = async |page: Page| {
        let members = store.members(tea.room, &page).await.unwrap();
        members
            .into_iter()
            .map(|it| (it.user.to_string(), it.name.to_string(), it.role, it.since.get()))
            .collect::<Vec<_>>()
    };
    let row = |user: &str, name: &str, role, since| (user.to_owned(), name.to_owned(), role, since);
    let all = [
        row("ann", "ANN", Role::Owner, 1),
        row("bob", "bob", Role::Member, 1),
        row("dan", "DAN", Role::Member, 3),
        row("eve", "EVE", Role::Moderator, 2),
        row("zoe", "zoe", Role::Member, 4),
    ];
    assert_eq!(page(Page::newest(10)).await, all);
    assert_eq!(page(Page::newest(2)).await, all[..2]);
    assert_eq!(page(Page::newest(2).after_user(user("bob"))).await, all[2..4]);
    assert_eq!(page(Page::newest(2).after_user(user("c"))).await, all[2..4]);
    assert_eq!(page(Page::newest(2).after_user(user("zoe"))).await, []);
    assert_eq!(store.members(RoomId::named("none"), &Page::default()).await.unwrap(), []);
}

/// Creates four rooms and an inbox, which are last active at 1, 2, 3, 4 and 5 ms after `NOW`; ann is in all but `d`.
async fn rooms(store: &StoreUnderTest) {
    let specs = [
        ("a", RoomSpec::public("a")),
        ("b", RoomSpec::private("Bees").members([user("bob")])),
        ("c", RoomSpec::public("Sea").named("c").members([user("bob")])),
        ("d", RoomSpec::public("d")),
        ("i", RoomSpec { visibility: Visibility::Inbox, ..RoomSpec::private("") }),
    ];
    for (ms, (name, spec)) in (1..).zip(specs) {
        let owner = if name == "d" { "dan" } else { "ann" };
        let message = NewEntry { at: NOW.plus_ms(ms), ..text(owner, &format!("in {name}")) };
        Setting::at(store, name).append([creation(owner, spec), message]).await;
    }
}

async fn list(store: &StoreUnderTest, which: Listing, page: Page) -> Vec<RoomSummary> {
    store.rooms(&which, &page).await.unwrap()
}

fn names(rooms: &[RoomSummary]) -> Vec<&str> {
    rooms.iter().map(|summary| summary.last.as_ref().unwrap().body.text().unwrap()).collect()
}

pub async fn rooms_are_listed_by_activity(store: StoreUnderTest) {
    rooms(&store).await;
    let (ann, bob) = (user("ann"), user("bob"));
    assert_eq!(names(&list(&store, Listing::Of(ann.clone()), Page::default()).await), ["in c", "in b", "in a"]);
    assert_eq!(names(&list(&store, Listing::Public(bob.clone()), Page::default()).await), ["in d", "in c", "in a"]);
    assert_eq!(names(&list(&store, Listing::All, Page::default()).await), ["in d", "in c", "in b", "in a"]);
    assert_eq!(list(&store, Listing::Of(user("nobody")), Page::default()).await, []);

    let bees = Setting::at(&store, "b");
    let share = [text("ann", "last"), topic("ann", "honey"), edit("ann", 3, "the last"), delete("ann", 2)];
    bees.append_each(share.map(|new| NewEntry { at: NOW.plus_ms(9), ..new })).await;
    bees.mark("bob", 2).await;
    let [first, second] = &list(&store, Listing::Of(bob.clone()), Page::default()).await[..] else {
        panic!("bob is in two rooms")
    };
    assert_eq!((&*first.room.title, &*first.room.topic, second.room.name.as_deref()), ("Bees", "honey", Some("c")));
    assert_eq!((first.head, first.guard, first.read, first.unread), (seq(6), seq(4), seq(2), 1));
    assert_eq!((first.active, first.last.as_ref().unwrap().body.text()), (NOW.plus_ms(9), Some("the last")));
    assert!(first.last.as_ref().unwrap().folded.is_some());
    assert_eq!(first.member.as_ref().map(|member| (&member.user, member.role)), Some((&bob, Role::Member)));

    let public = list(&store, Listing::Public(bob), Page::default()).await;
    assert!(public[0].member.is_none() && public[0].unread == 0 && public[1].member.is_some());
    bees.append([member("ann", "bob", Membership::Leave)]).await;
    assert_eq!(bees.listed("bob").await, None);
}

pub async fn rooms_page_by_activity(store: StoreUnderTest) {
    rooms(&store).await;
    let at = |ms| NOW.plus_ms(ms).0.unsigned_abs();
    for which in [Listing::Of(user("ann")), Listing::All] {
        let all = list(&store, which.clone(), Page::default()).await;
        let first = list(&store, which.clone(), Page::newest(1)).await;
        assert_eq!(first, all[..1]);
        let before = first[0].active.0.unsigned_abs();
        assert_eq!(list(&store, which.clone(), Page::newest(2).before(before)).await, all[1..3]);
        assert_eq!(names(&list(&store, which.clone(), Page::default().before(at(2))).await), ["in a"]);
        assert_eq!(list(&store, which.clone(), Page::default().after(at(1))).await, all[..all.len() - 1]);
        assert_eq!(list(&store, which, Page::default().before(0)).await, []);
    }
    // Times may be equal, and a clock may go back: the order stays.
    let share = [creation("ann", RoomSpec::public("e")), text("ann", "in e")];
    let e = Setting::at(&store, "e");
    e.append(share.map(|new| NewEntry { at: NOW.plus_ms(4), ..new })).await;
    e.append([NewEntry { at: NOW.plus_ms(-9), ..text("ann", "in e") }]).await;
    let mut expected = [(RoomId::named("d"), "in d"), (e.room, "in e")];
    expected.sort();
    assert_eq!(names(&list(&store, Listing::All, Page::newest(2)).await), expected.map(|(_, name)| name));
}

pub async fn a_room_of_two_tells_the_other_one(store: StoreUnderTest) {
    let direct = |members: &[&str]| {
        RoomSpec { visibility: Visibility::Direct, ..RoomSpec::default() }.members(members.iter().map(|it| user(it)))
    };
    let (two, alone) = (Setting::at(&store, "two"), Setting::at(&store, "alone"));
    two.append([creation("ann", direct(&["ann", "bob"])), text("ann", "psst")]).await;
    alone.append([creation("ann", direct(&["ann"])), text("ann", "to myself")]).await;
    let other = async |room: &Setting, who: &str| {
        room.listed(who).await.unwrap().with.map(|with| (with.user.to_string(), with.name.to_string()))
    };
    assert_eq!(other(&two, "ann").await, Some(("bob".into(), "bob".into())));
    assert_eq!(other(&two, "bob").await, Some(("ann".into(), "ANN".into())));
    two.append([text("bob", "hm?")]).await;
    assert_eq!(other(&two, "ann").await, Some(("bob".into(), "BOB".into())));
    assert_eq!(other(&alone, "ann").await, None);
    // A room that is not of two by its nature tells nobody, however many are in it.
    let group = Setting::at(&store, "group");
    group.append([creation("ann", RoomSpec::private("").members([user("bob")]))]).await;
    assert_eq!(other(&group, "ann").await, None);
    let one = list(&store, Listing::One(two.room, user("eve")), Page::newest(1)).await;
    assert_eq!(one[0].with, None);
}

pub async fn one_room_is_listed_alone(store: StoreUnderTest) {
    rooms(&store).await;
    let (bob, bees) = (user("bob"), Setting::at(&store, "b"));
    bees.mark("bob", 2).await;
    let one = |name| list(&store, Listing::One(RoomId::named(name), bob.clone()), Page::newest(1));
    assert_eq!(one("b").await, [bees.listed("bob").await.unwrap()]);
    assert!(one("d").await[0].member.is_none());
    assert_eq!(one("i").await[0].room.visibility, Visibility::Inbox);
    assert_eq!(one("none").await, []);
}

pub async fn memberships_are_the_access_to_each_room(store: StoreUnderTest) {
    rooms(&store).await;
    let bees = Setting::at(&store, "b");
    let moderator = member("ann", "bob", Membership::Role(Role::Moderator));
    bees.append_each([text("ann", "last"), topic("ann", "honey"), moderator]).await;
    for who in ["ann", "bob", "dan", "nobody"] {
        let user = user(who);
        let listed = list(&store, Listing::Of(user.clone()), Page::default()).await;
        let mut accesses = Vec::new();
        for summary in &listed {
            accesses.extend(store.access(summary.room.id, &user).await.unwrap());
        }
        assert!(accesses.iter().all(|access| access.member.as_ref().is_some_and(|member| member.user == user)));
        assert_eq!(store.memberships(&user, 100).await.unwrap(), accesses, "{who}");
        let first: Vec<_> = accesses.into_iter().take(1).collect();
        assert_eq!(store.memberships(&user, 1).await.unwrap(), first, "{who}");
    }
    // More than a page of rooms holds.
    let many = (0..=Page::LIMIT_MAX).map(|number| Append {
        room: RoomId::named(&format!("many {number}")),
        guard: Some(Seq::ZERO),
        entries: vec![creation("zoe", RoomSpec::private("one of many"))],
    });
    store.append(&many.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(store.memberships(&user("zoe"), 255).await.unwrap().len(), usize::from(Page::LIMIT_MAX) + 1);

    bees.append([member("ann", "bob", Membership::Leave)]).await;
    let left = store.memberships(&user("bob"), 100).await.unwrap();
    assert_eq!(left.iter().map(|access| access.room.id).collect::<Vec<_>>(), [RoomId::named("c")]);
}

pub async fn unread_counts_messages_of_others(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    tea.append_each([text("ann", "2"), text("bob", "3"), topic("ann", "green"), text("ann", "5"), join("eve")]).await;
    let unread = async |who: &str| tea.listed(who).await.unwrap().unread;
    assert_eq!((unread("ann").await, unread("bob").await, unread("eve").await), (1, 2, 0));
    tea.append([text("ann", "7"), text("eve", "8")]).await;
    assert_eq!((unread("ann").await, unread("bob").await, unread("eve").await), (2, 4, 1));
    tea.mark("bob", 5).await;
    tea.mark("eve", 3).await;
    assert_eq!((unread("bob").await, unread("eve").await), (2, 1));
    tea.mark("eve", 8).await;
    assert_eq!(unread("eve").await, 0);
}

pub async fn read_marks_only_rise(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    assert_eq!(tea.append([text("ann", "2"), text("ann", "3")]).await, stored(2..=3));
    let read = async |who: &str| tea.listed(who).await.unwrap().read.get();
    assert_eq!(read("bob").await, 0);
    for (mark, expected) in [(2, 2), (1, 2), (3, 3), (2, 3)] {
        tea.mark("bob", mark).await;
        assert_eq!((read("bob").await, read("ann").await), (expected, 0));
    }
}

pub async fn a_read_mark_ends_at_the_head(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    tea.append([text("ann", "2")]).await;
    tea.mark("bob", 9_007_199_254_740_991).await;
    tea.append([text("ann", "3")]).await;
    let listed = tea.listed("bob").await.unwrap();
    assert_eq!((listed.read, listed.unread), (seq(2), 1));
    store.mark(&user("bob"), RoomId::named("none"), seq(1)).await.unwrap();
    tea.mark("somebody new", 1).await;
    assert_eq!(tea.access("somebody new").await.member, None);
}
