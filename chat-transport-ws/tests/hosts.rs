//! Inside a host's own server: behind axum, and over a stream that is no socket.

#![allow(clippy::unwrap_used)]

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, extract::Request, routing::get};
use chat_core::{Engine, Identity, Peer, UserId};
use chat_transport_ws::{WsConfig, WsServer};
use futures::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

const SOON: Duration = Duration::from_secs(5);

async fn ws_server() -> WsServer {
    WsServer::new(Engine::builder().build().await.unwrap(), WsConfig::default())
}

/// Whom the host's own login has found.
fn ann() -> Peer {
    Peer::known(None, Identity::human(UserId::new("ann").unwrap(), "Ann"))
}

/// Says hello without a token, and goodbye.
async fn is_welcomed<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    socket.send(Message::text(r#"{"type":"hello","ref":1}"#)).await.unwrap();
    let welcome = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
    let text = welcome.into_text().unwrap();
    assert!(text.starts_with(r#"{"type":"welcome","ref":1,"#) && text.contains("\"ann\""), "{text}");
    socket.close(None).await.unwrap();
    while timeout(SOON, socket.next()).await.unwrap().is_some() {}
}

#[tokio::test]
async fn a_router_of_the_hosts_names_the_user() {
    let ws = ws_server().await;
    let server = ws.clone();
    let handler = move |mut request: Request| async move { server.upgrade(&mut request, ann()).map(Body::from) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/chat/ws", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/chat/ws", get(handler))).await });
    let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    is_welcomed(socket).await;
    assert!(ws.closed(SOON).await);
}

#[tokio::test]
async fn a_stream_that_is_no_socket_is_served_alike() {
    let ws = ws_server().await;
    let (theirs, ours) = tokio::io::duplex(4096);
    let server = ws.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let answer = server.upgrade(&mut request, ann()).map(Full::new);
        async { Ok::<_, Infallible>(answer) }
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(ours), service).with_upgrades());
    let (socket, _) = tokio_tungstenite::client_async("ws://chat.example/ws", theirs).await.unwrap();
    is_welcomed(socket).await;
    assert!(ws.closed(SOON).await);
}
