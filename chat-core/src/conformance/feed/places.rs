//! Where consumers are.

use super::{FeedUnderTest, called, seq};
use crate::{
    conformance::store::setting::{Setting, text},
    model::{RoomId, RoomSpec, Visibility},
};

pub async fn a_new_consumer_is_behind_in_every_room(test: FeedUnderTest) {
    assert_eq!(test.behind("search").await, []);
    let tea = test.room("tea").await;
    tea.append([text("ann", "2"), text("ann", "3")]).await;
    let inbox = Setting::at(&test.store, "inbox");
    inbox.create("ann", RoomSpec { visibility: Visibility::Inbox, ..RoomSpec::private("") }).await;
    let mut all = [(tea.room, 0, 3), (inbox.room, 0, 1)];
    all.sort_unstable();
    for consumer in ["webhooks", "search", "webhooks"] {
        assert_eq!(test.behind(consumer).await, all, "{consumer}");
    }
}

pub async fn a_room_is_behind_until_its_head_is_reached(test: FeedUnderTest) {
    let tea = test.room("tea").await;
    tea.append([text("ann", "2"), text("ann", "3")]).await;
    assert_eq!(test.behind("search").await, [(tea.room, 0, 3)]);
    for (place, behind) in [(1, &[(tea.room, 1, 3)][..]), (2, &[(tea.room, 2, 3)]), (3, &[])] {
        test.advance("search", tea.room, place).await;
        assert_eq!(test.behind("search").await, behind);
    }
}

pub async fn what_is_appended_puts_a_room_behind_again(test: FeedUnderTest) {
    let tea = test.room("tea").await;
    test.behind("search").await;
    test.advance("search", tea.room, 1).await;
    assert_eq!(test.behind("search").await, []);
    tea.append([text("ann", "2")]).await;
    assert_eq!(test.behind("search").await, [(tea.room, 1, 2)]);
    tea.append([text("ann", "3")]).await;
    assert_eq!(test.behind("search").await, [(tea.room, 1, 3)]);
    test.advance("search", tea.room, 3).await;
    // What changes rooms goes another way through some stores than a text does.
    tea.append([crate::conformance::store::setting::topic("ann", "green")]).await;
    assert_eq!(test.behind("search").await, [(tea.room, 3, 4)]);
    test.advance("search", tea.room, 4).await;
    let milk = test.room("milk").await;
    assert_eq!(test.behind("search").await, [(milk.room, 0, 1)]);
}

pub async fn each_consumer_has_its_own_places(test: FeedUnderTest) {
    let tea = test.room("tea").await;
    test.behind("search").await;
    test.behind("webhooks").await;
    test.advance("search", tea.room, 1).await;
    assert_eq!(test.behind("search").await, []);
    assert_eq!(test.behind("webhooks").await, [(tea.room, 0, 1)]);
    tea.append([text("ann", "2")]).await;
    test.advance("webhooks", tea.room, 2).await;
    assert_eq!(test.behind("search").await, [(tea.room, 1, 2)]);
    assert_eq!(test.behind("webhooks").await, []);
}

pub async fn no_more_rooms_than_asked_for(test: FeedUnderTest) {
    let mut left = Vec::new();
    for name in ["tea", "milk", "sugar"] {
        left.push(test.room(name).await.room);
    }
    while !left.is_empty() {
        let page = test.behind_up_to("search", 2).await;
        assert_eq!(page.len(), left.len().min(2));
        // Several places in one call.
        let places: Vec<_> = page.iter().map(|(room, ..)| (*room, seq(1))).collect();
        test.feed.advance(&called("search"), &places).await.unwrap();
        left.retain(|room| !page.iter().any(|(done, ..)| done == room));
    }
    assert_eq!(test.behind("search").await, []);
}

pub async fn places_only_rise(test: FeedUnderTest) {
    let tea = test.room("tea").await;
    tea.append([text("ann", "2"), text("ann", "3")]).await;
    test.behind("search").await;
    for (place, expected) in [(2, 2), (1, 2), (0, 2)] {
        test.advance("search", tea.room, place).await;
        assert_eq!(test.behind("search").await, [(tea.room, expected, 3)]);
    }
    test.advance("search", tea.room, 3).await;
    test.advance("search", tea.room, 1).await;
    assert_eq!(test.behind("search").await, []);
}

pub async fn a_place_ends_at_the_head(test: FeedUnderTest) {
    let tea = test.room("tea").await;
    test.behind("search").await;
    test.advance("search", tea.room, 1_000).await;
    assert_eq!(test.behind("search").await, []);
    tea.append([text("ann", "2")]).await;
    assert_eq!(test.behind("search").await, [(tea.room, 1, 2)]);
}

pub async fn who_never_asked_has_no_place(test: FeedUnderTest) {
    let tea = test.room("tea").await;
    test.advance("search", tea.room, 1).await;
    assert_eq!(test.behind("search").await, [(tea.room, 0, 1)]);
    let none = RoomId::named("none");
    test.advance("search", none, 5).await;
    test.feed.advance(&called("search"), &[]).await.unwrap();
    assert_eq!(test.behind("search").await, [(tea.room, 0, 1)]);
    let made = test.room("none").await;
    test.advance("search", tea.room, 1).await;
    assert_eq!((made.room, test.behind("search").await), (none, vec![(none, 0, 1)]));
}

pub async fn who_is_forgotten_begins_anew(test: FeedUnderTest) {
    let tea = test.room("tea").await;
    for consumer in ["search", "webhooks"] {
        test.behind(consumer).await;
        test.advance(consumer, tea.room, 1).await;
    }
    for gone in ["search", "nobody", "search"] {
        test.feed.leave(&called(gone)).await.unwrap();
    }
    assert_eq!(test.behind("webhooks").await, []);
    assert_eq!(test.behind("search").await, [(tea.room, 0, 1)]);
}
