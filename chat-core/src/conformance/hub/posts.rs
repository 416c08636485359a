//! Posts: answered, refused, in order.

use futures::{FutureExt, future::join_all};

use super::{
    HubUnderTest,
    setting::{Events, member, numbers, post, say, seq, texts, user},
};
use crate::{
    conformance::eventually,
    hub::{Event, Start},
    model::{Body, Draft, Edit, Membership, Page, React, Seq, Text},
    protocol::Code,
};

/// The same that everybody receives.
pub async fn a_post_is_answered_with_its_place(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let mut bobs = Events::of(on.hub("bob").await.room(room.id()).await.expect("his room").events(Start::Head));
    bobs.followed(room.id()).await;
    let draft = Draft::text("hello");
    let place = post(&room, draft.clone()).await;
    let Event::Entry(entry) = bobs.next("the entry").await else { panic!("an entry was expected") };
    assert_eq!((entry.room, entry.seq, Some(entry.id), entry.key), (place.room, place.seq, place.id, draft.key));
    assert_eq!((&entry.author, &entry.body), (&user("ann"), &draft.body));
}

/// However often it is sent, also all at once.
pub async fn the_same_draft_again_has_its_old_place(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let draft = Draft::text("once");
    let places = join_all((0..5).map(|_| post(&room, draft.clone()))).await;
    say(&room, "between").await;
    let again = post(&room, draft.clone()).await;
    assert!(places.iter().all(|place| *place == again), "{places:?} and {again:?}");
    let other = Draft { key: draft.key, body: Body::Text(Text::new("another")) };
    assert_eq!(room.post(other).await.expect_err("another body under the key").code, Code::Conflict);
    assert_eq!(texts(&room.history(Page::default()).await.expect("history")), ["once", "between"]);
}

/// To its sender alone.
pub async fn a_refused_post_says_why(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let bobs = on.hub("bob").await.room(room.id()).await.expect("his room");
    let refused = async |draft: Draft| bobs.post(draft).await.expect_err("a post that is not allowed").code;
    assert_eq!(refused(Draft::text("")).await, Code::InvalidBody);
    assert_eq!(refused(Draft::text("x".repeat(5_000))).await, Code::InvalidBody);
    assert_eq!(refused(Draft::text("/nothing of this name")).await, Code::UnknownCommand);
    assert_eq!(refused(member("ann", Membership::Leave)).await, Code::Denied);
    let target = seq(77);
    for body in [
        Body::Edit(Edit { target, text: "x".into() }),
        Body::Delete(target),
        Body::React(React { target, emoji: "👍".into(), on: true }),
    ] {
        assert_eq!(refused(Draft::new(body)).await, Code::NotFound);
    }
    let react = React { target: Seq::FIRST, emoji: "👍".into(), on: true };
    assert_eq!(refused(Draft::new(Body::React(react))).await, Code::Denied, "a creation is no message");
    assert_eq!(room.history(Page::default()).await.expect("history"), []);
    say(&bobs, "this is allowed").await;
}

/// More of them than are sent at once.
pub async fn posts_of_one_sender_keep_their_order(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let posts = (0..100).map(|number: u32| room.post(Draft::text(number.to_string())));
    for posted in join_all(posts).await {
        posted.expect("post");
    }
    let history = room.history(Page::newest(200)).await.expect("history");
    assert_eq!(texts(&history), numbers(0..100));
}

/// Once it was begun.
pub async fn a_dropped_post_goes_on(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let draft = Draft::text("go on");
    let _ = room.post(draft.clone()).now_or_never(); // polled once and dropped
    eventually("the dropped post is stored", || async {
        texts(&room.history(Page::default()).await.expect("history")) == ["go on"]
    })
    .await;
    post(&room, draft).await;
    assert_eq!(room.history(Page::default()).await.expect("history").len(), 1);
}
