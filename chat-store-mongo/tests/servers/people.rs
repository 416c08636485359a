//! Who is erased is in no collection.

use std::sync::Arc;

use chat_core::{
    Body, Draft, Engine, Hub, Identity, Limits, RoomSpec, Seq, Text, UserId, conformance::run, model::Edit, people,
};
use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde_json::json;

use crate::common::Place;

/// Stands in everything that bob is, says and is called.
const MARKER: &str = "marker-7f3a";

/// Returns every document of every collection as text.
async fn dump(place: &Place) -> String {
    let database = place.other().await;
    let mut dump = String::new();
    for name in database.list_collection_names().await.unwrap() {
        let all = database.collection::<Document>(&name).find(doc! {}).await.unwrap();
        let all: Vec<Document> = all.try_collect().await.unwrap();
        all.iter().for_each(|document| dump.push_str(&format!("{name}: {document}\n")));
    }
    dump
}

#[test]
#[ignore = "needs MongoDB: scripts/test"]
fn who_is_erased_is_in_no_collection() {
    run(async {
        let place = Place::make();
        let store = Arc::new(place.open().await);
        let engine = Engine::builder().store(store.clone()).limits(Limits::load_profile()).build().await.unwrap();
        let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new(MARKER).unwrap());
        let theirs = engine.hub(Identity::human(bob.clone(), format!("Bob {MARKER}")));
        let room = engine.hub(Identity::human(ann.clone(), "Ann"));
        let room = room.create(RoomSpec::private("tea").members([bob.clone()])).await.unwrap();
        room.post(Draft::text("hello from ann")).await.unwrap();
        let theirs_of_room = theirs.room(room.id()).await.unwrap();
        for number in 0..10 {
            let mut text = Text::new(format!("{MARKER} {number}"));
            text.data = json!({ "of": MARKER });
            theirs_of_room.post(Draft::new(Body::Text(text))).await.unwrap();
        }
        let edit = Edit { target: Seq::new(3).unwrap(), text: format!("{MARKER} edits") };
        theirs_of_room.post(Draft::new(Body::Edit(edit))).await.unwrap();
        theirs.direct(&ann).post(Draft::text(MARKER)).await.unwrap();
        assert!(dump(&place).await.contains(MARKER), "the marker can be found");

        let done = people::erase(&*store, &bob, |_| {}).await.unwrap();
        assert_eq!(done.rooms, 2);
        let left = dump(&place).await;
        assert!(!left.contains(MARKER), "{left}");
        assert!(left.contains("hello from ann"));
    });
}
