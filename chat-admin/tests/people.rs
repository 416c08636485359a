//! People and old messages, by the real binary on a file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    process::{Command, Output},
};

use chat_core::{Body, Draft, Hub, Identity, Key, RoomSpec, Seq, Text, UserId, model::Edit};
use chat_engine::{Chat, ChatBuilder, Limits};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Stands in everything that bob is, says and is called.
const MARKER: &str = "marker-7f3a";

fn admin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat-admin")).args(arguments).output().expect("chat-admin runs")
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Makes a file in which bob has written, edited and deleted, and has left one room and stays in another.
async fn a_chat(folder: &Path) -> String {
    let url = format!("sqlite:{}", folder.join("chat.db").display());
    talk(Chat::builder().store(url.as_str())).await;
    url
}

async fn talk(chat: ChatBuilder) {
    let chat = chat.limits(Limits::load_profile()).build().await.unwrap();
    let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new(MARKER).unwrap());
    let hubs = [Identity::human(ann.clone(), "Ann"), Identity::human(bob.clone(), format!("Bob {MARKER}"))];
    let [ann_hub, bob_hub] = hubs.map(|who| chat.hub(who));
    for title in ["stays", "left"] {
        let room = ann_hub.create(RoomSpec::private(title).members([bob.clone()])).await.unwrap();
        room.post(Draft::text("hello from ann")).await.unwrap();
        let theirs = bob_hub.room(room.id()).await.unwrap();
        for number in 0..50 {
            let mut text = Text::new(format!("{MARKER} says {number}"));
            text.data = json!({ "of": MARKER });
            theirs.post(Draft::new(Body::Text(text))).await.unwrap_or_else(|error| panic!("{error:?}"));
            if number % 10 == 0 {
                let target = Seq::new(3).unwrap();
                theirs.post(Draft::new(Body::Edit(Edit { target, text: format!("{MARKER} edits") }))).await.unwrap();
            }
        }
        theirs.post(Draft::new(Body::Delete(Seq::new(5).unwrap()))).await.unwrap();
        if title == "left" {
            let leave =
                chat_core::model::MemberChange { user: bob.clone(), change: chat_core::model::Membership::Leave };
            theirs.post(Draft::new(Body::Member(leave))).await.unwrap();
        }
    }
    bob_hub.direct(&ann).post(Draft::text(MARKER)).await.unwrap();
}

/// Tells whether a marker stands anywhere in the files of a database: pages that are free or old, too.
fn is_in_files(folder: &Path, marker: &str) -> bool {
    let files = loop {
        let files = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()));
        match files.collect::<Result<Vec<_>, _>>() {
            Ok(files) => break files,
            // Whoever closes the database last takes its log away, with what is in it written to the database before.
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
    };
    files.into_iter().any(|bytes| bytes.windows(marker.len()).any(|window| window == marker.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_erased_is_in_no_byte_of_the_files_and_was_handed_out_before() {
    let folder = TempDir::new().unwrap();
    let url = a_chat(folder.path()).await;
    assert!(is_in_files(folder.path(), MARKER) && is_in_files(folder.path(), "hello from ann"));

    let lines = said(&admin(&["export-user", MARKER, "--store", &url]));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({ "type": "person", "user": MARKER, "name": format!("Bob {MARKER}") }));
    let texts = lines.iter().filter(|line| line["body"]["kind"] == "text" && line["author"] == MARKER).count();
    assert_eq!(texts, 101);
    let rooms = lines.iter().filter(|line| line["type"] == "room").count();
    assert_eq!(rooms, 4, "two rooms, one of two, and the inbox");

    assert!(!admin(&["erase-user", MARKER, "--store", &url]).status.success(), "only if it is meant");
    assert!(is_in_files(folder.path(), MARKER));
    let erased = said(&admin(&["erase-user", MARKER, "--store", &url, "--yes"]));
    assert!(erased.ends_with("in 3 rooms\n"), "{erased}");
    assert!(!is_in_files(folder.path(), MARKER), "nothing is left");
    assert!(is_in_files(folder.path(), "hello from ann"), "what others wrote stays");
    let again = said(&admin(&["erase-user", MARKER, "--store", &url, "--yes"]));
    assert_eq!(again, "erased: 0 entries in 0 rooms\n");
    assert!(!admin(&["export-user", MARKER, "--store", &url]).status.success(), "there is nothing to hand out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_erased_from_two_stores_is_in_no_byte_of_either() {
    let folder = TempDir::new().unwrap();
    let [rooms, messages] = ["rooms", "messages"].map(|name| format!("sqlite:{}/{name}.db", folder.path().display()));
    talk(Chat::builder().store(rooms.as_str()).messages(messages.as_str())).await;

    let half = admin(&["erase-user", MARKER, "--store", &rooms, "--yes"]);
    assert!(!half.status.success() && is_in_files(folder.path(), MARKER));
    assert!(String::from_utf8_lossy(&half.stderr).contains("has rooms and no messages"), "{half:?}");
    let both = ["--store", &rooms, "--messages", &messages];
    let lines = said(&admin(&[&["export-user", MARKER], &both[..]].concat()));
    assert_eq!(lines.lines().filter(|line| line.contains("\"type\":\"room\"")).count(), 4);
    let erased = said(&admin(&[&["erase-user", MARKER, "--yes"], &both[..]].concat()));
    assert!(erased.ends_with("in 3 rooms\n"), "{erased}");
    assert!(!is_in_files(folder.path(), MARKER), "nothing is left");
    assert!(is_in_files(folder.path(), "hello from ann"), "what others wrote stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trim_forgets_what_is_old_and_keeps_the_last_hour() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let chat = Chat::open(url.as_str()).await.unwrap();
    let room = chat.hub(Identity::system()).create(RoomSpec::public("tea").named("tea")).await.unwrap();
    for number in 0..10 {
        // Keys of a week ago, as those of an import have.
        let key = Key::new(Key::generate().unix_ms() - 7 * 86_400_000 + number, [number.try_into().unwrap(); 10]);
        room.post(Draft { key, ..Draft::text(number.to_string()) }).await.unwrap();
    }
    let forgotten = |arguments: &[&str]| said(&admin(&[&["trim", &url], arguments].concat()));
    assert_eq!(forgotten(&["--days", "1"]), "0 entries forgotten\n", "they were committed just now");
    assert_eq!(forgotten(&["--count", "4", "--room", "other"]), "0 entries forgotten\n");
    assert_eq!(
        forgotten(&["--count", "4", "--room", "tea"]),
        "7 entries forgotten\n",
        "of the creation and ten messages"
    );
    assert_eq!(forgotten(&["--count", "4"]), "0 entries forgotten\n");
    room.post(Draft::text("new")).await.unwrap();
    assert_eq!(forgotten(&["--count", "4"]), "1 entries forgotten\n");
    assert_eq!(forgotten(&["--count", "0"]), "3 entries forgotten\n", "the last one stays");
    assert!(!admin(&["trim", &url]).status.success(), "by age or by count");
}
