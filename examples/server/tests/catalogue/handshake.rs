//! W1 to W12: requests for a WebSocket.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

use crate::{
    case::Case,
    raw::{PING, frame},
    row::Part,
};

pub(crate) const PART: Part = Part {
    title: "Handshake",
    intro: "A request for the WebSocket at `/chat/ws`, by somebody who is logged in; the reply is a status of HTTP.",
    rows: &[ROWS, SLOW],
};

cases! { ROWS, shared;
    "W1" w01_plain_get: "a plain GET" => "426", changed("Upgrade: websocket\r\n", "");
    "W1.connection" w01_no_connection_header: "`Upgrade` without `Connection: Upgrade`" => "426",
        changed("Connection: Upgrade\r\n", "");
    "W1.http10" w01_http_10: "an upgrade in HTTP/1.0" => "426", changed("HTTP/1.1", "HTTP/1.0");
    "W1.http2" w01_http_2: "the preface of HTTP/2" => "closed", bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    "W1.tls" w01_tls: "the first bytes of TLS" => "400", bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    "W2" w02_post: "POST with all that an upgrade needs" => "405", changed("GET", "POST");
    "W2.head" w02_head: "HEAD with all that an upgrade needs" => "405", changed("GET", "HEAD");
    "W2.invented" w02_invented_method: "the method `UPGRADE`" => "405", changed("GET", "UPGRADE");
    "W3" w03_version_8: "version 8" => "426, 13 is named", version_8;
    "W3.none" w03_no_version: "no version" => "426", changed("Sec-WebSocket-Version: 13\r\n", "");
    "W3.list" w03_two_versions: "the versions `13, 8`" => "426", changed("Version: 13", "Version: 13, 8");
    "W4.none" w04_no_key: "no key" => "400", changed("Sec-WebSocket-Key", "X-Key");
    "W4.short" w04_short_key: "a key of 5 bytes" => "400", changed("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=");
    "W4.alphabet" w04_no_base64: "a key that is no Base64" => "400", changed("dGhl", "*Ghl");
    "W4.twice" w04_key_twice: "two keys" => "400", with("Sec-WebSocket-Key", || "dGhlIHNhbXBsZSBub25jZQ==".into());
    "W5" w05_many_headers: "2,000 header fields" => "431",
        async |case| status(case, &case.upgrade(&vec![("X", "y"); 2_000])).await;
    "W5.limit" w05_101_headers: "101 header fields" => "431",
        async |case| status(case, &case.upgrade(&[("X", "y"); 101])).await;
    "W6" w06_long_header_in_bytes: "a header of 70 KiB in writes of one byte" => "431", byte_by_byte;
    "W6.target" w06_long_target: "a path of 70 KiB" => "414", long_target;
    "W8.high" w08_high_bytes: "a subprotocol of the bytes 0x80 to 0xFF" => "400", high_bytes;
    "W8.spaces" w08_many_spaces: "a subprotocol with 32,000 spaces in it" => "400",
        with("Sec-WebSocket-Protocol", || format!("b{}x", " ".repeat(32_000)));
    "W9.names" w09_extension_constructor: "the extension `constructor`" => "101, no extension",
        extension(|| "constructor".into());
    "W9.proto" w09_extension_proto: "the extension `__proto__`" => "101, no extension", extension(|| "__proto__".into());
    "W9.long" w09_extension_of_10_000_parameters: "an extension with 10,000 parameters" => "101, no extension",
        extension(|| format!("x{}", "; a=1".repeat(10_000)));
    "W9.deflate" w09_deflate: "`permessage-deflate`" => "101, no extension",
        extension(|| "permessage-deflate; client_max_window_bits".into());
    "W10.foreign" w10_foreign_origin: "the origin of another site" => "403", origin("https://evil.example");
    "W10.null" w10_null_origin: "the origin `null`" => "403", origin("null");
    "W10.suffix" w10_longer_origin: "an allowed origin with more behind it" => "403", origin("https://ok.example.evil.com");
    "W10.case" w10_upper_case_origin: "an allowed origin in upper case" => "403", origin("https://OK.example");
    "W10.scheme" w10_other_scheme: "an allowed origin with `http`" => "403", origin("http://ok.example");
    "W10.port" w10_other_port: "an allowed origin with a port" => "403", origin("https://ok.example:444");
    "W10.slash" w10_origin_with_a_path: "an allowed origin with a slash" => "403", origin("https://ok.example/");
    "W10.empty" w10_empty_origin: "an empty origin" => "403", origin("");
    "W10.missing" w10_no_origin: "no origin: no browser" => "101", changed("GET", "GET");
    "W10.allowed" w10_allowed_origin: "an allowed origin" => "101", origin("https://ok.example");
    "W11.te_cl" w11_te_before_cl: "`Transfer-Encoding`, then `Content-Length`" => "400",
        body("Transfer-Encoding: chunked\r\nContent-Length: 3");
    "W11.cl_te" w11_cl_before_te: "`Content-Length`, then `Transfer-Encoding`" => "400",
        body("Content-Length: 3\r\nTransfer-Encoding: chunked");
    "W11.cl_cl" w11_two_lengths: "two lengths" => "400", body("Content-Length: 3\r\nContent-Length: 4");
    "W11.sign" w11_signed_length: "the length `+3`" => "400", body("Content-Length: +3");
    "W11.te" w11_chunked: "`Transfer-Encoding` alone" => "400", body("Transfer-Encoding: chunked");
    "W12" w12_bytes_after_the_request: "a request and a ping in one packet" => "101, pong", early_ping;
}

cases! { SLOW, alone;
    "W7" w07_head_without_end: "half a head, then silence" => "closed after 5 s", async |case| half_a_head(case, &[]).await;
    "W7.trickle" w07_a_byte_a_second: "a head of one byte a second" => "closed after 5 s",
        async |case| half_a_head(case, b"X: yyyyyyyyyyyyyy").await;
    "W7.nothing" w07_silence: "nothing at all" => "closed after 5 s", silence;
}

/// Sends a request on a connection of its own.
async fn status(case: &Case, request: &[u8]) -> String {
    let mut raw = case.raw().await;
    raw.send(request).await;
    raw.status().await
}

/// Sends the good request with one thing changed.
fn changed(from: &str, to: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let good = String::from_utf8(case.upgrade(&[])).unwrap();
        assert!(good.contains(from), "{good}");
        status(case, good.replacen(from, to, 1).as_bytes()).await
    }
}

/// Sends the good request with one header more.
fn with(name: &str, value: fn() -> String) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| status(case, &case.upgrade(&[(name, &value())])).await
}

fn origin(origin: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| status(case, &case.upgrade(&[("Origin", origin)])).await
}

fn bytes(bytes: &[u8]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| status(case, bytes).await
}

/// Sends a request with a body whose length is given like this.
fn body(lengths: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let head = String::from_utf8(case.upgrade(&[])).unwrap().replacen("GET", "POST", 1);
        let request = format!("{}\r\n{lengths}\r\n\r\nabc", head.trim_end());
        status(case, request.as_bytes()).await
    }
}

async fn version_8(case: &mut Case) -> String {
    let mut raw = case.raw().await;
    let request = String::from_utf8(case.upgrade(&[])).unwrap().replace("Version: 13", "Version: 8");
    raw.send(request.as_bytes()).await;
    let head = raw.head().await;
    let named = if head.contains("sec-websocket-version: 13") { "13 is named" } else { "13 is not named" };
    format!("{}, {named}", &head[9..12])
}

async fn byte_by_byte(case: &mut Case) -> String {
    case.takes(Duration::from_millis(500)); // 66,000 reads, not one
    let mut raw = case.raw().await;
    raw.stream.set_nodelay(true).unwrap();
    let begin = b"GET /chat/ws HTTP/1.1\r\nHost: a\r\nX: ";
    raw.send(begin).await;
    let mut sent = begin.len();
    while sent < 70 * 1024 && raw.send(b"y").await {
        sent += 1;
    }
    raw.status().await
}

async fn long_target(case: &mut Case) -> String {
    let target = format!("/chat/ws?{}", "x".repeat(70 * 1024));
    let request = String::from_utf8(case.upgrade(&[])).unwrap().replacen("/chat/ws", &target, 1);
    status(case, request.as_bytes()).await
}

async fn high_bytes(case: &mut Case) -> String {
    let mut request = case.upgrade(&[("Sec-WebSocket-Protocol", "HERE")]);
    let at = request.windows(4).position(|window| window == b"HERE").unwrap();
    request.splice(at..at + 4, 0x80..=0xFF);
    status(case, &request).await
}

fn extension(offer: fn() -> String) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let mut raw = case.raw().await;
        raw.send(&case.upgrade(&[("Sec-WebSocket-Extensions", &offer())])).await;
        let head = raw.head().await;
        let extension = if head.to_lowercase().contains("sec-websocket-extensions") { "an" } else { "no" };
        format!("{}, {extension} extension", &head[9..12])
    }
}

async fn early_ping(case: &mut Case) -> String {
    let mut raw = case.raw().await;
    raw.send(&[case.upgrade(&[]), frame(PING, b"early")].concat()).await;
    let status = raw.status().await;
    format!("{status}, {}", raw.reply().await)
}

/// Sends half a head, and then these bytes, one a second.
async fn half_a_head(case: &Case, bytes: &[u8]) -> String {
    let mut raw = case.raw().await;
    raw.send(b"GET /chat/ws HTTP/1.1\r\nHost: a\r\n").await;
    let began = Instant::now();
    for byte in bytes {
        let more = tokio::time::timeout(Duration::from_secs(1), raw.stream.read_u8()).await;
        if more.is_ok() || !raw.send(&[*byte]).await {
            break;
        }
    }
    closed_after(&mut raw.stream, began).await
}

async fn silence(case: &mut Case) -> String {
    let began = Instant::now();
    closed_after(&mut case.tcp().await, began).await
}

/// Waits for the end of a connection on which nothing comes.
async fn closed_after(stream: &mut tokio::net::TcpStream, began: Instant) -> String {
    let mut waste = Vec::new();
    let _ = stream.read_to_end(&mut waste).await;
    let took = began.elapsed().as_secs_f32();
    if (4.5..25.0).contains(&took) { "closed after 5 s".into() } else { format!("closed after {took} s") }
}
