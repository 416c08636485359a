//! Logins that end while their sockets are open, and the tokens they are known by.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;

use crate::{
    server::{PASSWORD, Server, send, with_json},
    socket::Socket,
};

const EXPIRED: u16 = 4002;
const REVOKED: u16 = 4003;

/// Five times the two seconds within which sockets of an ended login close.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

async fn token_of(server: &Server, user: &str) -> String {
    server.login(user).await.json()["token"].as_str().unwrap().to_owned()
}

async fn end_of(socket: Socket) -> Option<u16> {
    socket.closed().await.map(|why| why.code.into())
}

#[tokio::test]
async fn a_socket_ends_with_its_login_unless_a_newer_one_refreshes_it_s7() {
    let server = Server::start(&["--session", "4s"]);
    let (ann, bob) = (server.token_of_new("ann").await, server.token_of_new("bob").await);
    let (mut stays, mut goes) = (Socket::open(&server, &ann).await, Socket::open(&server, &ann).await);
    stays.hear("expiring").await;
    goes.hear("expiring").await;
    // Later than the first login by more than the second in which expiry is looked at.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let newer = token_of(&server, "ann").await;
    stays.say(json!({ "type": "refresh", "ref": 2, "token": bob })).await;
    assert_eq!(stays.hear("error").await["name"], "denied", "a session cannot change its user");
    stays.say(json!({ "type": "refresh", "ref": 3, "token": newer })).await;
    stays.hear("welcome").await;

    assert_eq!(end_of(goes).await, Some(EXPIRED));
    assert_eq!(server.get_as(&ann, "/api/me").await.status, 401);
    stays.say(json!({ "type": "rooms", "ref": 4 })).await;
    assert_eq!(stays.hear("rooms").await["ref"], 4, "it lives by the newer login");
    assert_eq!(end_of(stays).await, Some(EXPIRED));
    assert_eq!(server.get_as(&newer, "/api/me").await.status, 401);
}

/// Opens two sockets for each of these logins.
async fn sockets(server: &Server, tokens: &[&str]) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for token in tokens.iter().chain(tokens) {
        sockets.push(Socket::open(server, token).await);
    }
    sockets
}

async fn all_close(sockets: Vec<Socket>, what: &str) {
    let began = Instant::now();
    for socket in sockets {
        assert_eq!(end_of(socket).await, Some(REVOKED), "{what}");
    }
    eprintln!("{what}: all closed within {:?}", began.elapsed());
    assert!(began.elapsed() < CLOSED_WITHIN, "{what}: {:?}", began.elapsed());
}

async fn is_served(socket: &mut Socket) {
    socket.say(json!({ "type": "rooms", "ref": 9 })).await;
    assert_eq!(socket.hear("rooms").await["ref"], 9);
}

#[tokio::test]
async fn a_logout_closes_the_sockets_of_that_login_s8() {
    let server = Server::start(&[]);
    let (phone, laptop) = (server.token_of_new("ann").await, token_of(&server, "ann").await);
    let (on_phone, mut on_laptop) = (sockets(&server, &[&phone]).await, Socket::open(&server, &laptop).await);
    assert_eq!(server.post_as(&phone, "/api/logout", json!({})).await.status, 204);
    all_close(on_phone, "logout").await;
    is_served(&mut on_laptop).await;
    assert_eq!(server.get_as(&phone, "/api/me").await.status, 401);
}

#[tokio::test]
async fn a_change_of_password_closes_the_sockets_of_all_other_logins_s8() {
    let server = Server::start(&[]);
    let (phone, laptop) = (server.token_of_new("ann").await, token_of(&server, "ann").await);
    let thief = token_of(&server, "ann").await;
    let mut here = Socket::open(&server, &phone).await;
    let elsewhere = sockets(&server, &[&laptop, &thief]).await;
    let change = async |current: &str, new: &str| {
        server.post_as(&phone, "/api/password", json!({ "current": current, "new": new })).await
    };
    assert_eq!(change("wrong horse", "another horse").await.error(), (403, 1021, "denied".into()));
    assert_eq!(change(PASSWORD, "short").await.error(), (400, 1003, "invalid_body".into()));
    let guess = server.post("/api/password", json!({ "current": PASSWORD, "new": "another horse" })).await;
    assert_eq!(guess.error(), (401, 1022, "unauthenticated".into()));
    assert_eq!(server.get_as(&thief, "/api/me").await.status, 200, "nothing has changed so far");

    assert_eq!(change(PASSWORD, "another horse").await.status, 204);
    all_close(elsewhere, "password").await;
    is_served(&mut here).await;
    for token in [&laptop, &thief] {
        assert_eq!(server.get_as(token, "/api/me").await.status, 401);
    }
    assert_eq!(server.login("ann").await.status, 401, "the old password");
    let new = server.post("/api/login", json!({ "user": "ann", "password": "another horse" })).await;
    assert_eq!(new.status, 200);
}

#[tokio::test]
async fn a_ban_closes_all_sockets_of_a_user_and_opens_none_s8() {
    let server = Server::start(&[]);
    let (phone, bob) = (server.token_of_new("ann").await, server.token_of_new("bob").await);
    let laptop = token_of(&server, "ann").await;
    let mut on_bobs = Socket::open(&server, &bob).await;
    let of_ann = sockets(&server, &[&phone, &laptop]).await;
    let bearer = format!("Bearer {phone}");
    let mut before_hello = Socket::try_open(&server, &[("authorization", &bearer)]).await.unwrap();

    assert_eq!(send(server.operate(Method::POST, "/users/nobody/ban")).await.status, 404);
    assert_eq!(send(server.operate(Method::POST, "/users/ANN/ban")).await.status, 204);
    all_close(of_ann, "ban").await;
    before_hello.say(json!({ "type": "hello", "ref": 1 })).await;
    assert_eq!(before_hello.hear("error").await["name"], "unauthenticated");
    is_served(&mut on_bobs).await;
    assert_eq!(Socket::try_open(&server, &[("authorization", &bearer)]).await.err(), Some(401));
    assert_eq!(server.login("ann").await.error(), (403, 1021, "denied".into()));
    let guess = server.post("/api/login", json!({ "user": "ann", "password": "wrong horse" })).await;
    assert_eq!(guess.error(), (401, 1022, "unauthenticated".into()), "strangers are not told");

    assert_eq!(send(server.operate(Method::DELETE, "/users/ann/ban")).await.status, 204);
    assert_eq!(send(server.operate(Method::DELETE, "/users/ann/ban")).await.status, 404);
    assert_eq!(server.login("ann").await.status, 200);
}

#[tokio::test]
async fn whose_account_is_removed_is_out_at_once_and_nobody_gets_the_name() {
    let server = Server::start(&[]);
    let phone = server.token_of_new("markerann").await;
    let sockets = sockets(&server, &[&phone]).await;
    assert_eq!(send(server.operate(Method::DELETE, "/users/nobody")).await.status, 404);
    assert_eq!(send(server.operate(Method::DELETE, "/users/MarkerAnn")).await.status, 204);
    all_close(sockets, "the removal").await;
    assert_eq!(server.get_as(&phone, "/api/me").await.status, 401);
    assert_eq!(server.login("markerann").await.status, 401);
    assert_eq!(send(server.operate(Method::DELETE, "/users/markerann")).await.status, 404);
    assert_eq!(server.register("markerann").await.status, 409, "rooms know her by it");
    assert_eq!(server.login("markerann").await.status, 401);
}

#[tokio::test]
async fn every_login_has_a_fresh_token_whatever_the_client_brings_s13() {
    let server = Server::start(&["--log-format", "json"]);
    let first = server.token_of_new("ann").await;
    let fixed = "0".repeat(64);
    let mut tokens = BTreeSet::from([first.clone()]);
    for brought in [&first, &fixed, "planted"] {
        let login =
            with_json(server.request(Method::POST, "/api/login"), &json!({ "user": "ann", "password": PASSWORD }));
        let answer = send(login.header("cookie", format!("chat_session={brought}")).bearer_auth(brought)).await;
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        assert!(answer.headers["set-cookie"].to_str().unwrap().starts_with(&format!("chat_session={token};")));
        assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "256 bits");
        tokens.insert(token);
    }
    assert_eq!(tokens.len(), 4, "all different");
    assert_eq!(server.get_as(&fixed, "/api/me").await.status, 401);
    let log = server.log();
    let known = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    for login in known.filter_map(|line| line["login"].as_str().map(str::to_owned)) {
        assert_eq!(server.get_as(&login, "/api/me").await.status, 401, "what is in the log opens nothing");
    }
}
