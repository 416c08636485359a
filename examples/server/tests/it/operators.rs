//! Health, metrics, logs, and how the server stops.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::server::{PATIENCE, Server};

#[tokio::test]
async fn operators_see_health_and_metrics_on_a_listener_of_their_own() {
    let server = Server::start(&[]);
    assert_eq!(server.operator("/live").await.text, "alive\n");
    assert_eq!(server.operator("/ready").await.text, "ready\n");
    server.get("/api/info").await;
    let metrics = server.operator("/metrics").await;
    assert!(metrics.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    for line in [
        "chat_http_requests_total{method=\"GET\",route=\"/api/info\",status=\"200\"} 1",
        "chat_http_request_seconds_bucket{",
    ] {
        assert!(metrics.text.contains(line), "{line} is not in\n{}", metrics.text);
    }
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(server.get(path).await.status, 404, "{path} is not for people");
    }
}

#[tokio::test]
async fn a_signal_ends_the_server_in_order_and_in_time() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&["--drain-grace", "5s"]);
        let began = Instant::now();
        server.signal(signal);
        assert_eq!(server.ended().code(), Some(0), "{signal}");
        assert!(began.elapsed() < Duration::from_secs(25), "{signal}: {:?}", began.elapsed());
        assert!(server.log().contains("stopped"));
    }
}

/// Begins a request that never ends, which is what a stopping server waits for.
fn half_a_request(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head = "POST /api/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[tokio::test]
async fn what_does_not_end_is_left_behind_when_the_grace_is_over() {
    let mut server = Server::start(&["--drain-grace", "1s"]);
    let request = half_a_request(&server);
    server.get("/api/info").await; // by now the other connection is being served, too
    let began = Instant::now();
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    drop(request);
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let mut server = Server::start(&["--drain-grace", "1m"]);
    let request = half_a_request(&server);
    server.get("/api/info").await;
    let began = Instant::now();
    server.signal("TERM");
    while !server.log().contains("stopping") {
        assert!(began.elapsed() < PATIENCE, "it does not stop");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    drop(request);
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let server = Server::start(&[]);
    let id = async |given: &str| {
        let request = server.request(reqwest::Method::GET, "/api/info").header("x-request-id", given);
        crate::server::send(request).await.headers["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id("abc-123").await, "abc-123");
    assert_eq!(id("forged line").await.len(), 32);
    assert_ne!(id("").await, id("").await);
}

#[tokio::test]
async fn log_lines_are_json_when_asked_for() {
    let server = Server::start(&["--log-format", "json"]);
    server.register("ann").await;
    let log = server.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let registered = lines.iter().find(|line| line["message"] == "registered").expect("an audit line");
    assert!(registered["user"].as_str().unwrap().contains("ann") && registered["address"] == "127.0.0.1");
}
