//! Guessing passwords, from one address and from many.

use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, PASSWORD, Server, send, with_json};

async fn login_from(server: &Server, address: &str, password: &str) -> Answer {
    let request =
        with_json(server.request(Method::POST, "/api/login"), &json!({ "user": "ann", "password": password }));
    send(request.header("x-forwarded-for", address)).await
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_owner_still_logs_in() {
    let server = Server::start(&["--behind-proxy"]);
    let new = json!({ "user": "ann", "password": PASSWORD });
    let request = with_json(server.request(Method::POST, "/api/register"), &new).header("x-forwarded-for", "192.0.2.1");
    assert_eq!(send(request).await.status, 201);

    let mut refused = None;
    for guess in 0..60 {
        let answer = login_from(&server, &format!("198.51.100.{guess}"), "wrong horse").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 401);
    }
    let refused = refused.expect("sixty guesses at one account");
    assert_eq!(refused.error(), (429, 1102, "rate_limited".into()));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(login_from(&server, "203.0.113.1", PASSWORD).await.status, 429, "a stranger, right or wrong");
    assert_eq!(login_from(&server, "192.0.2.1", PASSWORD).await.status, 200, "where the owner has been before");
}

#[tokio::test]
async fn an_address_that_no_proxy_of_ours_names_is_not_believed() {
    let server = Server::start(&[]);
    server.register("ann").await;
    let mut statuses = Vec::new();
    for guess in 0..60 {
        statuses.push(login_from(&server, &format!("198.51.100.{guess}"), "wrong horse").await.status.as_u16());
        if statuses.last() == Some(&429) {
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&429), "all of them come from one address");
}
