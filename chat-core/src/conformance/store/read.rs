//! What [`LogStore::read`](crate::LogStore::read) and [`LogStore::heads`](crate::LogStore::heads) return.

use super::{
    StoreUnderTest,
    setting::{NOW, Setting, again, delete, edit, positions, react, seq, text, texts, topic},
};
use crate::{
    model::{Body, Edit, NewEntry, RoomId, RoomSpec},
    store::{Head, Outcome},
};

pub async fn read_returns_the_log_in_order(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    let written = [text("ann", "helo"), edit("ann", 2, "hello"), react("bob", 2, "👍", true), text("bob", "hi")];
    let written = written.map(|new| NewEntry { sent_at: NOW.plus_ms(-5), ..new });
    tea.append(written.clone()).await;
    let expected: Vec<_> = written.iter().zip(2..).map(|(new, at)| new.at(tea.room, seq(at))).collect();
    assert_eq!(tea.log().await[1..], expected);
    assert_eq!(store.read(RoomId::named("none"), seq(0), 10).await.unwrap(), []);
}

pub async fn read_pages(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    tea.append((2..=10).map(|n| text("ann", &n.to_string())).collect::<Vec<_>>()).await;
    assert_eq!(positions(&tea.read(0, 4).await), [1, 2, 3, 4]);
    assert_eq!(positions(&tea.read(4, 4).await), [5, 6, 7, 8]);
    assert_eq!(positions(&tea.read(8, 4).await), [9, 10]);
    assert_eq!(tea.read(10, 4).await, []);
    assert_eq!(tea.read(9_007_199_254_740_990, 4).await, []);
    assert_eq!(tea.read(0, 0).await, []);
}

pub async fn a_deleted_message_reads_blank(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let (secret, other) = (text("ann", "secret"), text("ann", "other"));
    tea.append([secret.clone(), other, delete("ann", 2)]).await;
    let log = tea.log().await;
    assert_eq!(positions(&log), [1, 2, 3, 4]);
    assert_eq!((texts(&log), log[1].id, log[1].key), (vec!["", "other"], secret.id, secret.key));
}

pub async fn a_delete_takes_the_edits_along(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let (before, after) = (edit("ann", 2, "secret"), edit("ann", 2, "secret again"));
    tea.append([text("ann", "secre"), before.clone(), text("ann", "kept"), edit("ann", 4, "kept too")]).await;
    tea.append([delete("ann", 2)]).await;
    tea.append([after.clone(), edit("ann", 4, "kept as well")]).await;

    let log = tea.log().await;
    let written: Vec<_> = log.iter().map(|entry| entry.body.encode()).collect();
    assert!(written.iter().all(|body| !body.contains("secre")), "{written:?}");
    assert_eq!(written.iter().filter(|body| body.contains("kept")).count(), 3);
    let known = [Outcome::Duplicate(seq(3), before.id), Outcome::Duplicate(seq(7), after.id)];
    assert_eq!(tea.append([again(&before), again(&after)]).await, known);
}

pub async fn edits_of_a_message_are_read_in_order(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    tea.append([text("ann", "1"), edit("ann", 2, "2"), text("bob", "other"), edit("bob", 4, "o")]).await;
    tea.append([react("bob", 2, "👍", true), edit("ann", 2, "3"), edit("ann", 9, "of none"), edit("ann", 2, "4")])
        .await;
    let edits = async |target, after, limit| {
        let edits = store.edits(tea.room, seq(target), seq(after), limit).await.unwrap();
        edits.into_iter().map(|entry| (entry.seq.get(), entry.body)).collect::<Vec<_>>()
    };
    let said = |at, text: &str| (at, Body::Edit(Edit { target: seq(2), text: text.into() }));
    let all = [said(3, "2"), said(7, "3"), said(9, "4")];
    assert_eq!(edits(2, 2, 10).await, all);
    assert_eq!((edits(2, 0, 2).await, edits(2, 7, 10).await), (all[..2].to_vec(), all[2..].to_vec()));
    assert_eq!((edits(3, 0, 10).await, edits(4, 0, 10).await.len()), (vec![], 1));
    assert_eq!(store.edits(RoomId::named("none"), seq(2), seq(0), 10).await.unwrap(), []);
    assert_eq!(store.edits(tea.room, seq(9), seq(0), 10).await.unwrap(), [], "an edit of what comes later is none");
}

pub async fn heads_follow_the_log(store: StoreUnderTest) {
    let (tea, milk) = (Setting::new(store.clone()).await, Setting::at(&store, "milk"));
    milk.create("ann", RoomSpec::public("milk")).await;
    let last = text("ann", "last");
    tea.append_each([topic("ann", "green"), last.clone()]).await;

    let heads = store.heads(&[RoomId::named("none"), tea.room, milk.room, tea.room]).await.unwrap();
    assert_eq!(heads[0], Head::default());
    assert_eq!((heads[1].seq, heads[1].guard, heads[1].first), (seq(3), seq(2), seq(1)));
    assert!(heads[1].id.is_none_or(|id| id == last.id));
    assert_eq!((heads[2].seq, heads[2].guard, heads[3]), (seq(1), seq(0), heads[1]));
    assert_eq!(store.heads(&[]).await.unwrap(), []);
}
