//! R1 to R18: requests over HTTP.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, time::timeout};

use crate::{
    case::Case,
    raw::{Raw, SOON},
    row::Part,
    server::key,
};

pub(crate) const PART: Part = Part {
    title: "REST",
    intro: "A request by somebody who is logged in; the reply is a status of HTTP and the name of the error. Whatever is \
            refused, nothing of it is repeated in the answer.",
    rows: &[BODIES, PATHS, HEADERS, SLOW, ELSEWHERE],
};

/// Is in what is malformed, and in no answer.
const MARK: &str = "s3cret";

cases! { BODIES, shared;
    "R1" r01_no_content_type: "a body without a content type" => "415 invalid", typed("");
    "R1.form" r01_form: "a form" => "415 invalid", typed("Content-Type: application/x-www-form-urlencoded\r\n");
    "R1.text" r01_text: "JSON as `text/plain`, as another site's page can send it" => "415 invalid",
        typed("Content-Type: text/plain\r\n");
    "R2" r02_two_mebibytes: "a body of 2 MiB and 1" => "413 invalid", two_mebibytes;
    "R2.chunked" r02_chunked: "a body in chunks without end" => "400", endless_chunks;
    "R3" r03_gzip_bomb: "a body with `Content-Encoding: gzip`" => "400 invalid", gzip;
    "R4" r04_no_json: "a body that is no JSON" => "400 invalid", post_text("{s3cret");
    "R4.list" r04_list: "a list with the fields in their order" => "400 invalid", post_text(r#"["s3cret",{"kind":"text"}]"#);
    "R4.two" r04_two_objects: "two objects" => "400 invalid", post_text(r#"{"key":"s3cret"} {}"#);
    "R4.twice" r04_field_twice: "a field twice" => "400 invalid", post_text(r#"{"key":"s3cret","key":"s3cret"}"#);
    "R4.deep" r04_deep: "30,000 opening brackets" => "400 invalid", deep;
    "R4.utf8" r04_no_utf8: "a text that is no UTF-8" => "400 invalid", no_utf8;
    "R10" r10_long_key: "a key of 10,000 characters" => "400 invalid_key", long_key;
    "R10.reused" r10_reused_key: "a key again with another body" => "201, 409 conflict", reused_key;
    "R10.header" r10_header: "another message under the same `Idempotency-Key`, a header" => "201, 201", same_header;
    "R13" r13_taken_name: "to register a name that is taken: names are public in a chat" => "409 conflict", taken_name;
}

cases! { PATHS, shared;
    "R5" r05_delete: "DELETE for a list" => "405 invalid, allow: GET,HEAD,POST", method("DELETE");
    "R5.trace" r05_trace: "TRACE" => "405 invalid, allow: GET,HEAD,POST", method("TRACE");
    "R5.invented" r05_invented: "the method `S3CRET`" => "405 invalid, allow: GET,HEAD,POST", method("S3CRET");
    "R6" r06_zero: "the room `0`" => "404 not_found", room(|| "0".into());
    "R6.minus" r06_minus: "the room `-1`" => "404 not_found", room(|| "-1".into());
    "R6.dots" r06_dots: "the room `%2e%2e`" => "404 not_found", room(|| "%2e%2e".into());
    "R6.nul" r06_nul: "the room `%00`" => "404 not_found", room(|| "%00".into());
    "R6.long" r06_long: "a room of 4 KiB" => "404 not_found", room(|| "9".repeat(4096));
    "R6.operator" r06_operator: "the room `{\"$gt\":\"\"}`" => "404 not_found", room(|| "%7B%22$gt%22%3A%22%22%7D".into());
    "R6.foreign" r06_foreign: "a private room that is others' alone" => "404 not_found, as if it did not exist", foreign_room;
    "R6.climb" r06_climb: "a path that climbs to another route" => "404 not_found", get("/chat/rooms/../../api/me");
    "R7" r07_billion: "`limit=1000000000`" => "400 invalid", get("/chat/rooms?limit=1000000000");
    "R7.minus" r07_minus: "`limit=-1`" => "400 invalid", get("/chat/rooms?limit=-1");
    "R7.offset" r07_offset: "`offset=-1`, which is unknown" => "400 invalid", get("/chat/rooms?offset=-1");
    "R7.twice" r07_twice: "a parameter twice" => "400 invalid", get("/chat/rooms?limit=1&limit=2");
    "R7.operator" r07_operator: "`filter[$ne]=`" => "400 invalid", get("/chat/rooms?filter[$ne]=");
    "R16" r16_token: "a token in the query" => "400 invalid", get("/chat/rooms?token=s3cret");
    "R16.access" r16_access_token: "the same as `access_token`, behind another parameter" => "400 invalid",
        get("/chat/rooms?limit=1&access_token=s3cret");
}

cases! { HEADERS, shared;
    "R8" r08_line_break: "a header with a line break in it" => "400", header("X: a\rSet-Cookie: s3cret\r\n");
    "R8.host" r08_forged_host: "a new room under a forged `Host`" => "201, no host in the location", forged_host;
    "R9" r09_if_match: "`If-Match`: nothing that changes has an ETag" => "412 invalid", header("If-Match: \"5\"\r\n");
    "R17" r17_ranges: "1,000 ranges of a file (there is no export)" => "200, whole",
        file(|| format!("Range: bytes={}0-1\r\n", "0-1,".repeat(999)));
    "R17.etags" r17_etags: "1,000 ETags of other versions" => "200, whole",
        file(|| format!("If-None-Match: {}\"x\"\r\n", "\"x\",".repeat(999)));
    "R18" r18_http_2: "HTTP/2, and 10,000 frames that reset streams" => "closed",
        http_2(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
    "R18.continuation" r18_continuation: "HTTP/2, and 10,000 headers that go on" => "closed",
        http_2(&[0, 0, 1, 9, 0, 0, 0, 0, 1, 0x82]);
    "R18.h2c" r18_h2c: "an upgrade to HTTP/2" => "200",
        header("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n");
}

cases! { SLOW, alone;
    "R2.slow" r02_a_byte_a_second: "a body of one byte a second" => "408 invalid after 10 s", slow_body;
}

proven_in! { ELSEWHERE;
    "R8.forwarded" "`X-Forwarded-For` from somebody who is no proxy of ours" => "ignored",
        "examples/server/tests/it/limits.rs", "an_address_that_no_proxy_of_ours_names_is_not_believed";
    "R11" "a user name as a homoglyph, in capitals, with a trailing dot or space, right to left" => "409, 400",
        "examples/server/tests/it/accounts.rs", "names_are_taken_once_whatever_their_spelling";
    "R12" "a password of 7, 64, 1,024 and 1,025 characters and of 1 MiB" => "400, 201, 201, 400, 413",
        "examples/server/tests/it/accounts.rs", "a_password_has_eight_to_a_thousand_characters";
    "R14" "sixty wrong passwords for one account" => "429 with `Retry-After` after twenty",
        "examples/server/tests/it/limits.rs", "guessing_is_slowed_down_and_the_owner_still_logs_in";
    "R15" "a JWT without a signature" => "unauthenticated",
        "chat-engine/tests/jwt.rs", "a_token_without_a_signature_is_refused_whatever_it_calls_its_algorithm";
    "R15.confused" "a JWT signed with a public key as the secret" => "unauthenticated",
        "chat-engine/tests/jwt.rs", "a_public_key_is_no_secret_to_sign_with";
    "R15.claims" "a JWT that has expired, or is not valid yet" => "unauthenticated",
        "chat-engine/tests/jwt.rs", "what_a_token_says_has_to_be_there_and_right";
    "R15.kid" "a JWT whose `kid` is a path" => "unauthenticated",
        "chat-engine/tests/jwt.rs", "a_kid_names_one_of_the_keys_and_is_nothing_else";
    "R15.jku" "a JWT that says where its key is" => "unauthenticated, and no request",
        "chat-engine/tests/jwt.rs", "a_header_that_says_where_its_key_is_leads_nowhere";
}

/// Is an answer that ended with its connection.
struct Reply {
    head: String,
    body: String,
}

impl Reply {
    async fn read(raw: &mut Raw) -> Self {
        let mut bytes = Vec::new();
        // Who sends more than is read is cut off; what came before counts.
        let _ = timeout(SOON, raw.stream.read_to_end(&mut bytes)).await.expect("no end of the answer");
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.to_lowercase().contains(MARK), "an echo: {text}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        Self { head: head.to_owned(), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Returns status and name: `404 not_found`.
    fn summary(&self) -> String {
        let status = self.head.get(9..12).unwrap_or("closed");
        match &self.json()["name"] {
            Value::String(name) => format!("{status} {name}"),
            _ => status.to_owned(),
        }
    }
}

/// Writes a request with the token of the case's user.
fn request(case: &Case, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Length: {}\r\n{headers}\r\n",
        case.token,
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn ask(case: &Case, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
    let mut raw = case.raw().await;
    raw.send(&request(case, method, path, headers, body)).await;
    Reply::read(&mut raw).await
}

fn messages(case: &Case) -> String {
    format!("/chat/rooms/{}/messages", case.room)
}

async fn post(case: &Case, headers: &str, body: &[u8]) -> Reply {
    ask(case, "POST", &messages(case), &format!("Content-Type: application/json\r\n{headers}"), body).await
}

fn saying(key: &str, text: &str) -> Vec<u8> {
    json!({ "key": key, "body": { "kind": "text", "text": text } }).to_string().into_bytes()
}

fn get(path: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| ask(case, "GET", path, "", b"").await.summary()
}

fn typed(content_type: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| ask(case, "POST", &messages(case), content_type, &saying(&key(), "hello")).await.summary()
}

fn post_text(body: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| post(case, "", body.as_bytes()).await.summary()
}

fn method(method: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let reply = ask(case, method, "/chat/rooms", "", b"").await;
        format!("{}, allow: {}", reply.summary(), reply.header("allow").unwrap_or_default())
    }
}

fn room(room: fn() -> String) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| ask(case, "GET", &format!("/chat/rooms/{}/messages", room()), "", b"").await.summary()
}

fn header(lines: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let request = request(case, "GET", "/chat/rooms", "", b"");
        let request = String::from_utf8(request).unwrap();
        // The case's own `Connection` stands instead of ours.
        let request = if lines.contains("Connection") { request.replace("Connection: close\r\n", "") } else { request };
        let mut raw = case.raw().await;
        raw.send(request.replacen("\r\n\r\n", &format!("\r\n{lines}\r\n"), 1).as_bytes()).await;
        if lines.contains("Connection") { raw.status().await } else { Reply::read(&mut raw).await.summary() }
    }
}

async fn two_mebibytes(case: &mut Case) -> String {
    case.takes(Duration::from_millis(300)); // it is read to its end, and forgotten
    post(case, "", &vec![b' '; 2 * 1024 * 1024 + 1]).await.summary()
}

async fn endless_chunks(case: &mut Case) -> String {
    let head = String::from_utf8(request(case, "POST", &messages(case), "", b"")).unwrap();
    let head = head.replace("Content-Length: 0", "Content-Type: application/json\r\nTransfer-Encoding: chunked");
    let mut raw = case.raw().await;
    raw.send(head.as_bytes()).await;
    while raw.send(b"400\r\n").await && raw.send(&[b' '; 0x400]).await && raw.send(b"\r\n").await {
        if timeout(Duration::from_millis(1), raw.stream.readable()).await.is_ok() {
            break;
        }
    }
    Reply::read(&mut raw).await.summary()
}

/// The first bytes of a gzip file: nobody inflates them, so they are no JSON.
async fn gzip(case: &mut Case) -> String {
    let body = [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(), &[0xff; 10_000]].concat();
    post(case, "Content-Encoding: gzip\r\n", &body).await.summary()
}

async fn deep(case: &mut Case) -> String {
    post(case, "", format!(r#"{{"body":{}"#, "[".repeat(30_000)).as_bytes()).await.summary()
}

async fn no_utf8(case: &mut Case) -> String {
    let body = [br#"{"key":""#.as_slice(), b"\xff\xfe", br#"","body":{}}"#].concat();
    post(case, "", &body).await.summary()
}

async fn long_key(case: &mut Case) -> String {
    post(case, "", &saying(&"1".repeat(10_000), "hello")).await.summary()
}

async fn reused_key(case: &mut Case) -> String {
    case.stores(1);
    let key = key();
    let first = post(case, "", &saying(&key, "hello")).await.summary();
    format!("{first}, {}", post(case, "", &saying(&key, "goodbye")).await.summary())
}

/// What makes a request harmless to repeat is the key in its body.
async fn same_header(case: &mut Case) -> String {
    case.stores(2);
    let header = "Idempotency-Key: 1\r\n";
    let first = post(case, header, &saying(&key(), "hello")).await.summary();
    format!("{first}, {}", post(case, header, &saying(&key(), "goodbye")).await.summary())
}

async fn taken_name(case: &mut Case) -> String {
    let account = json!({ "user": case.user, "password": "a long enough one" }).to_string();
    ask(case, "POST", "/api/register", "Content-Type: application/json\r\n", account.as_bytes()).await.summary()
}

/// A private room that the user has left is as much another's as any.
async fn foreign_room(case: &mut Case) -> String {
    let spec = json!({ "key": key(), "spec": { "title": "private" } });
    let private = case.site.post_as(&case.token, "/chat/rooms", spec).await.json()["room"].as_str().unwrap().to_owned();
    let left = case.site.post_as(&case.token, &format!("/chat/rooms/{private}/leave"), json!({ "key": key() })).await;
    assert_eq!(left.status, 201, "{left:?}");
    let mut replies = Vec::new();
    for id in [private.as_str(), "33299aa6-6f98-859d-8863-19731fb11c8f"] {
        for part in ["", "/messages", "/members"] {
            replies.push(ask(case, "GET", &format!("/chat/rooms/{id}{part}"), "", b"").await);
        }
    }
    let alike = replies.iter().all(|reply| reply.body == replies[0].body);
    format!("{}, {}", replies[0].summary(), if alike { "as if it did not exist" } else { "and it can be told" })
}

async fn forged_host(case: &mut Case) -> String {
    let body = json!({ "key": key(), "spec": { "title": "forged" } }).to_string();
    let request = request(case, "POST", "/chat/rooms", "Content-Type: application/json\r\n", body.as_bytes());
    let request = String::from_utf8(request).unwrap().replace("chat.example", "evil.example");
    let mut raw = case.raw().await;
    raw.send(request.as_bytes()).await;
    let reply = Reply::read(&mut raw).await;
    let host = if format!("{}{}", reply.head, reply.body).contains("evil") { "a host" } else { "no host" };
    format!("{}, {host} in the location", reply.summary())
}

/// Asks for the browser client.
fn file(headers: fn() -> String) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let reply = ask(case, "GET", "/chat/client.js", &headers(), b"").await;
        let whole = reply.header("content-length") == Some(&*reply.body.len().to_string()) && reply.body.len() > 10_000;
        format!("{}, {}", reply.summary(), if whole { "whole" } else { "a part" })
    }
}

fn http_2(frame: &[u8]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let mut raw = case.raw().await;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        raw.send(&[preface.as_slice(), &frame.repeat(10_000)].concat()).await;
        Reply::read(&mut raw).await.summary()
    }
}

async fn slow_body(case: &mut Case) -> String {
    let mut raw = case.raw().await;
    let whole = request(case, "POST", &messages(case), "Content-Type: application/json\r\n", &[b' '; 100]);
    let (head, body) = whole.split_at(whole.len() - 100);
    raw.send(head).await;
    let began = Instant::now();
    for byte in body {
        if timeout(Duration::from_secs(1), raw.stream.readable()).await.is_ok() || !raw.send(&[*byte]).await {
            break;
        }
    }
    let took = began.elapsed().as_secs_f32();
    let when = if (9.0..50.0).contains(&took) { "10".into() } else { took.to_string() };
    format!("{} after {when} s", Reply::read(&mut raw).await.summary())
}
