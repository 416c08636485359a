//! Over TLS.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client, Method, StatusCode, header::SET_COOKIE};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    server::{PASSWORD, Server, file, run, send, with_json},
    socket::Socket,
};

/// Starts a server with a certificate of its own.
fn start() -> (Server, String, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let chain = file(&folder, "cert.pem", &cert.pem());
    let key = file(&folder, "key.pem", &signing_key.serialize_pem());
    let flags = ["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    (Server::start_in(folder, &flags), cert.pem(), cert.der().clone())
}

#[tokio::test]
async fn page_accounts_and_sockets_work_over_tls() {
    let (server, pem, der) = start();
    assert!(server.url.starts_with("https://"));
    let trusted = Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let account = json!({ "user": "ann", "password": PASSWORD });
    let post = |path| send(with_json(client.post(format!("{}/api/{path}", server.url)), &account));
    assert_eq!(post("register").await.status, StatusCode::CREATED);
    let login = post("login").await;
    assert!(login.headers[SET_COOKIE].to_str().unwrap().ends_with("; Secure"), "the cookie stays on https");

    let address = server.url.strip_prefix("https://").unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der).unwrap();
    let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = TlsConnector::from(config).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
    let mut socket = Socket::over(stream, &server, login.json()["token"].as_str().unwrap()).await;
    socket.say(json!({ "type": "rooms", "ref": 2 })).await;
    assert_eq!(socket.hear("rooms").await["ref"], 2);

    let plain = client.get(format!("http://{address}/")).send().await;
    assert!(plain.is_err(), "nothing is answered in the clear");
}

#[tokio::test]
async fn the_cookie_stays_on_https_behind_a_proxy_that_does_it() {
    let server = Server::start(&["--behind-proxy"]);
    server.register("ann").await;
    let login = with_json(server.request(Method::POST, "/api/login"), &json!({ "user": "ann", "password": PASSWORD }));
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
