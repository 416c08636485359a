//! Who is erased is in no table.

use chat_core::{
    Body, Draft, Hub, Identity, Key, Limits, RoomSpec, Seq, Text, UserId,
    model::{Edit, React},
    people,
};
use serde_json::json;
use std::sync::Arc;

use crate::common::{Other, Place};

on_both!(who_is_erased_is_in_no_table);

/// Stands in everything that bob is, says and is called.
const MARKER: &str = "marker-7f3a";

/// Counts what holds the marker in any text of any table.
const POSTGRES: &str = "
    SELECT count(*) FROM pg_tables AS t
    WHERE t.schemaname = current_schema()
      AND query_to_xml(format('SELECT * FROM %I.%I', t.schemaname, t.tablename), true, false, '')::text LIKE '%marker-7f3a%'";

const MYSQL: &str = "
    SELECT (SELECT count(*) FROM chat_users WHERE concat_ws(' ', CAST(id AS CHAR), name) LIKE '%marker-7f3a%')
         + (SELECT count(*) FROM chat_entries WHERE concat_ws(' ', body, shown) LIKE '%marker-7f3a%')
         + (SELECT count(*) FROM chat_rooms WHERE record LIKE '%marker-7f3a%')";

async fn found(place: &Place, other: &mut Other) -> i64 {
    other.number(if place.is_postgres() { POSTGRES } else { MYSQL }).await
}

async fn who_is_erased_is_in_no_table(place: Place) {
    let store = Arc::new(place.open().await);
    let engine =
        chat_core::Engine::builder().store(store.clone()).limits(Limits::load_profile()).build().await.unwrap();
    let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new(MARKER).unwrap());
    let theirs = engine.hub(Identity::human(bob.clone(), format!("Bob {MARKER}")));
    let room = engine.hub(Identity::human(ann.clone(), "Ann"));
    let room = room.create(RoomSpec::private("tea").members([bob.clone()])).await.unwrap();
    room.post(Draft::text("hello from ann")).await.unwrap();
    let theirs_of_room = theirs.room(room.id()).await.unwrap();
    for number in 0..150 {
        let mut text = Text::new(format!("{MARKER} {number}"));
        text.data = json!({ "of": MARKER });
        theirs_of_room.post(Draft { key: Key::generate(), body: Body::Text(text) }).await.unwrap();
    }
    let edit = Edit { target: Seq::new(3).unwrap(), text: format!("{MARKER} edits") };
    theirs_of_room.post(Draft::new(Body::Edit(edit))).await.unwrap();
    let react = React { target: Seq::new(2).unwrap(), emoji: "👍".into(), on: true };
    theirs_of_room.post(Draft::new(Body::React(react))).await.unwrap();
    theirs.direct(&ann).post(Draft::text(MARKER)).await.unwrap();
    let mut other = place.other().await;
    assert!(found(&place, &mut other).await > 1, "the marker can be found");

    let done = people::erase(&*store, &bob, |_| {}).await.unwrap();
    assert!(done.rooms == 2 && done.entries > 150, "{done:?}");
    assert_eq!(found(&place, &mut other).await, 0);
    let left = room.history(chat_core::Page::newest(200)).await.unwrap();
    assert_eq!((left.len(), left[0].body.text()), (151, Some("hello from ann")));
    assert!(left[1..].iter().all(|entry| entry.author.is_stand_in() && entry.body.text() == Some("")));
}
