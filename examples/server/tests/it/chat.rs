//! Rooms and messages, over REST and WebSocket.

use serde_json::{Value, json};

use crate::{
    server::{Server, key},
    socket::Socket,
};

fn saying(text: &str) -> Value {
    json!({ "key": key(), "body": { "kind": "text", "text": text } })
}

/// Returns what the messages of a page say.
fn texts(page: &Value) -> Vec<&str> {
    page["entries"].as_array().unwrap().iter().map(|entry| entry["body"]["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn people_talk_live_in_a_room_they_made_and_joined() {
    let server = Server::start(&[]);
    let (ann, bob) = (server.token_of_new("ann").await, server.token_of_new("bob").await);
    let room = server.create_room(&ann, "tea").await;
    assert_eq!(server.get_as(&bob, "/chat/rooms?which=public").await.json()["rooms"][0]["room"], room.as_str());
    assert_eq!(server.get_as(&bob, &format!("/chat/rooms/{room}/messages")).await.error().0, 403);
    server.join(&bob, &room).await;

    let (mut ann, mut bob) = (Socket::open(&server, &ann).await, Socket::open(&server, &bob).await);
    bob.hear("followed").await;
    ann.post(&room, "hello").await;
    let heard = bob.hear_text().await;
    assert_eq!((heard["author"].as_str(), heard["name"].as_str()), (Some("ann"), Some("ann")));
    assert_eq!((heard["body"]["text"].as_str(), heard["room"].as_str()), (Some("hello"), Some(&*room)));
    bob.post(&room, "hello yourself").await;
    assert_eq!(ann.hear_text().await["body"]["text"], "hello");
    assert_eq!(ann.hear_text().await["body"]["text"], "hello yourself");
}

#[tokio::test]
async fn the_last_fifty_messages_come_oldest_first_and_page_back() {
    let server = Server::start(&["--load-profile"]);
    let ann = server.token_of_new("ann").await;
    let room = server.create_room(&ann, "tea").await;
    let messages = format!("/chat/rooms/{room}/messages");
    for number in 1..=60 {
        // The same text twice is two messages.
        assert_eq!(server.post_as(&ann, &messages, saying(&(number / 2).to_string())).await.status, 201);
    }
    let numbers = |range: std::ops::RangeInclusive<u32>| range.map(|n| (n / 2).to_string()).collect::<Vec<_>>();
    let newest = server.get_as(&ann, &messages).await.json();
    assert_eq!(texts(&newest), numbers(11..=60));
    let before = newest["entries"][0]["seq"].as_u64().unwrap();
    let older = server.get_as(&ann, &format!("{messages}?before={before}")).await.json();
    assert_eq!(texts(&older), numbers(1..=10));
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_crash() {
    let mut server = Server::start(&[]);
    let (ann, bob) = (server.token_of_new("ann").await, server.token_of_new("bob").await);
    let room = server.create_room(&ann, "tea").await;
    server.join(&bob, &room).await;
    let last = saying("remember me");
    let messages = format!("/chat/rooms/{room}/messages");
    let ack = server.post_as(&ann, &messages, last.clone()).await.json();
    server.crash_and_restart();

    let page = server.get_as(&bob, &messages).await.json();
    assert_eq!(texts(&page), ["remember me"]);
    let again = server.post_as(&ann, &messages, last).await.json();
    assert_eq!((&again["seq"], &again["id"]), (&ack["seq"], &ack["id"]), "the same key is the same message");
    let members = server.get_as(&ann, &format!("/chat/rooms/{room}/members")).await.json();
    let users: Vec<_> = members["members"].as_array().unwrap().iter().map(|member| &member["user"]).collect();
    assert_eq!(users, ["ann", "bob"]);
}

#[tokio::test]
async fn only_who_is_logged_in_connects_and_only_from_our_pages() {
    let server = Server::start(&[]);
    let ann = server.token_of_new("ann").await;
    let bearer = format!("Bearer {ann}");
    let cookie = format!("chat_session={ann}");
    let wrong = format!("Bearer {}", "0".repeat(64));
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", &*wrong)], 401),
        (vec![("cookie", &*cookie), ("origin", "https://evil.example")], 403),
        (vec![("cookie", &*cookie), ("origin", "null")], 403),
        (vec![("authorization", &*bearer), ("origin", "https://evil.example")], 403),
    ] {
        assert_eq!(Socket::try_open(&server, &headers).await.err(), Some(status), "{headers:?}");
    }
    for headers in [vec![("authorization", &*bearer)], vec![("cookie", &*cookie), ("origin", &*server.url)]] {
        assert!(Socket::try_open(&server, &headers).await.is_ok(), "{headers:?}");
    }
}

#[tokio::test]
async fn logging_out_ends_the_sockets_of_that_login_and_no_other() {
    let server = Server::start(&[]);
    let phone = server.token_of_new("ann").await;
    let laptop = server.login("ann").await.json()["token"].as_str().unwrap().to_owned();
    let room = server.create_room(&phone, "tea").await;
    let (on_phone, mut on_laptop) = (Socket::open(&server, &phone).await, Socket::open(&server, &laptop).await);
    assert_eq!(server.post_as(&phone, "/api/logout", json!({})).await.status, 204);
    assert_eq!(on_phone.closed().await.map(|why| u16::from(why.code)), Some(4003));
    on_laptop.post(&room, "still here").await;
    assert_eq!(on_laptop.hear_text().await["body"]["text"], "still here");
}

#[tokio::test]
async fn a_stopping_server_tells_its_clients_to_come_back() {
    let mut server = Server::start(&["--drain-grace", "8s"]);
    let ann = server.token_of_new("ann").await;
    let socket = Socket::open(&server, &ann).await;
    server.signal("TERM");
    assert_eq!(socket.closed().await.map(|why| u16::from(why.code)), Some(1012));
    assert_eq!(server.ended().code(), Some(0));
}
