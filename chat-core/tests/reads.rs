//! What users may read.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use chat_core::{Draft, Hub, Page, RoomSpec, protocol::Target};
use common::{human, join, user};

#[tokio::test]
async fn where_a_room_hides_what_was_before_the_join_its_last_message_is_hidden_too() {
    let engine = common::engine().await;
    let room = engine.hub(human("ann")).create(RoomSpec::public("r").since_join()).await.unwrap();
    room.post(Draft::text("before")).await.unwrap();
    let bob = engine.hub(human("bob"));
    bob.post_to(Target::Room(room.id()), join("bob")).await.unwrap();
    assert_eq!(bob.rooms(Page::default()).await.unwrap()[0].last, None);
    assert_eq!(bob.summary(room.id()).await.unwrap().last, None);
    room.post(Draft::text("after")).await.unwrap();
    let last = bob.rooms(Page::default()).await.unwrap()[0].last.clone().unwrap();
    assert_eq!(last.body.text(), Some("after"));
    assert_eq!(last.author, user("ann"));
}
