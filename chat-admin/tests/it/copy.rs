use chat_engine::{Draft, Hub, Identity, RoomId, RoomSpec, chat_core::Page};
use tempfile::TempDir;

use crate::{
    common::{admin, done},
    store::{seq, talk, texts},
};

struct Two {
    _folder: TempDir,
    from: String,
    to: String,
}

async fn two() -> Two {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let (from, to) = (url("from.db"), url("to.db"));
    talk(&from).await;
    Two { _folder: folder, from, to }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_copied_and_compared_and_a_second_time_nothing_changes() {
    let two = two().await;
    for _ in 0..2 {
        let said = done(&["copy", &two.from, &two.to]);
        assert!(said.starts_with("4 rooms, "), "two rooms and two inboxes: {said}");
        assert!(
            said.ends_with(&format!("2 read marks: the same in {} and {}\n", two.from, two.to))
                || said.contains("1 read marks"),
            "{said}"
        );
    }
    let copy = chat_engine::open_store(&two.to).await.unwrap();
    assert_eq!(texts(&*copy, "order:4711").await, ["where is my parcel?", "on its way", ""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_off_goes_on_where_it_stopped() {
    let two = two().await;
    let [from, to] =
        [chat_engine::open_restore(&two.from).await.unwrap(), chat_engine::open_restore(&two.to).await.unwrap()];
    let rooms = from.logs(None, 10).await.unwrap();
    let state = from.state(rooms[0]).await.unwrap().unwrap();
    let entries = from.kept(rooms[0], seq(1).prev(), 1).await.unwrap();
    to.restore(&chat_engine::chat_core::store::Part { state, entries, members: Vec::new() }).await.unwrap();
    drop((from, to));
    let said = admin(&["copy", &two.from, &two.to]);
    assert!(said.err.contains("4 rooms in") && said.err.contains(", 1 in"), "{said:?}");
    assert_eq!(said.status, Some(0), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_store_is_not_written_to() {
    let two = two().await;
    let chat = chat_engine::Chat::open(&*two.to).await.unwrap();
    let other = chat.hub(Identity::system()).create(RoomSpec::public("Other").named("order:4711")).await.unwrap();
    other.post(Draft::text("mine")).await.unwrap();
    drop((other, chat));
    let said = admin(&["copy", &two.from, &two.to]);
    assert_eq!(said.status, Some(1));
    assert!(said.err.contains("is another one"), "{said:?}");
    let store = chat_engine::open_restore(&two.to).await.unwrap();
    assert_eq!(store.read(RoomId::named("order:4711"), seq(1), 10).await.unwrap().len(), 1);
    assert_eq!(store.logs(None, 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_server_has_open_is_not_copied() {
    let two = two().await;
    let chat = chat_engine::Chat::open(&*two.from).await.unwrap();
    chat.hub(Identity::system()).rooms(Page::default()).await.unwrap();
    let said = admin(&["copy", &two.from, &two.to]);
    assert_eq!(said.status, Some(1));
    assert!(said.err.contains("is in use: stop the server first"), "{said:?}");
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("typo.db");
    let said = admin(&["copy", &format!("sqlite:{}", from.display()), "memory:"]);
    assert!(said.status == Some(1) && said.err.contains("is not there"), "{said:?}");
    assert!(!from.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_rooms_in_two_stores_are_copied_together_or_not_at_all() {
    let two = two().await;
    let [rooms, messages, one, all] =
        ["rooms", "messages", "one", "all"].map(|name| two.to.replace("to.db", &format!("{name}.db")));
    let trimmed = admin(&["copy", &two.from, &rooms, "--to-messages", &messages]);
    assert!(trimmed.err.contains("restore a trimmed log into two stores"), "{trimmed:?}");

    let chat = chat_engine::Chat::open(&*all).await.unwrap();
    let tea = chat.hub(Identity::system()).create(RoomSpec::public("Tea").named("tea")).await.unwrap();
    tea.post(Draft::text("green")).await.unwrap();
    drop((tea, chat));
    let [rooms, messages] = [rooms, messages].map(|url| url.replace(".db", "2.db"));
    let apart = done(&["copy", &all, &rooms, "--to-messages", &messages]);
    let half = admin(&["copy", &rooms, &one]);
    assert_eq!(half.status, Some(1));
    assert!(half.err.contains("has rooms and no messages: say in which store those are"), "{half:?}");
    let together = done(&["copy", &rooms, &one, "--from-messages", &messages]);
    let counts = |said: &str| said.split_once(':').map(|(counts, _)| counts.to_owned()).unwrap();
    assert_eq!(counts(&apart), counts(&together));
    let copy = chat_engine::open_store(&one).await.unwrap();
    assert_eq!(texts(&*copy, "tea").await, ["green"]);
}
