//! What a receiver does not get is said.

use futures::StreamExt;
use tokio::time::timeout;

use super::{
    HubUnderTest,
    setting::{Events, member, post, say, say_all, seq, texts, user},
};
use crate::{
    conformance::DEADLINE,
    hub::{Event, GapReason, Start},
    model::{Cursor, Draft, EntryId, Membership, Page, RoomSpec, Seq},
    protocol::Code,
};

/// Whoever it belongs to.
pub async fn a_cursor_of_a_room_of_others_is_unfollowed(on: HubUnderTest) {
    let ann = on.hub("ann").await;
    let secret = ann.create(RoomSpec::private("secret")).await.expect("create");
    let place = say(&secret, "psst").await;
    let mut eves = on.hub("eve").await.events(vec![place]);
    let unfollowed = async {
        while let Some(event) = eves.next().await {
            match event {
                Event::Unfollowed { room, why } => return (room, why),
                Event::Entry(entry) => assert_ne!(entry.room, secret.id(), "this is not hers to see"),
                _ => {}
            }
        }
        panic!("the stream ended");
    };
    assert_eq!(timeout(DEADLINE, unfollowed).await.expect("an event in time"), (secret.id(), Code::NotFound));
}

/// A wrong id at a position, and a position that is not there yet.
pub async fn a_cursor_of_another_log_is_reset(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let place = say(&room, "one").await;
    let other = Cursor::new(room.id(), place.seq, Some(EntryId::new(5, [9; 10])));
    let beyond = Cursor::new(room.id(), seq(99), place.id);
    let mut untouched = Events::of(room.events(Start::Head));
    untouched.followed(room.id()).await;
    let mut all = vec![untouched];
    for cursor in [other, beyond] {
        let mut events = Events::of(room.events(Start::After(cursor)));
        assert_eq!(events.next("a reset").await, Event::Reset(room.id()));
        assert_eq!(events.followed(room.id()).await, place.seq);
        all.push(events);
    }
    say(&room, "two").await;
    for events in &mut all {
        assert_eq!(events.texts(room.id(), 1).await, ["two"]);
    }
}

/// And is not in history either.
pub async fn what_was_before_joining_is_a_gap(on: HubUnderTest) {
    let ann = on.hub("ann").await;
    let room = ann.create(RoomSpec::private("club").since_join()).await.expect("create");
    say_all(&room, 0..5).await;
    let since = post(&room, member("bob", Membership::Join)).await.seq;
    say(&room, "welcome").await;
    let bobs = on.hub("bob").await.room(room.id()).await.expect("his room");
    let mut events = Events::of(bobs.events(Start::Oldest));
    events.followed(room.id()).await;
    let gap = Event::Gap { room: room.id(), from: Seq::FIRST, to: since.prev(), why: GapReason::NotVisible };
    assert_eq!(events.next("a gap").await, gap);
    assert_eq!(events.texts(room.id(), 1).await, ["welcome"]);
    assert_eq!(texts(&bobs.history(Page::default()).await.expect("history")), ["welcome"]);
}

/// In all streams.
pub async fn who_is_removed_is_unfollowed(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let bob = on.hub("bob").await;
    let bobs = bob.room(room.id()).await.expect("his room");
    let mut streams = [bobs.events(Start::Head), bob.events(Vec::new())].map(Events::of);
    for events in &mut streams {
        events.followed(room.id()).await;
    }
    let removal = post(&room, member("bob", Membership::Leave)).await;
    say(&room, "he is gone").await;
    for events in &mut streams {
        let mut last = Seq::ZERO;
        loop {
            match events.next("that it is unfollowed").await {
                Event::Entry(entry) if entry.room == room.id() => last = entry.seq,
                Event::Unfollowed { room: left, why } if left == room.id() => break assert_eq!(why, Code::Removed),
                _ => {}
            }
        }
        assert!(last < removal.seq, "what removes him is not for him any more");
    }
    assert_eq!(bobs.post(Draft::text("still here?")).await.expect_err("he is out").code, Code::Denied);
}

/// Without a [`Event::Followed`].
pub async fn a_room_of_others_is_unfollowed(on: HubUnderTest) {
    let ann = on.hub("ann").await;
    let eve = on.hub("eve").await;
    let to_eve = ann.direct(&user("eve"));
    let to_ann = eve.direct(&user("ann"));
    let mut events = to_ann.events(Start::Oldest);
    let first = crate::conformance::next(&mut events, "that there is no such room").await;
    assert_eq!(first, Event::Unfollowed { room: to_ann.id(), why: Code::NotFound });
    say(&to_eve, "hi").await;
    let mut events = Events::of(to_ann.events(Start::Oldest));
    events.followed(to_ann.id()).await;
    assert_eq!(events.texts(to_ann.id(), 1).await, ["hi"]);
}
