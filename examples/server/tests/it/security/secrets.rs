//! Where secrets must not show up.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    server::{Server, binary, file, send, with_json},
    socket::Socket,
};

/// Plants secrets, each a word of its own.
struct Planted(Vec<String>);

impl Planted {
    fn word(&mut self, place: &str) -> String {
        self.0.push(format!("planted-{}-{place}", self.0.len()));
        self.0.last().unwrap().clone()
    }

    fn keep(&mut self, secret: &str) -> String {
        self.0.push(secret.to_owned());
        secret.to_owned()
    }
}

async fn log_in(server: &Server, user: &str, password: &str) -> Value {
    server.post("/api/login", json!({ "user": user, "password": password })).await.json()
}

#[tokio::test]
async fn twenty_planted_secrets_are_in_no_log_line_no_metric_and_no_argument_s3_s40() {
    let mut planted = Planted(Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let secret = file(&folder, "secret", &planted.word("secret-of-the-cluster"));
    let key = file(&folder, "key", &planted.word("key-of-the-quotes"));
    let quotes = "http://127.0.0.1:9/{code}";
    let flags = ["--secret-file", secret.to_str().unwrap(), "--quote-key-file", key.to_str().unwrap()];
    let more = ["--quote-private", "--quote-url", quotes, "--log", "trace", "--behind-proxy"];
    let server = Server::start_in(folder, &[&flags[..], &more].concat());

    // Passwords: good, wrong, too short, too common, misplaced, in bodies that cannot be read.
    let password = planted.word("password");
    server.post("/api/register", json!({ "user": "ann", "password": password, "name": "Ann" })).await;
    let token = planted.keep(log_in(&server, "ann", &password).await["token"].as_str().unwrap());
    log_in(&server, "ann", &planted.word("wrong-password")).await;
    log_in(&server, &planted.word("password-as-name"), "x").await;
    server.post("/api/register", json!({ "user": "bob", "password": "p14nt3d" })).await;
    planted.keep("p14nt3d");
    server.post("/api/register", json!({ "user": planted.word("a name"), "password": "qwertyuiop" })).await;
    let unreadable = format!("{{\"user\":\"ann\",\"password\":\"{}\"", planted.word("password-in-no-json"));
    let login = || server.request(Method::POST, "/api/login");
    send(login().header("content-type", "application/json").body(unreadable)).await;
    send(login().header("content-type", "text/plain").body(planted.word("password-in-a-form"))).await;
    let new = planted.word("new-password");
    let wrong = planted.word("wrong-current-password");
    server.post_as(&token, "/api/password", json!({ "current": wrong, "new": new })).await;
    let changed = server.post_as(&token, "/api/password", json!({ "current": password, "new": new })).await;
    assert_eq!(changed.status, 204);

    // Tokens: in every place where a client may bring one, and where it may not.
    let me = || server.request(Method::GET, "/api/me");
    send(me().bearer_auth(planted.word("bearer"))).await;
    send(me().basic_auth("ann", Some(planted.word("basic")))).await;
    send(me().header("cookie", format!("a={}; chat_session={}", planted.word("cookie"), planted.word("session"))))
        .await;
    send(me().header("x-api-key", planted.word("api-key"))).await;
    send(me().header("x-request-id", format!("id {}", planted.word("request-id")))).await;
    for name in ["token", "access_token", "code"] {
        server.get(&format!("/api/me?{name}={}", planted.word("query"))).await;
        server.get(&format!("/chat/ws?{name}={}", planted.word("socket-query"))).await;
    }
    let room = server.create_room(&token, "tea").await;
    let cookie = format!("chat_session={token}");
    let mut socket = Socket::try_open(&server, &[("cookie", &cookie)]).await.unwrap();
    socket.say(json!({ "type": "hello", "ref": 1, "token": planted.word("hello") })).await;
    socket.hear("welcome").await;
    socket.say(json!({ "type": "refresh", "ref": 2, "token": planted.word("refresh") })).await;
    socket.hear("error").await;
    socket.post(&room, &planted.word("what is said")).await;
    socket.hear_text().await;
    socket.post(&room, "/stock=AAPL.US").await; // the key of the quotes goes into a URL that cannot be reached
    socket.hear_text().await;
    let again = with_json(login(), &json!({ "user": "ann", "password": new }));
    planted.keep(send(again).await.json()["token"].as_str().unwrap());

    assert!(planted.0.len() >= 20, "{}", planted.0.len());
    let (log, metrics) = (server.log(), server.operator("/metrics").await.text);
    assert!(log.contains("TRACE") && metrics.contains("chat_http_requests_total"), "there is something to look at");
    let arguments = fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    for (place, text) in [("log", log), ("metrics", metrics), ("arguments", arguments)] {
        for secret in &planted.0 {
            let line = text.lines().find(|line| line.contains(&**secret));
            assert_eq!(line, None, "{secret} is in the {place}");
        }
    }
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated_s40() {
    for flag in ["--secret", "--quote-key", "--password"] {
        for arguments in [vec![flag.to_owned(), "hunter2hunter2".to_owned()], vec![format!("{flag}=hunter2hunter2")]] {
            let output = binary().args(&arguments).output().unwrap();
            assert!(!output.status.success());
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!words.contains("hunter2"), "{words}");
        }
    }
}
