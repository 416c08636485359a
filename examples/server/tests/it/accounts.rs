//! Register, log in, be somebody, log out.

use futures::StreamExt;
use reqwest::{Method, header::SET_COOKIE};
use serde_json::json;

use crate::{
    server::{PASSWORD, Server, send, with_json},
    vitals::Vitals,
};

#[tokio::test]
async fn a_person_registers_logs_in_and_logs_out() {
    let server = Server::start(&[]);
    let made = server.post("/api/register", json!({ "user": "Ann", "password": PASSWORD, "name": "Ann Ace" })).await;
    assert_eq!((made.status.as_u16(), made.json()), (201, json!({ "user": "ann", "name": "Ann Ace" })));

    let login = server.login("ann").await.json();
    assert_eq!((login["user"].as_str(), login["name"].as_str()), (Some("ann"), Some("Ann Ace")));
    let token = login["token"].as_str().unwrap();
    let me = server.get_as(token, "/api/me").await;
    assert_eq!(me.json(), json!({ "user": "ann", "name": "Ann Ace", "expires": login["expires"] }));

    assert_eq!(server.post_as(token, "/api/logout", json!({})).await.status, 204);
    assert_eq!(server.get_as(token, "/api/me").await.error(), (401, 1022, "unauthenticated".into()));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let server = Server::start(&[]);
    server.register("ann").await;
    let wrong = server.post("/api/login", json!({ "user": "ann", "password": "wrong horse" })).await;
    let unknown = server.post("/api/login", json!({ "user": "bob", "password": "wrong horse" })).await;
    assert_eq!(wrong.error(), (401, 1022, "unauthenticated".into()));
    assert_eq!(wrong.text, unknown.text);
}

#[tokio::test]
async fn the_memory_that_hashes_take_is_used_again() {
    let server = Server::start(&[]);
    // Each with a connection of their own, whose memory lies between that of the hashes.
    let register = async |number: usize| {
        let asked = crate::server::client().post(format!("{}/api/register", server.url));
        let answer = with_json(asked, &json!({ "user": format!("person{number}"), "password": PASSWORD }));
        assert_eq!(answer.send().await.unwrap().status(), 201);
    };
    futures::stream::iter(0..60).map(register).buffer_unordered(8).collect::<Vec<_>>().await;
    let mib = Vitals::of(server.pid()).memory() >> 20;
    assert!(mib < 160, "{mib} MiB after 60 hashes of 19 MiB, two at once");
}

#[tokio::test]
async fn the_cookie_logs_in_a_page_of_ours_and_no_other() {
    let server = Server::start(&["--allowed-origin", "https://shop.example"]);
    server.register("ann").await;
    let line = server.login("ann").await.headers[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(line.contains("; HttpOnly; SameSite=Strict") && line.contains("; Path=/;"), "{line}");
    assert!(!line.contains("Secure"), "{line}");

    let cookie = line.split(';').next().unwrap();
    let me = |name: &'static str, value: &str| {
        server.request(Method::GET, "/api/me").header("cookie", cookie).header(name, value)
    };
    assert_eq!(
        send(me("origin", "https://evil.example")).await.status,
        200,
        "reading is harmless: no other site sees the answer"
    );
    let logout = |name: &'static str, value: &str| {
        server.request(Method::POST, "/api/logout").header("cookie", cookie).header(name, value)
    };
    for (name, foreign) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(send(logout(name, foreign)).await.error(), (403, 1021, "denied".into()), "{name}: {foreign}");
    }
    assert_eq!(send(me("upgrade", "websocket").header("origin", "https://evil.example")).await.status, 403);
    assert_eq!(send(me("upgrade", "websocket").header("origin", "https://shop.example")).await.status, 200);

    let gone = send(logout("origin", &server.url)).await;
    assert_eq!(gone.status, 204);
    assert!(gone.headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(send(me("accept", "*/*")).await.status, 401);
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_wherever_it_goes() {
    let server = Server::start(&[]);
    let token = server.token_of_new("ann").await;
    for path in ["/", "/api/me", "/chat/ws", "/chat/rooms", "/nowhere"] {
        for name in ["token", "access_token"] {
            let answer = server.get_as(&token, &format!("{path}?a=b&{name}={token}")).await;
            assert_eq!(answer.error(), (400, 1000, "invalid".into()), "{path} {name}");
        }
    }
    assert!(!server.log().contains(&token));
}

#[tokio::test]
async fn names_are_taken_once_whatever_their_spelling() {
    let server = Server::start(&[]);
    server.register("Ann").await;
    for twin in ["ann", "ANN", "Ａｎｎ", "\u{430}nn"] {
        assert_eq!(server.register(twin).await.error(), (409, 1010, "conflict".into()), "{twin}");
    }
    for wrong in ["", "ann ", "ann.", "a nn", "bot:stock", "system", "a\u{202e}b"] {
        assert_eq!(server.register(wrong).await.error(), (400, 1003, "invalid_body".into()), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_password_has_eight_to_a_thousand_characters() {
    let server = Server::start(&[]);
    let register = async |user: &str, length: usize| {
        let password: String = "pass phrase ".chars().cycle().take(length).collect();
        server.post("/api/register", json!({ "user": user, "password": password })).await
    };
    assert_eq!(register("a", 7).await.status, 400);
    assert_eq!(register("b", 64).await.status, 201);
    assert_eq!(register("c", 1_024).await.status, 201);
    assert_eq!(register("d", 1_025).await.status, 400);
    assert_eq!(register("e", 1 << 20).await.error(), (413, 1000, "invalid".into()));
    let common = server.post("/api/register", json!({ "user": "f", "password": "password1" })).await;
    assert_eq!(common.status, 400);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_repeated() {
    let server = Server::start(&[]);
    let post = |kind: &'static str, body: &'static str| {
        send(server.request(Method::POST, "/api/login").header("content-type", kind).body(body))
    };
    for body in ["hunter2", "{\"user\":\"hunter2\"", "[\"hunter2\",\"hunter2\"]", "{\"hunter2\":1}", "\"hunter2\"", ""]
    {
        let answer = post("application/json", body).await;
        assert_eq!(answer.error(), (400, 1000, "invalid".into()), "{body}");
        assert!(!answer.text.contains("hunter2"));
    }
    assert_eq!(post("text/plain", "{}").await.error(), (415, 1000, "invalid".into()));
    assert_eq!(post("application/json; charset=utf-8", "{}").await.status, 400);
    for (method, path) in [(Method::GET, "/api/login"), (Method::DELETE, "/api/me"), (Method::PUT, "/api/register")] {
        assert_eq!(send(server.request(method, path)).await.error(), (405, 1000, "invalid".into()), "{path}");
    }
    assert_eq!(server.get("/api/nothing").await.error(), (404, 1020, "not_found".into()));
}

#[tokio::test]
async fn accounts_and_logins_outlive_a_crash() {
    let mut server = Server::start(&[]);
    let token = server.token_of_new("ann").await;
    server.crash_and_restart();
    assert_eq!(server.get_as(&token, "/api/me").await.status, 200);
    assert_eq!(server.register("ann").await.status, 409);
}

#[tokio::test]
async fn no_secret_reaches_the_log_or_the_database() {
    let server = Server::start(&["--log", "trace", "--log-format", "json"]);
    let token = server.token_of_new("ann").await;
    server.get_as(&token, "/api/me").await;
    server.post("/api/login", json!({ "user": "ann", "password": "wrong horse battery" })).await;
    let request =
        with_json(server.request(Method::POST, "/api/login"), &json!({ "user": PASSWORD, "password": PASSWORD }));
    send(request.header("cookie", format!("chat_session={token}"))).await;
    for entry in std::fs::read_dir(server.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in [token.as_bytes(), PASSWORD.as_bytes(), b"wrong horse battery"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
    }
}
