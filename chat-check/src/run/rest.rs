//! What the driver asks the server for over HTTP: accounts, rooms, and their logs at the end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use chat_core::{Entry, Key, RoomId};
use parking_lot::Mutex;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Failure;

const PASSWORD: &str = "only for this run";
/// How long one answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Is the nodes' HTTP side, each asked in turn. Clones are the same one, wherever the nodes are just now.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    client: Client,
    nodes: Arc<Mutex<Arc<[SocketAddr]>>>,
    turn: Arc<AtomicUsize>,
}

/// Is a page of a log.
#[derive(Debug, Deserialize)]
pub(super) struct CatchUp {
    pub(super) entries: Vec<Entry>,
    pub(super) more: bool,
    /// The entry before is not of this log.
    #[serde(default)]
    pub(super) reset: bool,
}

impl Rest {
    pub(super) fn at(nodes: Arc<[SocketAddr]>) -> Result<Self, Failure> {
        Ok(Self { client: http(PATIENCE)?, nodes: Arc::new(Mutex::new(nodes)), turn: Arc::default() })
    }

    pub(super) fn lead_to(&self, nodes: Arc<[SocketAddr]>) {
        *self.nodes.lock() = nodes;
    }

    /// Makes an account and returns a token of it.
    pub(super) async fn register(&self, user: &str) -> Result<String, Failure> {
        let who = json!({ "user": user, "password": PASSWORD });
        self.post("/api/register", None, &who).await?;
        self.login(user).await
    }

    /// Logs in once more, and returns the token.
    pub(super) async fn login(&self, user: &str) -> Result<String, Failure> {
        let login = self.post("/api/login", None, &json!({ "user": user, "password": PASSWORD })).await?;
        Ok(login["token"].as_str().ok_or("a login without a token")?.to_owned())
    }

    /// Ends a login.
    pub(super) async fn log_out(&self, token: &str) -> Result<(), Failure> {
        self.post("/api/logout", Some(token), &json!({})).await.map(drop)
    }

    /// Changes a password, which ends all other logins.
    pub(super) async fn change_password(&self, token: &str) -> Result<(), Failure> {
        let passwords = json!({ "current": PASSWORD, "new": format!("no longer {PASSWORD}") });
        self.post("/api/password", Some(token), &passwords).await.map(drop)
    }

    /// Bans somebody, as an operator does, which ends all their logins.
    pub(super) async fn ban(&self, admin: SocketAddr, user: &str) -> Result<(), Failure> {
        answer(self.client.post(format!("http://{admin}/users/{user}/ban"))).await.map(drop)
    }

    /// Creates a room and returns its id.
    pub(super) async fn create(&self, token: &str, spec: Value) -> Result<RoomId, Failure> {
        let room = self.post("/chat/rooms", Some(token), &json!({ "key": Key::generate(), "spec": spec })).await?;
        Ok(room["room"].as_str().ok_or("a room without an id")?.parse()?)
    }

    /// Returns the last position of a room.
    pub(super) async fn head(&self, token: &str, room: RoomId) -> Result<u64, Failure> {
        let url = self.url(&format!("/chat/rooms/{room}"));
        let room = answer(self.client.get(url).bearer_auth(token)).await?;
        Ok(room["head"].as_u64().ok_or("a room without a head")?)
    }

    /// Reads a page of the log after an entry; from the beginning without one.
    pub(super) async fn read(&self, token: &str, room: RoomId, after: Option<&Entry>) -> Result<CatchUp, Failure> {
        let cursor = match after {
            Some(entry) => json!({ "room": room, "seq": entry.seq, "id": entry.id }),
            None => json!({ "room": room, "seq": 0 }),
        };
        let asked = json!({ "cursors": [cursor], "limit": 200 });
        let mut found = self.post("/chat/catchup", Some(token), &asked).await?;
        Ok(serde_json::from_value(found["rooms"][0].take())?)
    }

    /// Reads a whole log.
    pub(super) async fn log(&self, token: &str, room: RoomId) -> Result<Vec<Entry>, Failure> {
        let mut log = Vec::new();
        loop {
            let page = self.read(token, room, log.last()).await?;
            let arrived = page.entries.is_empty() || !page.more;
            log.extend(page.entries);
            if arrived {
                return Ok(log);
            }
        }
    }

    fn url(&self, path: &str) -> String {
        let nodes = self.nodes.lock();
        format!("http://{}{path}", nodes[self.turn.fetch_add(1, Relaxed) % nodes.len()])
    }

    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Value, Failure> {
        let mut request = self.client.post(self.url(path)).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        answer(request.body(body.to_string())).await
    }
}

/// Makes a client for HTTP.
pub(super) fn http(patience: Duration) -> Result<Client, Failure> {
    // Nothing here uses TLS, but the client asks for a provider all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().no_proxy().tls_certs_only([]).timeout(patience).build()?)
}

async fn answer(request: RequestBuilder) -> Result<Value, Failure> {
    let response = request.send().await?;
    let (url, status, text) = (response.url().path().to_owned(), response.status(), response.text().await?);
    if !status.is_success() {
        return Err(format!("{url} answered {status}: {text}").into());
    }
    if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
}
