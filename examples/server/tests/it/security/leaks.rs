//! What answers and logs must not tell, and must not be made to tell.

use std::str::FromStr;

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    server::{Answer, PASSWORD, Server, key, send, with_json},
    socket::Socket,
};

/// Line ends of all kinds, a terminal's escape, overridden direction: in front of what would be a line of its own.
const BREAKS: [&str; 8] = ["\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{1b}[2K\u{1b}[1G", "\u{202e}", "\u{0}"];
const FORGED: &str = "FORGED 2026-11-22T00:00:00Z  INFO logged in user=\"admin\"";

#[tokio::test]
async fn nobody_forges_a_log_line_s21() {
    for format in ["text", "json"] {
        let server = Server::start(&["--log", "trace", "--log-format", format, "--demo"]);
        let token = server.token_of_new("ann").await;
        let room = server.create_room(&token, "tea").await;
        let mut socket = Socket::open(&server, &token).await;
        for text in BREAKS.map(|start| format!("{start}{FORGED}")) {
            server.post("/api/login", json!({ "user": text, "password": text })).await;
            server.post("/api/register", json!({ "user": "bob", "password": PASSWORD, "name": text })).await;
            let spec = json!({ "title": text, "visibility": "public" });
            server.post_as(&token, "/chat/rooms", json!({ "key": key(), "spec": spec })).await;
            socket.post(&room, &text).await;
            socket.post(&room, &format!("/stock={text}")).await;
            socket.say(json!({ "type": text, "ref": 3, "room": text })).await;
            let escaped = text.bytes().fold(String::new(), |escaped, byte| format!("{escaped}%{byte:02x}"));
            server.get(&format!("/{escaped}?{escaped}")).await;
            server.get_as(&token, &format!("/chat/rooms/{escaped}")).await;
            send(server.operate(Method::POST, &format!("/users/{escaped}/ban"))).await;
            send(server.operate(Method::DELETE, &format!("/users/{escaped}/ban"))).await;
        }
        for name in ["x-request-id", "user-agent", "x-forwarded-for", "referer", "sec-websocket-protocol"] {
            send(server.request(Method::GET, "/chat/ws").header(name, format!("\u{85}{FORGED}"))).await;
        }
        socket.say(json!({ "type": "rooms", "ref": 4 })).await;
        socket.hear("rooms").await;
        let log = server.log();
        assert!(log.contains("wrong password"), "there is something to look at");
        for line in log.lines() {
            assert!(!line.starts_with("FORGED"), "{format}: {line}");
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{202e}'), "{line:?}");
        }
    }
}

/// What an answer about a broken database must not contain, in small letters.
const INSIDES: [&str; 16] = [
    "sql",
    "select",
    "insert",
    "table",
    "account_",
    "entries",
    "column",
    "database",
    "/tmp",
    ".db",
    ".rs",
    "panick",
    "thread",
    "backtrace",
    "0x",
    "chat-server/",
];

fn tells_nothing(answer: &Answer, what: &str) {
    let text = answer.text.to_lowercase();
    for inside in INSIDES {
        assert!(!text.contains(inside), "{what} tells {inside}: {answer:?}");
    }
    for name in ["server", "x-powered-by", "via"] {
        assert!(answer.headers.get(name).is_none(), "{what} has the header {name}");
    }
}

#[tokio::test]
async fn an_error_tells_nothing_of_the_insides_s28() {
    let server = Server::start(&[]);
    let token = server.token_of_new("ann").await;
    let room = server.create_room(&token, "tea").await;
    let mut socket = Socket::open(&server, &token).await;
    for path in
        ["/nowhere", "/api/nowhere", "/chat/nowhere", "/chat/rooms/x", "/chat/rooms?limit=x", "/chat/ws", "/%ff"]
    {
        tells_nothing(&server.get_as(&token, path).await, path);
    }

    // As if the disk had lost them.
    let options = SqliteConnectOptions::from_str(&format!("sqlite:{}", server.folder.path().join("chat.db").display()));
    let mut database = SqliteConnection::connect_with(&options.unwrap().foreign_keys(false)).await.unwrap();
    sqlx::raw_sql("DROP TABLE chat_entries; DROP TABLE chat_members; DROP TABLE account_places")
        .execute(&mut database)
        .await
        .unwrap();
    for path in [format!("/chat/rooms/{room}/messages"), format!("/chat/rooms/{room}/members"), "/chat/rooms".into()] {
        let answer = server.get_as(&token, &path).await;
        assert_eq!(answer.error(), (503, 1100, "retry".into()), "{path}");
        tells_nothing(&answer, &path);
    }
    socket.say(json!({ "type": "history", "ref": 7, "room": room })).await;
    let error = socket.hear("error").await;
    assert_eq!((&error["ref"], &error["name"]), (&json!(7), &json!("retry")));
    assert!(INSIDES.iter().all(|inside| !error.to_string().to_lowercase().contains(inside)), "{error}");
    let login = server.login("ann").await;
    assert_eq!(login.error().0, 503);
    tells_nothing(&login, "login");
    assert!(server.log().to_lowercase().contains("no such table"), "operators are told why");
}

#[tokio::test]
async fn what_looks_like_sql_is_text_s19() {
    let server = Server::start(&["--load-profile"]);
    let token = server.token_of_new("ann").await;
    let room = server.create_room(&token, "tea").await;
    let messages = format!("/chat/rooms/{room}/messages");
    let texts = [
        "'; DROP TABLE chat_entries; --",
        "' OR '1'='1",
        "\"; DELETE FROM account_users; --",
        "?1 :name @name $1 {p} %s \\'",
        "x' UNION SELECT password FROM account_users --",
        "{\"$ne\":1} {\"$gt\":\"\"}",
    ];
    for text in texts {
        let body = json!({ "key": key(), "body": { "kind": "text", "text": text } });
        assert_eq!(server.post_as(&token, &messages, body).await.status, 201);
        let title = server.create_room(&token, text).await;
        assert_eq!(server.get_as(&token, &format!("/chat/rooms/{title}")).await.json()["title"], text);
        let new = json!({ "user": "bob", "password": text, "name": text });
        assert_ne!(server.post("/api/register", new).await.status, 503);
        assert_eq!(server.post("/api/login", json!({ "user": text, "password": text })).await.status, 401);
        assert_ne!(server.get_as(text, "/api/me").await.status, 200);
    }
    let page = server.get_as(&token, &messages).await.json();
    let stored: Vec<_> =
        page["entries"].as_array().unwrap().iter().map(|entry| entry["body"]["text"].clone()).collect();
    assert_eq!(stored, texts);
    for operator in [json!({ "$ne": 1 }), json!({ "$gt": "" }), json!(["tea"]), json!(null), json!(1)] {
        let login = json!({ "user": operator, "password": operator });
        assert_eq!(server.post("/api/login", login).await.error(), (400, 1000, "invalid".into()), "{operator}");
        let body = json!({ "key": operator, "body": { "kind": "text", "text": "x" } });
        assert_eq!(server.post_as(&token, &messages, body).await.status, 400, "{operator}");
    }
}

/// Drivers have truncated lengths beyond 4 GiB; nothing here comes near.
#[tokio::test]
async fn no_text_is_long_enough_to_overflow_a_length_s20() {
    let server = Server::start(&[]);
    let token = server.token_of_new("ann").await;
    let room = server.create_room(&token, "tea").await;
    let long = "x".repeat(128 * 1024);
    let body = json!({ "key": key(), "body": { "kind": "text", "text": long } });
    for (path, body) in [
        (format!("/chat/rooms/{room}/messages"), body),
        ("/chat/rooms".to_owned(), json!({ "key": key(), "spec": { "title": long } })),
        ("/api/register".to_owned(), json!({ "user": "bob", "password": long })),
        ("/api/login".to_owned(), json!({ "user": long, "password": "x" })),
    ] {
        let request = with_json(server.request(Method::POST, &path), &body).bearer_auth(&token);
        assert_eq!(send(request).await.status, 413, "{path}");
    }
    let mut socket = Socket::open(&server, &token).await;
    socket.post(&room, &long).await;
    assert_eq!(socket.closed().await.map(|why| u16::from(why.code)), Some(1009));
}
