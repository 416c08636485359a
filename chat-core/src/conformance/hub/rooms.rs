//! Rooms: made, found and listed.

use super::{
    HubUnderTest,
    setting::{next_millisecond, say, user},
};
use crate::{
    model::{Page, Role, RoomId, RoomSpec},
    protocol::Code,
};

/// Also when the two creations race.
pub async fn a_named_room_is_created_once(on: HubUnderTest) {
    let (ann, bob) = (on.hub("ann").await, on.hub("bob").await);
    let (one, two) = tokio::join!(
        ann.create(RoomSpec::public("Tea").named("tea")),
        bob.create(RoomSpec::public("Tea").named("tea"))
    );
    let (one, two) = (one.expect("create"), two.expect("create"));
    assert_eq!((one.id(), two.id()), (RoomId::named("tea"), RoomId::named("tea")));
    ann.create(RoomSpec::private("Secret").named("secret")).await.expect("create");
    let taken = bob.create(RoomSpec::private("Mine").named("secret")).await.err().expect("the name is taken");
    assert_eq!(taken.code, Code::Conflict);
    let (one, two) = tokio::join!(ann.create(RoomSpec::private("x")), ann.create(RoomSpec::private("x")));
    assert_ne!(one.expect("create").id(), two.expect("create").id(), "a title is no name");
}

/// Whatever is asked of it.
pub async fn a_room_of_others_is_not_found(on: HubUnderTest) {
    let secret = on.hub("ann").await.create(RoomSpec::private("secret")).await.expect("create").id();
    let eve = on.hub("eve").await;
    for room in [secret, RoomId::named("no such room")] {
        assert_eq!(eve.room(room).await.err().expect("not hers").code, Code::NotFound);
    }
}

/// Whoever says something first.
pub async fn a_private_room_is_created_by_its_first_post(on: HubUnderTest) {
    let (ann, bob) = (on.hub("ann").await, on.hub("bob").await);
    let (to_bob, to_ann) = (ann.direct(&user("bob")), bob.direct(&user("ann")));
    assert_eq!((to_bob.id(), to_ann.id()), (RoomId::direct(&user("ann"), &user("bob")), to_bob.id()));
    assert_eq!(to_ann.history(Page::default()).await.expect_err("no room yet").code, Code::NotFound);
    let (one, two) = tokio::join!(say(&to_bob, "hi"), say(&to_ann, "ho"));
    assert_ne!(one.seq, two.seq);
    assert_eq!(to_ann.history(Page::default()).await.expect("both may read").len(), 2);
    assert_eq!(to_bob.members(Page::default()).await.expect("members").len(), 2);
}

/// For their members.
pub async fn rooms_lists_the_most_recently_active_first(on: HubUnderTest) {
    let (ann, bob) = (on.hub("ann").await, on.hub("bob").await);
    let mut rooms = Vec::new();
    for title in ["one", "two"] {
        rooms.push(ann.create(RoomSpec::private(title).members([user("bob")])).await.expect("create"));
        next_millisecond().await; // in which activity is counted
    }
    let place = say(&rooms[0], "hello").await;
    let listed = bob.rooms(Page::default()).await.expect("rooms");
    assert_eq!(listed.iter().map(|summary| &*summary.room.title).collect::<Vec<_>>(), ["one", "two"]);
    let first = &listed[0];
    assert_eq!((first.room.id, first.head, first.unread), (rooms[0].id(), place.seq, 1));
    assert_eq!(first.last.as_ref().and_then(|last| last.body.text()), Some("hello"));
    assert_eq!(first.member.as_ref().map(|member| (&member.user, member.role)), Some((&user("bob"), Role::Member)));
    assert_eq!(bob.rooms(Page::newest(1)).await.expect("rooms").len(), 1);
    assert_eq!(on.hub("eve").await.rooms(Page::default()).await.expect("rooms"), []);
}
