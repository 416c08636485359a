//! The page, and what browsers are told about it.

use crate::server::Server;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy() {
    let server = Server::start(&[]);
    for (path, mime) in [
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/icon.svg", "image/svg"),
        ("/chat/client.js", "text/javascript"),
        ("/api/info", "application/json"),
        ("/nowhere", ""),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.headers["content-security-policy"], POLICY, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        let kind = answer.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
        assert!(kind.starts_with(mime), "{path}: {kind}");
    }
}

#[tokio::test]
async fn the_page_is_told_that_quotes_are_samples() {
    let info = Server::start(&["--demo"]).get("/api/info").await.json();
    assert_eq!(info["demo"], true);
    assert!(info["version"].is_string());
    assert_eq!(Server::start(&[]).get("/api/info").await.json()["demo"], false);
}
