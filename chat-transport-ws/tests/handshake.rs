//! Bad requests for a WebSocket, over a socket: each is answered with its status, and others are served on.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Raw, Server, front_config, request, ws_config};
use std::time::{Duration, Instant};

async fn status_of(server: &Server, request: &[u8]) -> u16 {
    let mut raw = server.connect().await;
    raw.send(request).await;
    raw.status().await
}

#[tokio::test]
async fn w1_to_w4_a_wrong_upgrade_is_answered_with_its_status() {
    let server = Server::start().await;
    let good = String::from_utf8(request(&[])).unwrap();
    let cases = [
        ("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 426),
        (good.replace("GET", "POST"), 405),
        (good.replace("Version: 13", "Version: 8"), 426),
        (good.replace("Sec-WebSocket-Key", "X-Key"), 400),
        (good.replace(common::KEY, "c2hvcnQ="), 400),
        (good.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Key: {}\r\n\r\n", common::KEY)), 400),
        (good.replace("/ws", "/other"), 404),
        (good, 101),
    ];
    for (request, status) in cases {
        assert_eq!(status_of(&server, request.as_bytes()).await, status, "{request}");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn w3_the_version_that_is_spoken_is_named() {
    let server = Server::start().await;
    let mut raw = server.connect().await;
    raw.send(&String::from_utf8(request(&[])).unwrap().replace("Version: 13", "Version: 8").into_bytes()).await;
    assert!(raw.head().await.contains("sec-websocket-version: 13"));
    server.still_serves().await;
}

#[tokio::test]
async fn w5_too_many_headers_are_refused() {
    let server = Server::start().await;
    for count in [101, 2000] {
        let headers = vec![("X", "y"); count];
        assert_eq!(status_of(&server, &request(&headers)).await, 431, "{count}");
    }
    server.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w6_a_head_of_70_kib_byte_by_byte_is_cut_off_at_64() {
    let server = Server::start().await;
    let mut raw = server.connect().await;
    raw.stream.set_nodelay(true).unwrap();
    raw.send(b"GET /ws HTTP/1.1\r\nHost: a\r\nX: ").await;
    let mut sent = 30;
    while sent < 70 * 1024 && raw.send(b"y").await {
        sent += 1;
    }
    assert_eq!(raw.status().await, 431);
    server.still_serves().await;
}

#[tokio::test]
async fn w7_a_head_that_never_ends_is_given_up() {
    let mut front = front_config();
    front.head_within = Duration::from_millis(300);
    let server = Server::with(ws_config(), front).await;
    let began = Instant::now();
    let mut halves = [server.connect().await, server.connect().await];
    halves[0].send(b"GET /ws HTTP/1.1\r\nHost").await;
    for half in &mut halves {
        half.ended().await;
    }
    assert!(began.elapsed() >= Duration::from_millis(250));
    server.still_serves().await;
}

#[tokio::test]
async fn w8_a_subprotocol_list_that_is_none_is_refused() {
    let server = Server::start().await;
    let mut bytes = request(&[("Sec-WebSocket-Protocol", "b")]);
    let at = bytes.windows(3).position(|window| window == b" b\r").unwrap() + 1;
    bytes[at] = 0xFF;
    assert_eq!(status_of(&server, &bytes).await, 400);
    let long = format!("b{}c", " ".repeat(32_000));
    assert_eq!(status_of(&server, &request(&[("Sec-WebSocket-Protocol", &long)])).await, 400);
    server.still_serves().await;
}

#[tokio::test]
async fn w9_extensions_are_ignored() {
    let server = Server::start().await;
    let long = format!("x{}", "; a=1".repeat(10_000));
    for offer in ["constructor", "__proto__", "permessage-deflate", &long] {
        let mut raw = server.connect().await;
        raw.send(&request(&[("Sec-WebSocket-Extensions", offer)])).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101") && !head.contains("extensions"), "{head}");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn w10_a_foreign_page_is_refused() {
    let server = Server::start().await;
    for foreign in ["https://evil.example", "null", "https://chat.example.evil.com", "https://CHAT.example"] {
        assert_eq!(status_of(&server, &request(&[("Origin", foreign)])).await, 403, "{foreign}");
    }
    assert_eq!(status_of(&server, &request(&[("Origin", "https://chat.example")])).await, 101);
    server.still_serves().await;
}

#[tokio::test]
async fn w11_a_request_with_two_lengths_is_refused() {
    let server = Server::start().await;
    let lengths = [
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
    ];
    for lengths in lengths {
        let request = format!("POST /ws HTTP/1.1\r\nHost: a\r\n{lengths}\r\nabc");
        assert_eq!(status_of(&server, request.as_bytes()).await, 400, "{lengths}");
    }
    server.still_serves().await;
}

#[tokio::test]
async fn one_address_gets_no_more_than_its_share() {
    let mut config = ws_config();
    config.per_address.connections_max = 3;
    let server = Server::with(config, front_config()).await;
    let held: [Raw; 3] = [server.shaken().await, server.shaken().await, server.shaken().await];
    assert_eq!(status_of(&server, &request(&[])).await, 429);
    drop(held);
    assert!(server.ws.closed(common::SOON).await);
    server.still_serves().await;
}
