//! A host with a login and paths of its own, into which the chat is built.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use chat_engine::{Chat, ChatBuilder, Identity, Key, Members, RoomId, UserId};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    description,
    http::{Reply, exchange},
};

/// Where the chat is: under a parameter of the host's own.
pub(crate) const BASE: &str = "/tenants/7/chat";

/// Is the host's state.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) header: &'static str,
}

/// Is the host's login: whoever is named by a header.
pub(crate) struct SignedIn(UserId);

impl FromRequestParts<Host> for SignedIn {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Self::Rejection> {
        let name = parts.headers.get(host.header).and_then(|value| value.to_str().ok());
        let user = name.and_then(|name| UserId::new(name).ok());
        user.map(Self).ok_or((StatusCode::UNAUTHORIZED, "the host says: sign in at /login"))
    }
}

/// Is a running host.
pub(crate) struct Site {
    pub(crate) chat: Chat,
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
    _files: Option<tempfile::TempDir>,
}

impl Site {
    pub(crate) async fn memory() -> Self {
        Self::of(Chat::builder(), None).await
    }

    #[cfg(feature = "sqlite")]
    pub(crate) async fn sqlite() -> Self {
        let files = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", files.path().join("chat.db").display());
        Self::of(Chat::builder().store(url), Some(files)).await
    }

    pub(crate) async fn of(builder: ChatBuilder, files: Option<tempfile::TempDir>) -> Self {
        let chat = builder.policy(Members::default().people_name_rooms()).build().await.unwrap();
        let routes =
            chat.router(|SignedIn(user): SignedIn| Identity::human(user.clone(), user.as_str().to_uppercase()));
        let app = Router::new().nest("/tenants/{tenant}/chat", routes).with_state(Host { header: "x-user" });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { chat, address, server, _files: files }
    }

    /// Asks as `user`; `body` goes as JSON.
    pub(crate) async fn ask(&self, user: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let body = body.map(|body| body.to_string());
        self.send(method, path, &format!("x-user: {user}\r\ncontent-type: application/json\r\n"), body.as_deref()).await
    }

    /// Sends a request with exactly these headers. The answer has to be one that is described.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &str, body: Option<&str>) -> Reply {
        let length = body.map(|body| format!("content-length: {}\r\n", body.len())).unwrap_or_default();
        let body = body.unwrap_or_default();
        let head = format!("{method} {BASE}{path} HTTP/1.1\r\nhost: chat.example\r\nconnection: close\r\n");
        let reply = exchange(self.address, &format!("{head}{headers}{length}\r\n{body}")).await;
        description::check(method, path, &reply);
        reply
    }

    pub(crate) async fn get(&self, user: &str, path: &str) -> Reply {
        self.ask(user, "GET", path, None).await
    }

    pub(crate) async fn post(&self, user: &str, path: &str, body: Value) -> Reply {
        self.ask(user, "POST", path, Some(body)).await
    }

    /// Creates a room and returns its path.
    pub(crate) async fn room(&self, owner: &str, spec: Value) -> String {
        let reply = self.post(owner, "/rooms", json!({ "key": key(), "spec": spec })).await;
        format!("/rooms/{}", reply.expect(201)["room"].as_str().unwrap())
    }

    /// Creates a public room of this name and returns its path.
    pub(crate) async fn public(&self, owner: &str, name: &str) -> String {
        self.room(owner, json!({ "name": name, "title": name, "visibility": "public" })).await
    }

    pub(crate) async fn say(&self, user: &str, room: &str, text: &str) -> Reply {
        self.post(user, &format!("{room}/messages"), saying(text)).await
    }

    pub(crate) async fn join(&self, user: &str, room: &str) {
        self.post(user, &format!("{room}/join"), json!({ "key": key() })).await.expect(201);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn key() -> String {
    Key::generate().to_string()
}

/// Makes the request that posts a text under a fresh key.
pub(crate) fn saying(text: &str) -> Value {
    json!({ "key": key(), "body": { "kind": "text", "text": text } })
}

/// Returns the id in a room's path.
pub(crate) fn id(room: &str) -> RoomId {
    room.trim_start_matches("/rooms/").parse().unwrap()
}
