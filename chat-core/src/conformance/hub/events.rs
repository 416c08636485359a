//! What comes by itself: entries and signals.

use std::time::Duration;

use futures::future::join_all;

use super::{
    HubUnderTest,
    setting::{Events, numbers, say, say_all, user},
};
use crate::{
    hub::{Event, Start},
    model::{Draft, RoomSpec, Seq},
    protocol::{Outgoing, Signal},
};

/// A new one from the entry that made the user its member.
pub async fn hub_events_bring_all_rooms_and_new_ones(on: HubUnderTest) {
    let (ann, old) = on.room().await;
    let mut bobs = Events::of(on.hub("bob").await.events(Vec::new()));
    bobs.followed(old.id()).await;
    say(&old, "old").await;
    assert_eq!(bobs.texts(old.id(), 1).await, ["old"]);
    let new = ann.create(RoomSpec::private("new").members([user("bob")])).await.expect("create");
    assert_eq!(bobs.followed(new.id()).await, Seq::ZERO);
    say(&new, "new").await;
    assert_eq!(bobs.texts(new.id(), 1).await, ["new"]);
}

/// Its own user's first message in it, too, however quickly that was acknowledged.
pub async fn a_room_that_ones_own_post_creates_comes_from_its_beginning(on: HubUnderTest) {
    let (ann, old) = on.room().await;
    let mut anns = Events::of(ann.events(Vec::new()));
    anns.followed(old.id()).await;
    for name in ["bob", "cid", "dan", "eve"] {
        let direct = ann.direct(&user(name));
        say(&direct, name).await;
        assert_eq!(anns.followed(direct.id()).await, Seq::ZERO);
        assert_eq!(anns.texts(direct.id(), 1).await, [name]);
    }
}

/// Rooms without a cursor begin where they stand.
pub async fn hub_events_resume_after_their_cursors(on: HubUnderTest) {
    let (ann, tea) = on.room().await;
    let coffee = ann.create(RoomSpec::public("coffee").members([user("bob")])).await.expect("create");
    let places = say_all(&tea, 0..20).await;
    let last = say(&coffee, "not for the stream").await;
    let mut bobs = Events::of(on.hub("bob").await.events(vec![places[9]]));
    assert_eq!(bobs.followed(tea.id()).await, places[9].seq);
    assert_eq!(bobs.texts(tea.id(), 10).await, numbers(10..20));
    let second = on.hub("bob").await;
    let mut bobs = Events::of(second.events(vec![places[9]]));
    assert_eq!(bobs.followed(coffee.id()).await, last.seq);
    say(&coffee, "news").await;
    assert_eq!(bobs.texts(coffee.id(), 1).await, ["news"]);
}

/// Not what the receiver posted before.
pub async fn events_from_the_head_bring_what_comes(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let place = say(&room, "before").await;
    let mut events = Events::of(room.events(Start::Head));
    assert_eq!(events.followed(room.id()).await, place.seq);
    say_all(&room, 0..10).await;
    assert_eq!(events.texts(room.id(), 10).await, numbers(0..10));
}

/// From the entry that created the room.
pub async fn events_from_the_oldest_bring_everything(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    say_all(&room, 0..300).await;
    let mut events = Events::of(room.events(Start::Oldest));
    assert_eq!(events.followed(room.id()).await, Seq::ZERO);
    let Event::Entry(first) = events.next("the first entry").await else { panic!("an entry was expected") };
    assert_eq!((first.seq, &*first.body.kind()), (Seq::FIRST, "room"));
    assert_eq!(events.texts(room.id(), 300).await, numbers(0..300));
    say(&room, "and then").await;
    assert_eq!(events.texts(room.id(), 1).await, ["and then"]);
}

/// On any connection.
pub async fn events_after_a_cursor_bring_the_rest(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let places = say_all(&room, 0..300).await;
    let elsewhere = on.hub("bob").await.room(room.id()).await.expect("his room");
    for room in [&room, &elsewhere] {
        let mut events = Events::of(room.events(Start::After(places[99])));
        assert_eq!(events.followed(room.id()).await, places[99].seq);
        assert_eq!(events.texts(room.id(), 200).await, numbers(100..300));
    }
    let mut events = Events::of(room.events(Start::After(places[299])));
    assert_eq!(events.followed(room.id()).await, places[299].seq);
    say(&room, "and then").await;
    assert_eq!(events.texts(room.id(), 1).await, ["and then"]);
}

/// While somebody goes on posting.
pub async fn streams_of_one_room_do_not_disturb_each_other(on: HubUnderTest) {
    let (ann, room) = on.room().await;
    let places = say_all(&room, 0..100).await;
    let mut head = Events::of(room.events(Start::Head));
    head.followed(room.id()).await;
    let writer = tokio::spawn({
        let room = room.clone();
        async move { say_all(&room, 100..300).await }
    });
    let mut streams = vec![(100, head)];
    for at in [10, 70, 40] {
        streams.push((at + 1, Events::of(room.events(Start::After(places[at as usize])))));
        streams.push((0, Events::of(room.events(Start::Oldest))));
        streams.push((at + 1, Events::of(ann.events(vec![places[at as usize]]))));
        tokio::time::sleep(Duration::from_millis(5)).await; // so that they meet the writer at different places
    }
    for (first, events) in &mut streams {
        assert_eq!(events.texts(room.id(), 300 - *first as usize).await, numbers(*first..300));
    }
    writer.await.expect("the writer ends");
}

/// However long it does not read.
pub async fn a_receiver_that_falls_behind_misses_nothing(on: HubUnderTest) {
    const COUNT: u32 = 2_000;
    let (ann, room) = on.room().await;
    let bob = on.hub("bob").await;
    let bobs = bob.room(room.id()).await.expect("his room");
    let mut slow = [bobs.events(Start::Head), bob.events(Vec::new()), ann.events(Vec::new())].map(Events::of);
    for events in &mut slow {
        events.followed(room.id()).await;
    }
    let posts = (0..COUNT).map(|number| room.post(Draft::text(number.to_string())));
    for part in posts.collect::<Vec<_>>().chunks_mut(100) {
        for posted in join_all(part).await {
            posted.expect("post");
        }
    }
    for events in &mut slow {
        let received = events.texts(room.id(), COUNT as usize).await;
        assert!(received == numbers(0..COUNT), "order was lost");
    }
    say(&room, "and then").await;
    for events in &mut slow {
        assert_eq!(events.texts(room.id(), 1).await, ["and then"]);
    }
}

/// Typing and the application's own kinds.
pub async fn signals_reach_the_others(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let bobs = on.hub("bob").await.room(room.id()).await.expect("his room");
    let mut events = Events::of(bobs.events(Start::Head));
    events.followed(room.id()).await;
    let data = serde_json::json!({ "line": 7 });
    room.signal(Outgoing::Typing(true)).await.expect("a signal");
    room.signal(Outgoing::Custom { kind: "shop.cursor".into(), data: data.clone() }).await.expect("a signal");
    let (mut typing, mut custom) = (false, false);
    while !(typing && custom) {
        match events.next("both signals").await {
            Event::Signal(Signal::Typing { user: who, on: true, .. }) => typing = who == user("ann"),
            Event::Signal(Signal::Custom { kind, data: told, .. }) => custom = kind == "shop.cursor" && told == data,
            _ => {}
        }
    }
}
