//! How the ends of logs look.

use super::{
    StoreUnderTest,
    setting::{Setting, edit, join, seq, text, topic, user},
};
use crate::{
    model::{RoomId, RoomSpec},
    store::Tail,
};

pub async fn tails_are_what_lists_show(store: StoreUnderTest) {
    let (tea, milk) = (Setting::new(store.clone()).await, Setting::at(&store, "milk"));
    milk.create("ann", RoomSpec::private("milk")).await;
    tea.append_each([text("ann", "2"), text("bob", "3"), topic("ann", "green"), text("ann", "5"), join("eve")]).await;
    tea.append([edit("ann", 5, "five")]).await;
    let listed = tea.listed("bob").await.unwrap();
    assert_eq!((listed.unread, listed.last.as_ref().unwrap().body.text()), (2, Some("five")));

    let none = RoomId::named("none");
    let places = [(tea.room, seq(1)), (none, seq(0)), (milk.room, seq(0)), (tea.room, seq(4)), (tea.room, seq(9))];
    let shown = |unread| Tail { last: listed.last.clone(), unread };
    for (who, [all, newer]) in
        [(Some("bob"), [2, 1]), (Some("ann"), [1, 0]), (Some("stranger"), [3, 1]), (None, [3, 1])]
    {
        let tails = store.tails(who.map(user).as_ref(), &places).await.unwrap();
        assert_eq!(tails, [shown(all), Tail::default(), Tail::default(), shown(newer), shown(0)], "{who:?}");
    }
    tea.append((0..300).map(|n| text("ann", &n.to_string())).collect::<Vec<_>>()).await;
    assert_eq!(store.tails(Some(&user("bob")), &places[..1]).await.unwrap()[0].unread, 302);
    store.trim(tea.room, seq(306)).await.unwrap();
    assert_eq!(store.tails(None, &places[..1]).await.unwrap()[0].unread, 1);
}
