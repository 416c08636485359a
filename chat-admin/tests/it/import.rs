use std::path::{Path, PathBuf};

use chat_engine::{Page, RoomId, chat_core::Timestamp};
use tempfile::TempDir;

use crate::{
    common::{admin, done},
    store::{talk, texts},
};

const OLD_CHAT: &str = r#"{"type":"room","room":"tea","title":"Tea","visibility":"public","created":1000,"members":[{"user":"ann","role":"owner"},{"user":"bob"}]}
{"type":"message","id":"m-1","author":"ann","name":"Ann","sent_at":1100,"text":"hello"}

{"type":"message","id":"m-2","author":"bob","name":"Bob","sent_at":1200,"text":"hello yourself","about":"m-1"}
{"type":"message","id":"m-3","author":"ann","sent_at":1300,"kind":"react","emoji":"👍","about":"m-2"}
{"type":"message","id":"m-4","author":"eve","sent_at":1400,"kind":"shop.order","text":"an order","data":{"id":1}}
"#;

struct Place {
    folder: TempDir,
    url: String,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    done(&["migrate", &url]);
    Place { folder, url }
}

impl Place {
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn import(&self, file: &Path, flags: &[&str]) -> crate::common::Said {
        admin(&[&["import", file.to_str().unwrap(), "--store", &self.url], flags].concat())
    }

    fn export(&self, room: &str) -> String {
        done(&["export-room", room, "--store", &self.url])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_keep_their_authors_and_times_and_a_second_import_changes_nothing() {
    let place = place();
    let file = place.file("old.jsonl", OLD_CHAT);
    assert_eq!(place.import(&file, &[]).out, "4 imported, 0 there already, 0 refused\n");
    let before = place.export("tea");
    assert_eq!(place.import(&file, &[]).out, "0 imported, 4 there already, 0 refused\n");
    assert_eq!(place.export("tea"), before);

    let store = chat_engine::open_store(&place.url).await.unwrap();
    let messages = store.history(RoomId::named("tea"), &Page::default()).await.unwrap();
    let told = |at: usize| (messages[at].author.as_str(), &*messages[at].name, messages[at].sent_at);
    assert_eq!(told(0), ("ann", "Ann", Timestamp(1100)), "a later line without a name changes none");
    assert_eq!(told(1), ("bob", "Bob", Timestamp(1200)));
    assert!(messages[0].at > Timestamp(1_700_000_000_000), "committed now, and not then");
    assert_eq!(messages[1].folded.as_ref().unwrap().reactions[0].emoji, "👍");
    assert_eq!(texts(&*store, "tea").await, ["hello", "hello yourself", "an order"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_lines_are_named_and_nothing_is_stored_unless_they_are_skipped() {
    let place = place();
    let bad = r#"{"type":"message","id":"m-5","author":"","sent_at":1,"text":"no author"}
no JSON
{"type":"message","id":"m-6","author":"ann","sent_at":1,"txt":"a typing error"}
{"type":"message","id":"m-7","author":"ann","sent_at":1,"kind":"edit","text":"of nothing","about":"m-99"}
{"type":"message","id":"m-8","author":"ann","sent_at":9999999999999,"text":"from the future"}
{"type":"message","id":"m-9","author":"ann","sent_at":1,"room":"nowhere","text":"hello?"}
{"type":"message","id":"m-1","author":"ann","sent_at":1,"text":"the same id"}
{"type":"message","id":"m-10","author":"ann","sent_at":1,"text":"the last one is good"}
"#;
    let file = place.file("bad.jsonl", &format!("{OLD_CHAT}{bad}"));
    let said = place.import(&file, &[]);
    assert_eq!((said.status, &*said.out), (Some(1), ""));
    for line in 7..=13 {
        assert!(said.err.contains(&format!("line {line}: ")), "{line} {said:?}");
    }
    assert!(!said.err.contains("line 14: ") && said.err.contains("7 bad lines; nothing was imported"), "{said:?}");
    assert_eq!(admin(&["export-room", "tea", "--store", &place.url]).status, Some(1), "the room was not made");

    let said = place.import(&file, &["--skip-bad"]);
    assert_eq!((said.status, &*said.out), (Some(1), "5 imported, 0 there already, 7 refused\n"));
    let mended = place.file("mended.jsonl", OLD_CHAT);
    assert_eq!(place.import(&mended, &[]).out, "0 imported, 4 there already, 0 refused\n");
}

#[test]
fn another_text_under_the_same_id_is_refused_and_named() {
    let place = place();
    place.import(&place.file("old.jsonl", OLD_CHAT), &[]);
    let said = place.import(&place.file("new.jsonl", &OLD_CHAT.replace("hello yourself", "goodbye")), &[]);
    assert_eq!((said.status, &*said.out), (Some(1), "0 imported, 2 there already, 2 refused\n"));
    assert!(said.err.contains("line 4: the room has another message with this id"), "{said:?}");
    assert!(said.err.contains("line 5: what it is about was refused"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exported_room_is_imported_as_the_same_room() {
    let (old, new) = (place(), place());
    talk(&old.url).await;
    let exported = old.export("order:4711");
    let file = old.file("order.jsonl", &exported);
    assert_eq!(old.import(&file, &[]).out, "0 imported, 6 there already, 0 refused\n", "into the room it came from");
    assert_eq!(new.import(&file, &[]).out, "6 imported, 0 there already, 0 refused\n");
    assert_eq!(new.export("order:4711"), exported);
    let store = chat_engine::open_store(&new.url).await.unwrap();
    assert_eq!(texts(&*store, "order:4711").await, ["where is my parcel?", "on its way", ""]);
    assert_eq!(new.export(&RoomId::named("order:4711").to_string()), exported, "by its id");
}
