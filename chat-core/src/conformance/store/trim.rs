//! What [`LogStore::trim`](crate::LogStore::trim) forgets, and what it must not forget.

use super::{
    StoreUnderTest,
    setting::{NOW, Setting, again, creation, join, positions, seq, stored, text},
};
use crate::{
    model::{Key, NewEntry, Page, RoomId, RoomSpec},
    store::Outcome,
};

fn keyed(ms: i64, random: u8) -> NewEntry {
    NewEntry { key: Key::new(ms, [random; 10]), ..text("ann", "keyed") }
}

pub async fn trim_forgets_the_old(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    tea.append([join("eve"), text("ann", "3"), text("ann", "4"), text("ann", "5"), text("ann", "6")]).await;
    store.trim(tea.room, seq(4)).await.unwrap();
    store.trim(tea.room, seq(2)).await.unwrap();

    for after in [0, 1, 4] {
        assert_eq!(positions(&tea.read(after, 10).await), [5, 6]);
    }
    assert_eq!(positions(&tea.history(Page::newest(10)).await), [5, 6]);
    let head = store.heads(&[tea.room]).await.unwrap()[0];
    assert_eq!((head.seq, head.first), (seq(6), seq(5)));
    assert_eq!(tea.access("eve").await.member.map(|member| member.since), Some(seq(2)));
    assert_eq!(tea.listed("bob").await.map(|room| room.unread), Some(2));
    assert_eq!(tea.append([keyed(NOW.0 * 2, 1)]).await, stored([7]));
}

pub async fn trim_keeps_the_creation_and_the_last(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    let created = creation("ann", RoomSpec::public("tea"));
    tea.append([created.clone(), text("ann", "2"), text("ann", "3")]).await;
    store.trim(tea.room, seq(1_000)).await.unwrap();
    assert_eq!(positions(&tea.log().await), [3]);
    assert_eq!(store.heads(&[tea.room]).await.unwrap()[0].first, seq(3));
    assert_eq!(tea.append([again(&created)]).await, [Outcome::Duplicate(seq(1), created.id)]);
    assert_eq!(tea.append([creation("ann", RoomSpec::public("tea"))]).await, [Outcome::Exists]);
    store.trim(RoomId::named("none"), seq(5)).await.unwrap();
}

pub async fn a_trimmed_key_is_too_old(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    tea.create("ann", RoomSpec::public("tea")).await;
    let (trimmed, kept) = (keyed(2_000, 1), keyed(1_500, 2));
    tea.append([keyed(1_000, 3), trimmed.clone(), kept.clone(), keyed(3_000, 4)]).await;
    store.trim(tea.room, seq(3)).await.unwrap();

    for guard in [Some(0), None] {
        let asked = [again(&trimmed), keyed(1_999, 5), again(&kept)];
        let answers = [Outcome::TooOld, Outcome::TooOld, Outcome::Duplicate(seq(4), kept.id)];
        assert_eq!(tea.append_under(guard, asked).await, answers);
    }
    assert_eq!(tea.append([keyed(1, 6), keyed(2_001, 7)]).await, [Outcome::TooOld, Outcome::Stored(seq(6))]);
}
