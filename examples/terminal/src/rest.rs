//! What the server offers over HTTP only: accounts, and the list of public rooms.

use chat_core::{Key, RoomId};
use reqwest::{Client, RequestBuilder, header};
use serde_json::{Value, json};

/// Is a login.
#[derive(Clone)]
pub(crate) struct Rest {
    http: Client,
    server: String,
    token: String,
}

impl Rest {
    /// Logs in, and makes the account before if that is wanted.
    pub(crate) async fn login(server: &str, user: &str, password: &str, register: bool) -> Result<Self, String> {
        let http = Client::builder().build().map_err(|error| error.to_string())?;
        let mut rest = Self { http, server: server.trim_end_matches('/').to_owned(), token: String::new() };
        let account = json!({ "user": user, "password": password });
        if register {
            rest.post("/api/register", &account).await?;
        }
        let session = rest.post("/api/login", &account).await?;
        session["token"].as_str().ok_or("the server gave no token")?.clone_into(&mut rest.token);
        Ok(rest)
    }

    /// Returns where the WebSocket is.
    pub(crate) fn socket(&self) -> String {
        format!("ws{}/chat/ws", self.server.strip_prefix("http").unwrap_or_default())
    }

    /// Returns the header that proves who this is.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Joins the public room with this title.
    pub(crate) async fn join(&self, title: &str) -> Result<RoomId, String> {
        let listed = self.send(self.http.get(self.url("/chat/rooms?which=public&limit=200"))).await?;
        let rooms = listed["rooms"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_meant = |room: &&Value| room["title"].as_str().is_some_and(|found| found.eq_ignore_ascii_case(title));
        let room = rooms.iter().find(is_meant).ok_or("there is no public room with this title")?;
        let id: RoomId = room["room"].as_str().unwrap_or_default().parse().map_err(|_| "the server gave no room")?;
        self.post(&format!("/chat/rooms/{id}/join"), &json!({ "key": Key::generate() })).await?;
        Ok(id)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.http.post(self.url(path)).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.to_string())).await
    }

    /// Sends a request. An error is a sentence to be shown.
    async fn send(&self, mut request: RequestBuilder) -> Result<Value, String> {
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        let answer = request.send().await.map_err(|_| format!("{} cannot be reached", self.server))?;
        let is_good = answer.status().is_success();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        if is_good { Ok(json) } else { Err(json["message"].as_str().unwrap_or("refused").to_owned()) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }
}
