//! The HTTP side: every way in which a quote service can fail, on a real socket.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use axum::http::{Method, StatusCode};
use futures::{StreamExt, stream};
use stock_bot::{Reason, SourceConfig};

use crate::fixture::{GOOD, TIMEOUT, Upstream, code, source};

/// What a wait may take on a busy machine on top of its time-out.
const SLACK: Duration = Duration::from_secs(2);

/// [`GOOD`], packed: unpacked it would be a quote.
const GOOD_GZIP: [u8; 49] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x0b, 0xae, 0xcc, 0x4d, 0xca, 0xcf, 0xd1, 0x71, 0xce,
    0xc9, 0x2f, 0x4e, 0xe5, 0xe5, 0x72, 0x74, 0x0c, 0xf0, 0xd1, 0x0b, 0x0d, 0xd6, 0xb1, 0x34, 0xd6, 0x33, 0x31, 0xe2,
    0xe5, 0x02, 0x00, 0x38, 0xa1, 0x2f, 0xec, 0x1d, 0x00, 0x00, 0x00,
];

#[tokio::test]
async fn a_good_reply_is_a_quote() {
    let upstream = Upstream::answering(|_| GOOD).await;
    let quote = upstream.quote().await.unwrap();
    assert_eq!(quote.to_string(), "AAPL.US quote is $93.42 per share");
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test]
async fn the_request_is_a_plain_get_with_the_code_in_its_slot() {
    let upstream = Upstream::answering(|request| {
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.uri(), "/q?s=%5ESPX&apikey=k%261");
        let sent = request.headers();
        assert!(!sent.contains_key("accept-encoding") && !sent.contains_key("referer"));
        "Symbol,Close\n^SPX,5509.01\n"
    })
    .await;
    let source = source(upstream.config().api_key("k&1"));
    let quote = source.quote(&code("^spx")).await.unwrap();
    assert_eq!(quote.to_string(), "^SPX quote is $5509.01 per share");
}

#[tokio::test]
async fn any_status_but_200_is_refused_v13() {
    for (status, reason) in [
        (500, Reason::Unavailable),
        (503, Reason::Unavailable),
        (404, Reason::Unavailable),
        (206, Reason::Unavailable),
        (429, Reason::Busy),
        (401, Reason::Denied),
        (403, Reason::Denied),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let upstream = Upstream::answering(move |_| (status, GOOD)).await;
        assert_eq!(upstream.reason().await, reason, "{status}");
        assert_eq!(upstream.hits(), 1, "{status}: asked again");
    }
}

#[tokio::test]
async fn a_redirect_is_never_followed_v12() {
    let inside = Upstream::answering(|_| GOOD).await;
    let elsewhere = format!("http://{}/q?s=AAPL.US", inside.address);
    for location in [&elsewhere, "file:///etc/passwd", "//127.0.0.1/", "/q?s=AAPL.US"] {
        for status in [301, 302, 303, 307, 308] {
            let (status, location) = (StatusCode::from_u16(status).unwrap(), location.to_owned());
            let upstream = Upstream::answering(move |_| (status, [(LOCATION, location.clone())], GOOD)).await;
            assert_eq!(upstream.reason().await, Reason::Unavailable);
            assert_eq!(upstream.hits(), 1, "a loop back was followed");
        }
    }
    assert_eq!(inside.hits(), 0);
}

#[tokio::test]
async fn an_endless_body_is_cut_at_64_kib_v10() {
    let upstream = Upstream::answering(|_| {
        let line = Bytes::from(GOOD.repeat(100));
        Body::from_stream(stream::repeat(Ok::<_, Infallible>(line)))
    })
    .await;
    let refusal = source(upstream.config().timeout(Duration::from_secs(30))).quote(&code("aapl.us")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Unclear);
    assert_eq!(cause(&refusal), "the reply is longer than 65536 bytes");
}

#[tokio::test]
async fn a_gibibyte_announced_is_not_waited_for_v10() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1 << 30);
    let upstream = Upstream::raw(head + &GOOD.repeat(10_000)).await;
    assert_eq!(upstream.reason().await, Reason::Unclear);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read_v10() {
    let upstream = Upstream::answering(|_| GOOD).await;
    let code = code("aapl.us");
    let fits = source(upstream.config().body_bytes_max(GOOD.len()));
    assert!(fits.quote(&code).await.is_ok());
    let short = source(upstream.config().body_bytes_max(GOOD.len() - 1));
    assert_eq!(short.quote(&code).await.unwrap_err().reason(), Reason::Unclear);
}

#[tokio::test]
async fn one_byte_per_second_is_too_slow_v10() {
    let upstream = Upstream::answering(|_| {
        let dribble = stream::iter(GOOD.bytes()).then(|byte| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Bytes::from(vec![byte]))
        });
        Body::from_stream(dribble)
    })
    .await;
    let start = Instant::now();
    assert_eq!(upstream.reason().await, Reason::TooSlow);
    assert!(start.elapsed() < TIMEOUT + SLACK, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_server_that_never_answers_is_too_slow_v10() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let template = format!("http://{}/{{code}}", silent.local_addr().unwrap());
    let config = SourceConfig::new(template).allow_private_hosts().timeout(TIMEOUT);
    let refusal = source(config).quote(&code("aapl.us")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::TooSlow);
}

#[tokio::test]
async fn a_close_in_the_middle_of_the_body_is_refused_v13() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_owned() + GOOD;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nSymbo".to_owned();
    for reply in [whole, chunked, "HTTP/1.1 200".to_owned(), String::new(), "\0\0\0".to_owned()] {
        let upstream = Upstream::raw(reply.clone()).await;
        assert_eq!(upstream.reason().await, Reason::Unavailable, "{reply:?}");
        assert_eq!(upstream.hits(), 1, "{reply:?}: asked again");
    }
}

#[tokio::test]
async fn a_closed_port_is_refused_v13() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = SourceConfig::new(format!("http://{address}/{{code}}")).allow_private_hosts();
    let refusal = source(config).quote(&code("aapl.us")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Unavailable);
}

#[tokio::test]
async fn a_server_without_tls_is_refused_v13() {
    let upstream = Upstream::answering(|_| GOOD).await;
    let template = format!("https://{}/q?s={{code}}", upstream.address);
    let config = SourceConfig::new(template).allow_private_hosts().timeout(TIMEOUT);
    let refusal = source(config).quote(&code("aapl.us")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Unavailable);
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn an_html_page_with_status_200_is_refused_v11() {
    let page = "<!DOCTYPE html>\n<html><head><title>Down</title></head></html>\n";
    let upstream = Upstream::answering(move |_| ([(CONTENT_TYPE, "text/html")], page)).await;
    assert_eq!(upstream.reason().await, Reason::Unclear);
}

#[tokio::test]
async fn a_compressed_body_is_not_unpacked_v16() {
    let upstream = Upstream::answering(|_| ([(CONTENT_ENCODING, "gzip")], GOOD_GZIP)).await;
    assert_eq!(upstream.reason().await, Reason::Unclear);
}

#[tokio::test]
async fn the_source_works_again_after_a_failure() {
    let upstream = Upstream::answering(|request| match request.uri().query() {
        Some("s=AAPL.US") => (StatusCode::OK, GOOD),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "oops"),
    })
    .await;
    let source = source(upstream.config());
    for _ in 0..3 {
        assert!(source.quote(&code("nope")).await.is_err());
        assert!(source.quote(&code("aapl.us")).await.is_ok());
    }
}

fn cause(refusal: &stock_bot::Refusal) -> String {
    std::error::Error::source(refusal).unwrap().to_string()
}
