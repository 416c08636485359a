//! Drives the shop over HTTP, as its customers do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;

use chat_engine::{Key, RoomId};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

async fn open() -> SocketAddr {
    let chat = super::open_chat("memory:").await.unwrap();
    let app = super::with_chat(super::shop_routes(chat.clone()), &chat).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app.with_state(super::shop())).await.unwrap() });
    address
}

async fn ask(address: SocketAddr, request: &str, session: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{request} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncookie: theme=dark; shop={session}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn customers_chat_under_their_own_login() {
    let shop = open().await;
    assert!(ask(shop, "GET /", "a1", "").await.contains("Welcome back, Ann"));

    let help = RoomId::named("help");
    for session in ["a1", "b2"] {
        let body = format!(r#"{{"key":"{}"}}"#, Key::generate());
        let joined = ask(shop, &format!("POST /chat/rooms/{help}/join"), session, &body).await;
        assert!(joined.starts_with("HTTP/1.1 201"), "{joined}");
    }
    let body = format!(r#"{{"key":"{}","body":{{"kind":"text","text":"where is my parcel?"}}}}"#, Key::generate());
    let sent = ask(shop, &format!("POST /chat/rooms/{help}/messages"), "a1", &body).await;
    assert!(sent.starts_with("HTTP/1.1 201"), "{sent}");

    let read = ask(shop, &format!("GET /chat/rooms/{help}/messages"), "b2", "").await;
    assert!(read.contains(r#""author":"1","name":"Ann""#) && read.contains("where is my parcel?"), "{read}");
}

#[tokio::test]
async fn that_an_order_is_paid_is_for_the_shop_to_say() {
    let shop = open().await;
    let paid = ask(shop, "POST /orders/4711/pay", "a1", "").await;
    assert!(paid.starts_with("HTTP/1.1 200"), "{paid}");

    let order = RoomId::named("order:4711");
    let read = ask(shop, &format!("GET /chat/rooms/{order}/messages"), "a1", "").await;
    assert!(read.contains(r#""kind":"shop.paid""#) && read.contains("Order 4711 is paid"), "{read}");
    let forged = format!(r#"{{"key":"{}","body":{{"kind":"shop.paid","text":"paid"}}}}"#, Key::generate());
    let forged = ask(shop, &format!("POST /chat/rooms/{order}/messages"), "a1", &forged).await;
    assert!(forged.starts_with("HTTP/1.1 403"), "{forged}");
}

#[tokio::test]
async fn who_is_not_signed_in_gets_the_shop_s_own_answer() {
    let shop = open().await;
    for path in ["/", "/chat/rooms", "/chat/ws"] {
        let answer = ask(shop, &format!("GET {path}"), "unknown", "").await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.ends_with("please sign in"), "{answer}");
    }
}

#[test]
fn the_readme_shows_this_very_code() {
    let marks = "\n// ----";
    let code = include_str!("main.rs").split(marks).nth(1).and_then(|rest| rest.split_once('\n')).unwrap().1;
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&format!("```rust\n{}\n```", code.trim())), "the README shows other code than {code}");
}
