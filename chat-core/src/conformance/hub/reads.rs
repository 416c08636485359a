//! What is asked for: history and members.

use super::{
    HubUnderTest,
    setting::{member, numbers, post, say_all, texts, user},
};
use crate::model::{Body, Draft, Edit, Membership, Page, React, Role};

/// As REST shows them, too.
pub async fn history_shows_messages_as_they_read_now(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let places = say_all(&room, 0..3).await;
    let target = places[0].seq;
    post(&room, Draft::new(Body::Edit(Edit { target, text: "edited".into() }))).await;
    post(&room, Draft::new(Body::Delete(places[1].seq))).await;
    post(&room, Draft::new(Body::React(React { target, emoji: "👍".into(), on: true }))).await;
    let history = room.history(Page::default()).await.expect("history");
    assert_eq!(texts(&history), ["edited", "", "2"]);
    let folded = history[0].folded.as_ref().expect("what was done to it");
    assert!(folded.edited.is_some() && folded.reactions[0].users == [user("ann")], "{folded:?}");
    assert!(history[1].folded.as_ref().is_some_and(|folded| folded.deleted));
    assert_eq!(history[2].folded, None);
}

/// All of them oldest first.
pub async fn history_has_pages(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let places = say_all(&room, 0..10).await;
    let at = places[5].seq.get();
    for (page, expected) in [
        (Page::newest(3), numbers(7..10)),
        (Page::newest(3).before(at), numbers(2..5)),
        (Page::newest(3).after(at), numbers(6..9)),
        (Page::newest(100).before(at), numbers(0..5)),
    ] {
        assert_eq!(texts(&room.history(page.clone()).await.expect("history")), expected, "{page:?}");
    }
}

/// With their roles.
pub async fn members_are_listed_by_user(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    post(&room, member("cho", Membership::Join)).await;
    post(&room, member("cho", Membership::Role(Role::Moderator))).await;
    let listed = |members: Vec<crate::model::Member>| {
        members.into_iter().map(|member| (member.user.as_str().to_owned(), member.role)).collect::<Vec<_>>()
    };
    let members = listed(room.members(Page::default()).await.expect("members"));
    let of = |name: &str, role| (name.to_owned(), role);
    assert_eq!(members, [of("ann", Role::Owner), of("bob", Role::Member), of("cho", Role::Moderator)]);
    let page = Page::newest(1).after_user(user("ann"));
    assert_eq!(listed(room.members(page).await.expect("members")), [of("bob", Role::Member)]);
}
