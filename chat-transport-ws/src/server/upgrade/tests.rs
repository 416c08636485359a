//! The socket comes back from every HTTP server it may have gone through.

#![allow(clippy::unwrap_used)]

use axum::{Router, extract::Request as AxumRequest, routing::get};
use hyper_util::service::TowerToHyperService;
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::mpsc};

use super::*;
use crate::{Front, FrontConfig, Origins};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nand early bytes";

/// A router that reports what the upgraded connection is taken apart into.
fn router() -> (Router, mpsc::UnboundedReceiver<(Io, Bytes)>) {
    let (report, reports) = mpsc::unbounded_channel();
    let handler = move |mut request: AxumRequest| async move {
        let answer = handshake::check(&request, &Origins::default()).unwrap();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { report.send(take_apart(upgrade.await.unwrap(), 64 * 1024)) });
        answer.map(axum::body::Body::from)
    };
    (Router::new().route("/", get(handler)), reports)
}

async fn ask(listener: &TcpListener) -> TcpStream {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    client
}

#[tokio::test]
async fn the_socket_comes_back_from_axums_server() {
    let (router, mut reports) = router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = ask(&listener).await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (io, read) = reports.recv().await.unwrap();
    assert!(matches!(io, Io::Tcp(_)));
    assert_eq!(read, "and early bytes");
}

#[tokio::test]
async fn the_socket_comes_back_from_a_router_behind_our_front() {
    let (router, mut reports) = router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = ask(&listener).await;
    let front = Front::new(FrontConfig::default());
    tokio::spawn(async move { front.serve(listener, TowerToHyperService::new(router), std::future::pending()).await });
    let (io, read) = reports.recv().await.unwrap();
    assert!(matches!(io, Io::Tcp(_)));
    assert_eq!(read, "and early bytes");
}

#[tokio::test]
async fn the_task_of_a_connection_stays_small() {
    let server = WsServer::new(Engine::builder().build().await.unwrap(), WsConfig::default());
    let (stream, _client) = tokio::io::duplex(1);
    let session = |outbox| server.shared.session(Peer::unknown(None), outbox);
    let task = connection::run(&server.shared, Io::foreign(stream), Bytes::new(), session);
    // With the read buffer (2 KiB), the outbox and tokio's own this makes 4 KB per idle connection.
    assert!(size_of_val(&task) <= 1100, "{}", size_of_val(&task));
}
