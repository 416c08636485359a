//! Rooms and members.

use serde_json::json;

use crate::{
    on_every_store,
    site::{Site, id, key},
};

on_every_store!(
    a_new_room_is_where_its_location_says,
    a_creation_repeated_under_its_key_answers_the_same_room,
    a_named_room_is_created_once,
    a_room_is_found_by_the_host_s_own_name,
    rooms_are_listed_for_their_members_and_public_ones_for_all,
    rooms_page_back_by_activity,
    who_joins_is_a_member_until_they_leave,
    members_page_by_user_id_and_say_who_is_online,
);

async fn a_new_room_is_where_its_location_says(site: Site) {
    let request = json!({ "key": key(), "spec": { "title": "Trip", "members": ["bob"] } });
    let reply = site.post("ann", "/rooms", request).await;
    let room = reply.expect(201);
    assert_eq!((&room["type"], &room["title"]), (&json!("room"), &json!("Trip")));
    assert_eq!(room["role"], "owner");
    let location = reply.header("location").unwrap();
    assert_eq!(location, format!("rooms/{}", room["room"].as_str().unwrap()));
    // Relative to the address asked, `…/chat/rooms`.
    let found = site.get("bob", &format!("/{location}")).await.expect(200);
    assert_eq!(found["room"], room["room"]);
    assert_eq!(found["role"], "member");
}

async fn a_creation_repeated_under_its_key_answers_the_same_room(site: Site) {
    let request = json!({ "key": key(), "spec": { "title": "Trip" } });
    let first = site.post("ann", "/rooms", request.clone()).await.expect(201);
    let again = site.post("ann", "/rooms", request).await.expect(201);
    assert_eq!(first["room"], again["room"]);
}

async fn a_named_room_is_created_once(site: Site) {
    let first = site.public("ann", "order:4711").await;
    assert_eq!(site.public("ann", "order:4711").await, first);
    // Who asks for it by name gets it, and is not made a member by that.
    assert_eq!(site.public("bob", "order:4711").await, first);
    assert_eq!(id(&first), chat_engine::RoomId::named("order:4711"));
}

async fn a_room_is_found_by_the_host_s_own_name(site: Site) {
    let open = site.public("ann", "order:4711/a").await;
    site.room("ann", json!({ "name": "salaries" })).await;
    let found = site.get("bob", "/rooms/named/order%3A4711%2Fa").await.expect(200);
    assert_eq!((&found["type"], &found["room"]), (&json!("room"), &json!(id(&open).to_string())));
    assert!(found.get("role").is_none());
    site.join("bob", &open).await;
    assert_eq!(site.get("bob", "/rooms/named/order%3A4711%2Fa").await.expect(200)["role"], "member");
    let hidden = site.get("bob", "/rooms/named/salaries").await.expect_error(404, "not_found");
    for nowhere in ["nowhere", "%00", "e%CC%81", "0", &"x".repeat(129)] {
        assert_eq!(site.get("bob", &format!("/rooms/named/{nowhere}")).await.expect_error(404, "not_found"), hidden);
    }
    // What is under `named` is a name, also one that another route has for a last part.
    site.get("bob", "/rooms/named/messages").await.expect_error(404, "not_found");
}

async fn rooms_are_listed_for_their_members_and_public_ones_for_all(site: Site) {
    let open = site.public("ann", "open").await;
    let closed = site.room("ann", json!({ "title": "closed" })).await;
    let rooms = |reply: serde_json::Value| -> Vec<String> {
        let rooms = reply["rooms"].as_array().unwrap().iter();
        rooms.map(|room| format!("/rooms/{}", room["room"].as_str().unwrap())).collect()
    };
    let mut mine = rooms(site.get("ann", "/rooms").await.expect(200));
    mine.sort();
    let mut both = vec![open.clone(), closed.clone()];
    both.sort();
    assert_eq!(mine, both);
    assert!(rooms(site.get("bob", "/rooms?which=mine").await.expect(200)).is_empty());
    assert_eq!(rooms(site.get("bob", "/rooms?which=public").await.expect(200)), std::slice::from_ref(&open));
    // Of a public room everybody may know what the list says, and no more; of a private one only members.
    site.say("ann", &open, "hello").await.expect(201);
    let listed = site.get("bob", "/rooms?which=public").await.expect(200)["rooms"][0].clone();
    let mut one = site.get("bob", &open).await.expect(200);
    assert_eq!(one.as_object_mut().unwrap().remove("type"), Some("room".into()));
    assert_eq!(one, listed);
    assert!(one.get("last").is_none());
    site.get("bob", &format!("{open}/messages")).await.expect_error(403, "denied");
    site.get("bob", &closed).await.expect_error(404, "not_found");
}

async fn rooms_page_back_by_activity(site: Site) {
    for name in ["first", "second", "third"] {
        let room = site.public("ann", name).await;
        site.say("ann", &room, name).await.expect(201);
        // Activity is a time in ms: let it move on.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    let page = site.get("ann", "/rooms?limit=2").await.expect(200);
    assert_eq!([&page["rooms"][0]["name"], &page["rooms"][1]["name"]], ["third", "second"]);
    assert_eq!(page["rooms"][0]["last"]["body"]["text"], "third");
    let before = page["rooms"][1]["active"].as_i64().unwrap();
    let rest = site.get("ann", &format!("/rooms?limit=2&before={before}")).await.expect(200);
    assert_eq!(rest["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(rest["rooms"][0]["name"], "first");
}

async fn who_joins_is_a_member_until_they_leave(site: Site) {
    let room = site.public("ann", "open").await;
    site.say("bob", &room, "hello").await.expect_error(403, "denied");
    let joined = site.post("bob", &format!("{room}/join"), json!({ "key": key() })).await.expect(201);
    assert_eq!(joined["type"], "ack");
    assert_eq!(joined["seq"], 2);
    site.say("bob", &room, "hello").await.expect(201);
    site.post("bob", &format!("{room}/leave"), json!({ "key": key() })).await.expect(201);
    site.say("bob", &room, "hello?").await.expect_error(403, "denied");
    let closed = site.room("ann", json!({ "title": "closed" })).await;
    site.post("bob", &format!("{closed}/join"), json!({ "key": key() })).await.expect_error(404, "not_found");
}

async fn members_page_by_user_id_and_say_who_is_online(site: Site) {
    let room = site.room("ann", json!({ "title": "Trip", "members": ["bob", "eve"] })).await;
    let first = site.get("ann", &format!("{room}/members?limit=2")).await.expect(200);
    assert_eq!(first["members"][0]["user"], "ann");
    assert_eq!(first["members"][0]["name"], "ANN");
    assert_eq!(first["members"][0]["online"], false);
    assert_eq!(first["members"][1]["user"], "bob");
    let rest = site.get("ann", &format!("{room}/members?after_user=bob")).await.expect(200);
    assert_eq!(rest["members"].as_array().unwrap().len(), 1);
    assert_eq!(rest["members"][0]["user"], "eve");
    site.get("mallory", &format!("{room}/members")).await.expect_error(404, "not_found");
}
