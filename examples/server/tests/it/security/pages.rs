//! What pages of other sites can make a browser do with its user's cookie.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::{
    server::{PASSWORD, Server, key, send, with_json},
    socket::Socket,
};

/// Origins that look like ours, or like the allowed `https://shop.example`.
fn foreign_origins(server: &Server) -> Vec<String> {
    let host = server.url.strip_prefix("http://").unwrap();
    let port = host.rsplit(':').next().unwrap();
    let mut origins: Vec<String> = [
        "null",
        "",
        "file://",
        "https://evil.example",
        "https://shop.example.evil.example",
        "https://evil-shop.example",
        "https://shop.example:8443",
        "http://shop.example",
        "HTTPS://SHOP.EXAMPLE",
        "https://shop.example/",
        "https://shop.example@evil.example",
        "https://shop.example https://evil.example",
        "https://sh\u{f6}p.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost",
    ]
    .map(str::to_owned)
    .into();
    origins.extend([format!("http://localhost:{port}"), format!("http://{host}.evil.example"), host.to_owned()]);
    origins
}

#[tokio::test]
async fn only_our_pages_and_allowed_ones_open_a_socket_s1() {
    let server = Server::start(&["--allowed-origin", "https://shop.example"]);
    let cookie = format!("chat_session={}", server.token_of_new("ann").await);
    for origin in foreign_origins(&server) {
        let opened = Socket::try_open(&server, &[("cookie", &cookie), ("origin", &origin)]).await;
        assert_eq!(opened.err(), Some(403), "{origin:?}");
    }
    for origin in [&*server.url, "https://shop.example"] {
        assert!(Socket::try_open(&server, &[("cookie", &cookie), ("origin", origin)]).await.is_ok(), "{origin}");
    }
    for (site, status) in [("cross-site", Some(403)), ("same-site", Some(403)), ("same-origin", None)] {
        let opened = Socket::try_open(&server, &[("cookie", &cookie), ("sec-fetch-site", site)]).await;
        assert_eq!(opened.err(), status, "without an origin, {site}");
    }
}

#[tokio::test]
async fn another_sites_page_changes_nothing_with_the_cookie_s2() {
    let server = Server::start(&[]);
    let token = server.token_of_new("ann").await;
    let room = server.create_room(&token, "tea").await;
    let with_cookie = |path: &str| -> RequestBuilder {
        let message = json!({ "key": key(), "body": { "kind": "text", "text": "forged" } });
        let body = match path {
            "/api/password" => json!({ "current": PASSWORD, "new": "another horse" }),
            "/chat/rooms" => json!({ "key": key(), "spec": { "title": "forged" } }),
            path if path.ends_with("/messages") => message,
            _ => json!({ "key": key() }),
        };
        with_json(server.request(Method::POST, path), &body).header("cookie", format!("chat_session={token}"))
    };
    let paths = ["messages", "join", "leave"].map(|end| format!("/chat/rooms/{room}/{end}"));
    for path in paths.iter().map(String::as_str).chain(["/api/logout", "/api/password", "/chat/rooms"]) {
        for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            let answer = send(with_cookie(path).header(name, value)).await;
            assert_eq!(answer.error(), (403, 1021, "denied".into()), "{path} {name}: {value}");
        }
    }
    assert_eq!(server.get_as(&token, "/api/me").await.status, 200, "still logged in");
    assert_eq!(server.login("ann").await.status, 200, "with the same password");
    assert_eq!(server.get_as(&token, &format!("/chat/rooms/{room}")).await.json()["head"], 1);
    assert_eq!(server.get_as(&token, "/chat/rooms").await.json()["rooms"].as_array().unwrap().len(), 1);
}

/// A form of another site needs no permission to be sent, but cannot say that it is JSON. Else it could log a victim
/// in as the attacker, who then reads along.
#[tokio::test]
async fn a_form_logs_nobody_in_s2() {
    let server = Server::start(&[]);
    server.register("mallory").await;
    let body = json!({ "user": "mallory", "password": PASSWORD }).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let form = server.request(Method::POST, "/api/login").header("content-type", kind).body(body.clone());
        let answer = send(form).await;
        assert_eq!(answer.status, 415, "{kind}");
        assert!(answer.headers.get("set-cookie").is_none());
    }
}

/// Loopback keeps other machines out, but every page in the operator's browser is on this one.
#[tokio::test]
async fn no_page_bans_through_the_operators_browser_s27() {
    let server = Server::start(&[]);
    server.register("ann").await;
    let ban = || server.operate(Method::POST, "/users/ann/ban");
    for (name, value) in [("origin", "https://evil.example"), ("origin", &*server.admin), ("sec-fetch-site", "none")] {
        assert_eq!(send(ban().header(name, value)).await.status, 403, "{name}: {value}");
    }
    assert_eq!(server.login("ann").await.status, 200);
    for method in [Method::POST, Method::DELETE] {
        assert_eq!(send(server.request(method, "/users/ann/ban")).await.status, 404, "not where people are");
    }
    assert_eq!(send(ban()).await.status, 204);
    assert_eq!(server.login("ann").await.error(), (403, 1021, "denied".into()));
}
