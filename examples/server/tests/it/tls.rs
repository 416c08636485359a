//! Over TLS.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client, StatusCode, header::SET_COOKIE};
use serde_json::json;

use crate::server::{PASSWORD, Server, file, run, send, with_json};

#[tokio::test]
async fn the_server_speaks_https_and_its_cookie_stays_there() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let chain = file(&folder, "cert.pem", &cert.pem());
    let key = file(&folder, "key.pem", &signing_key.serialize_pem());
    let flags = ["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()].map(ToOwned::to_owned);
    let server = Server::start_in(folder, &flags.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(server.url.starts_with("https://"));

    let trusted = Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let account = json!({ "user": "ann", "password": PASSWORD });
    for (path, status) in [("register", StatusCode::CREATED), ("login", StatusCode::OK)] {
        let answer = send(with_json(client.post(format!("{}/api/{path}", server.url)), account.clone())).await;
        assert_eq!(answer.status, status);
        if path == "login" {
            assert!(answer.headers[SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
        }
    }
    let plain = client.get(format!("{}/", server.url.replace("https", "http"))).send().await;
    assert!(plain.is_err(), "no plain answer on the TLS port");
}

#[tokio::test]
async fn the_cookie_stays_on_https_behind_a_proxy_that_does_it() {
    let server = Server::start(&["--behind-proxy"]);
    server.register("ann").await;
    let login =
        with_json(server.request(reqwest::Method::POST, "/api/login"), json!({ "user": "ann", "password": PASSWORD }));
    let line = send(login.header("x-forwarded-proto", "https")).await.headers[SET_COOKIE].clone();
    assert!(line.to_str().unwrap().ends_with("; Secure"));
}

#[test]
fn a_certificate_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = file(&folder, "cert.pem", "not a certificate");
    let store = format!("sqlite:{}", folder.path().join("chat.db").display());
    let output = run(&["--tls-cert", wrong.to_str().unwrap(), "--tls-key", wrong.to_str().unwrap(), "--store", &store]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.contains("cert.pem"), "{words}");
}
