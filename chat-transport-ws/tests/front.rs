//! The HTTP server before the WebSocket, with a service of its own.

#![allow(clippy::unwrap_used)]

mod common;

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use chat_transport_ws::{ClientAddress, Front, FrontConfig, PerAddress};
use common::{Raw, SOON, front_config};
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Told when a slow request is under way.
static SLOW_BEGUN: Notify = Notify::const_new();

/// Answers with the client's address; `/slow` after a while, `/panic` never.
async fn service(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    match request.uri().path() {
        "/slow" => {
            SLOW_BEGUN.notify_one();
            sleep(Duration::from_millis(300)).await;
        }
        "/panic" => panic!("as asked"),
        _ => {}
    }
    let address = request.extensions().get::<ClientAddress>().unwrap().0;
    Ok(Response::new(Full::from(address.to_string())))
}

async fn start(config: FrontConfig) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let front = Front::new(config);
    let served = tokio::spawn(async move {
        front.serve(listener, service_fn(service), async { drop(stopped.await) }).await.unwrap();
    });
    (address, stop, served)
}

async fn connect(address: SocketAddr) -> Raw {
    Raw { stream: TcpStream::connect(address).await.unwrap() }
}

async fn get(address: SocketAddr, path: &str, header: &str) -> String {
    let mut raw = connect(address).await;
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n").as_bytes()).await;
    let mut answer = String::new();
    let _ = timeout(SOON, raw.stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_service_learns_the_clients_address() {
    let (address, _stop, _) = start(front_config()).await;
    let answer = get(address, "/", "X-Forwarded-For: 6.6.6.6\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn a_proxy_of_ours_is_believed_and_not_limited() {
    let mut config = FrontConfig::default();
    config.proxies = chat_transport_ws::Proxies::Listed(vec!["127.0.0.1".parse().unwrap()]);
    config.per_address.connections_max = 0;
    let (address, _stop, _) = start(config).await;
    let answer = get(address, "/", "X-Forwarded-For: 192.0.2.7\r\n").await;
    assert!(answer.ends_with("\r\n192.0.2.7"), "{answer}");
}

#[tokio::test]
async fn one_address_gets_no_more_than_its_share() {
    let mut config = front_config();
    config.per_address.connections_max = 2;
    let (address, _stop, _) = start(config).await;
    let mut held = [connect(address).await, connect(address).await];
    for raw in &mut held {
        raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(raw.status().await, 200);
    }
    connect(address).await.ended().await;
    drop(held);
    timeout(SOON, async {
        while get(address, "/", "").await.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_burst_of_connects_is_cut_off() {
    let mut config = front_config();
    config.per_address = PerAddress::default();
    config.per_address.connects_burst = 5;
    let (address, _stop, _) = start(config).await;
    let mut served = 0;
    for _ in 0..20 {
        served += usize::from(!get(address, "/", "").await.is_empty());
    }
    assert!((5..10).contains(&served), "{served}");
}

#[tokio::test]
async fn an_idle_connection_is_given_up() {
    let mut config = front_config();
    config.head_within = Duration::from_millis(200);
    let (address, _stop, _) = start(config).await;
    let mut raw = connect(address).await;
    raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(raw.status().await, 200);
    raw.ended().await;
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let (address, _stop, _) = start(front_config()).await;
    assert_eq!(get(address, "/panic", "").await, "");
    assert!(get(address, "/", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn at_shutdown_requests_under_way_are_answered_and_no_new_ones_taken() {
    let (address, stop, served) = start(front_config()).await;
    let mut idle = connect(address).await;
    idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.status().await, 200);
    let mut slow = connect(address).await;
    slow.stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    timeout(SOON, SLOW_BEGUN.notified()).await.unwrap();
    stop.send(()).unwrap();
    assert_eq!(slow.status().await, 200);
    timeout(SOON, served).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
