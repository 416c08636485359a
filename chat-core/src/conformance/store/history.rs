//! What [`LogStore::history`](crate::LogStore::history) shows.

use serde_json::json;

use super::{
    StoreUnderTest,
    setting::{NOW, Setting, delete, edit, entry, join, positions, react, seq, text, texts, topic, user},
};
use crate::model::{Body, NewEntry, Page};

pub async fn history_returns_the_newest_messages_oldest_first(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let order = Body::Custom { kind: "shop.order".into(), text: "an order".into(), data: json!(1) };
    let unknown = entry("ann", Body::decode(r#"{"kind":"poll"}"#).unwrap());
    tea.append([text("ann", "a"), join("eve"), text("bob", "b"), entry("bob", order), unknown, topic("ann", "t")])
        .await;
    assert_eq!(texts(&tea.history(Page::newest(10)).await), ["a", "b", "an order"]);
    let newest = tea.history(Page::newest(2)).await;
    assert_eq!((texts(&newest), positions(&newest)), (vec!["b", "an order"], vec![4, 5]));
    assert_eq!(Setting::at(&tea.store, "none").history(Page::newest(2)).await, []);
}

pub async fn history_pages_back(store: StoreUnderTest) {
    let tea = ten_messages(store).await;
    assert_eq!(positions(&tea.history(Page::newest(4)).await), [8, 9, 10, 11]);
    assert_eq!(positions(&tea.history(Page::newest(4).before(8)).await), [4, 5, 6, 7]);
    assert_eq!(positions(&tea.history(Page::newest(4).before(4)).await), [2, 3]);
    assert_eq!(tea.history(Page::newest(4).before(2)).await, []);
    assert_eq!(positions(&tea.history(Page::newest(1).before(u64::MAX)).await), [11]);
}

pub async fn history_pages_forward(store: StoreUnderTest) {
    let tea = ten_messages(store).await;
    assert_eq!(positions(&tea.history(Page::newest(4).after(0)).await), [2, 3, 4, 5]);
    assert_eq!(positions(&tea.history(Page::newest(4).after(5)).await), [6, 7, 8, 9]);
    assert_eq!(positions(&tea.history(Page::newest(4).after(5).before(8)).await), [6, 7]);
    assert_eq!(tea.history(Page::newest(4).after(11)).await, []);
    assert_eq!(tea.history(Page::newest(4).after(u64::MAX)).await, []);
}

async fn ten_messages(store: StoreUnderTest) -> Setting {
    let tea = Setting::new(store).await;
    tea.append((2..=11).map(|n| text("ann", &n.to_string())).collect::<Vec<_>>()).await;
    tea
}

pub async fn history_folds_edits_deletes_and_reactions(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let corrected = NewEntry { at: NOW.plus_ms(7), ..edit("ann", 2, "hello") };
    tea.append([text("ann", "helo"), text("bob", "secret"), text("bob", "plain"), corrected]).await;
    tea.append([react("ann", 2, "👍", true), react("bob", 2, "👍", true), react("bob", 2, "🍵", true)]).await;
    tea.append([react("ann", 3, "👍", true), delete("bob", 3), edit("bob", 3, "back")]).await;
    tea.append([react("ann", 2, "👍", false)]).await;

    let history = tea.history(Page::newest(10)).await;
    assert_eq!(texts(&history), ["hello", "", "plain"]);
    let edited = history[0].folded.as_ref().expect("an edit leaves a trace");
    assert_eq!((edited.edited, edited.deleted), (Some(NOW.plus_ms(7)), false));
    let reactions: Vec<_> = edited.reactions.iter().map(|it| (&*it.emoji, it.users.clone())).collect();
    assert_eq!(reactions, [("👍", vec![user("bob")]), ("🍵", vec![user("bob")])]);
    let deleted = history[1].folded.as_ref().expect("a delete leaves a trace");
    assert_eq!((deleted.deleted, deleted.reactions.len(), history[1].seq), (true, 0, seq(3)));
    assert_eq!(history[2].folded, None);
}

pub async fn an_entry_changes_only_earlier_ones(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let share = [edit("ann", 3, "from the past"), text("ann", "3"), delete("ann", 4), react("ann", 9, "👍", true)];
    tea.append(share).await;
    tea.append([edit("ann", 1, "no message"), delete("ann", 4), edit("ann", 3, "4")]).await;
    assert_eq!(texts(&tea.history(Page::newest(10)).await), ["4"]);
    assert_eq!(tea.log().await.len(), 8);
}

pub async fn names_are_the_latest_seen(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    let known_as = async || {
        let members = store.members(tea.room, &Page::newest(10)).await.unwrap();
        members.iter().map(|member| member.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(known_as().await, ["ANN", "bob"]);
    tea.append([text("ann", "1"), text("bob", "2"), NewEntry { name: "Ann B.".into(), ..text("ann", "3") }]).await;
    assert_eq!(known_as().await, ["Ann B.", "BOB"]);

    let names = |entries: Vec<crate::Entry>| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    let latest = ["Ann B.", "Ann B.", "BOB", "Ann B."].map(Into::into);
    assert_eq!(names(tea.log().await), latest);
    assert_eq!(names(tea.history(Page::newest(10)).await), latest[1..]);
    let listed = tea.listed("bob").await.unwrap();
    assert_eq!((&*listed.last.unwrap().name, &*listed.member.unwrap().name), ("Ann B.", "BOB"));
    assert_eq!(&*tea.access("ann").await.member.unwrap().name, "Ann B.");
}
