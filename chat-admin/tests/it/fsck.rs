use chat_core::{
    Body, Draft, EntryId, Key, LogStore, Page, RoomId, RoomSpec, RoomStore, Seq, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::{Append, FullStore, Projected},
};

use crate::common::{admin, done};

/// Makes a room with one message.
async fn talk(store: &dyn FullStore) -> RoomId {
    let room = RoomId::named("tea");
    let entries =
        [Body::Room(RoomChange::Created(RoomSpec::private("tea"))), Draft::text("a secret").body].map(|body| {
            let id = EntryId::from_bytes(*Key::generate().as_bytes());
            NewEntry::new(id, Draft::new(body), UserId::new("ann").unwrap(), "Ann".into(), Timestamp(1_750_000_000_000))
        });
    store.append(&[Append { room, guard: Some(Seq::ZERO), entries: entries.into() }]).await.unwrap();
    room
}

/// Makes the room say something else than its log, as nobody but a bug or somebody's hand would.
async fn damage(store: &dyn FullStore, room: RoomId) {
    let access = store.access(room, &UserId::system()).await.unwrap().unwrap();
    let head = store.heads(&[room]).await.unwrap()[0];
    let (record, guard, head_id) = (access.room, access.guard, head.id.unwrap());
    let nobody = Projected { active: record.created, record, members: Vec::new(), head: head.seq, head_id, guard };
    store.set_room(&nobody).await.unwrap();
}

#[tokio::test]
async fn what_differs_from_the_log_is_named_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let store = chat_engine::open_full_store(&url).await.unwrap();
    let room = talk(&*store).await;
    assert_eq!(done(&["fsck", &url]), "1 rooms with 2 entries: 0 differed, 0 differ\n");

    damage(&*store, room).await;
    let said = admin(&["fsck", &url]);
    let named = format!("{room}: the membership of ann differs\n1 rooms with 2 entries: 1 differed, 1 differ\n");
    assert_eq!((said.status, said.out), (Some(1), named));
    let repaired =
        format!("{room}: the membership of ann differs (repaired)\n1 rooms with 2 entries: 1 differed, 0 differ\n");
    assert_eq!(done(&["fsck", "--repair", &url]), repaired);
    assert_eq!(done(&["fsck", &url]), "1 rooms with 2 entries: 0 differed, 0 differ\n");
    assert_eq!(store.members(room, &Page::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_of_rooms_is_made_anew_from_the_store_of_messages() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let (messages, rooms) = (url("messages.db"), url("rooms.db"));
    let room = talk(&*chat_engine::open_full_store(&messages).await.unwrap()).await;
    let clean = "1 rooms with 2 entries: 0 differed, 0 differ\n";
    assert_eq!(done(&["fsck", &rooms, "--messages", &messages]), clean);

    damage(&*chat_engine::open_full_store(&rooms).await.unwrap(), room).await;
    assert_eq!(admin(&["fsck", &rooms, "--messages", &messages]).status, Some(1));
    done(&["fsck", "--repair", &rooms, "--messages", &messages]);
    assert_eq!(done(&["fsck", &rooms, "--messages", &messages]), clean);
}
