//! The axum router: WebSocket, REST and the browser client under any path of the host's.
//!
//! The host's own extractor says who asks; if it rejects, its rejection is the answer. Everything else is a few lines
//! per route over the [`LocalHub`](chat_core::LocalHub): the routes have no logic of their own. What they answer are the
//! frames of the protocol without `ref`; `room`, `edits` and
//! `catchup` are three more of their kind. `docs/rest.md` is the page for
//! clients, and `openapi.json` the same for programs: tests hold both against this file.

mod catch_up;
mod extract;
mod failure;
mod files;
mod messages;
mod rooms;
mod ws;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Request},
    handler::Handler,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any, get, post},
};
use chat_core::{
    Identity,
    protocol::{self, ServerFrame},
};
use serde::Serialize;
use serde_json::Value;

use self::extract::Caller;
pub use self::{extract::Json, failure::Failure};
use crate::Chat;

/// Is what every route answers.
type Answer = Result<Response, Failure>;

impl Chat {
    /// Returns the routes of the chat, to be nested under any path of the host's router.
    ///
    /// `identify` turns what the host's own extractor finds into the identity the chat goes by. It cannot refuse, so a
    /// text of which no [`UserId`](chat_core::UserId) can be made is the extractor's to refuse; a number always is one (`UserId::from(7)`).
    ///
    /// ```
    /// use axum::{extract::FromRequestParts, http::{StatusCode, request::Parts}};
    /// use chat_engine::{Chat, Identity, UserId};
    ///
    /// struct Login { id: UserId, name: String }
    ///
    /// impl<S: Sync> FromRequestParts<S> for Login {
    ///     type Rejection = StatusCode;
    ///
    ///     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
    ///         let name = signed_in(parts).ok_or(StatusCode::UNAUTHORIZED)?;
    ///         let id = UserId::new(name.as_str()).map_err(|_| StatusCode::FORBIDDEN)?; // longer than 128 bytes, or not NFC
    ///         Ok(Self { id, name })
    ///     }
    /// }
    /// # fn signed_in(_: &Parts) -> Option<String> { None }
    ///
    /// fn routes(chat: &Chat) -> axum::Router {
    ///     axum::Router::new().nest("/chat", chat.router(|login: Login| Identity::human(login.id, login.name)))
    /// }
    /// ```
    ///
    /// | route | asks for |
    /// |---|---|
    /// | `GET /ws` | the WebSocket; subprotocol `chat.v1.json` |
    /// | `GET /rooms` `?which=mine\|public&before=&limit=` | rooms, the most recently active first |
    /// | `POST /rooms` `{key, spec}` | a new room |
    /// | `GET /rooms/{room}` | one room |
    /// | `GET /rooms/named/{name}` | the room with this name of the host's own |
    /// | `POST /rooms/{room}/join` `{key}` | to become a member |
    /// | `POST /rooms/{room}/leave` `{key}` | to be one no more |
    /// | `GET /rooms/{room}/members` `?after_user=&limit=` | members, and who of them is online |
    /// | `GET /rooms/{room}/messages` `?before=&after=&limit=` | messages, oldest first |
    /// | `GET /rooms/{room}/messages/{seq}/edits` | the texts that a message had |
    /// | `POST /rooms/{room}/messages` `{key, body}` | a message, an edit, … : 201, or 202 for a command |
    /// | `POST /direct/{user}/messages` `{key, body}` | the same to one person |
    /// | `POST /catchup` `{cursors: [{room, seq, id}], limit}` | what came after these cursors |
    /// | `GET /client.js` | the browser client; needs no login |
    /// | `GET /client.d.ts` | its types; needs no login |
    /// | `GET /openapi.json` | these routes as OpenAPI 3.1; needs no login |
    ///
    /// Users of them read `docs/rest.md`: bodies, answers, errors, paging, limits.
    pub fn router<S, E, F>(&self, identify: F) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
        E: FromRequestParts<S> + Send + 'static,
        F: Fn(E) -> Identity + Clone + Send + Sync + 'static,
    {
        let known = |methods: MethodRouter| {
            let (chat, identify) = (self.clone(), identify.clone());
            any(move |who: E, mut request: Request| {
                request.extensions_mut().insert(Caller { chat, identity: identify(who) });
                async move {
                    match refuse_condition(request.headers()) {
                        Some(refused) => refused.into_response(),
                        None => Handler::call(methods.fallback(wrong_method), request, ()).await,
                    }
                }
            })
        };
        Router::new()
            .route("/ws", known(get(ws::upgrade)))
            .route("/rooms", known(get(rooms::list).post(rooms::create)))
            .route("/rooms/named/{chat_name}", known(get(rooms::named)))
            .route("/rooms/{chat_room}", known(get(rooms::summary)))
            .route("/rooms/{chat_room}/join", known(post(rooms::join)))
            .route("/rooms/{chat_room}/leave", known(post(rooms::leave)))
            .route("/rooms/{chat_room}/members", known(get(rooms::members)))
            .route("/rooms/{chat_room}/messages", known(get(messages::history).post(messages::send)))
            .route("/rooms/{chat_room}/messages/{chat_seq}/edits", known(get(messages::edits)))
            .route("/direct/{chat_user}/messages", known(post(messages::send_direct)))
            .route("/catchup", known(post(catch_up::catch_up)))
            .route("/client.js", get(files::script).fallback(wrong_method))
            .route("/client.d.ts", get(files::types).fallback(wrong_method))
            .route("/openapi.json", get(files::description).fallback(wrong_method))
            // As large as a frame on a WebSocket, whatever the host allows elsewhere.
            .layer(DefaultBodyLimit::max(self.engine().limits().frame_bytes_max))
    }
}

async fn wrong_method() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
}

/// Refuses `If-Match`: nothing here has a version that could match, and who asks for one must not believe it was checked.
fn refuse_condition(headers: &HeaderMap) -> Option<Failure> {
    let asked = headers.contains_key(header::IF_MATCH);
    asked.then(|| Failure::new(StatusCode::PRECONDITION_FAILED, "nothing here has an ETag that could match"))
}

/// Answers with a frame of the protocol.
fn frame(status: StatusCode, frame: &ServerFrame<'_>) -> Response {
    answer(status, protocol::encode(frame))
}

/// Answers with what is no frame of the protocol and yet says of itself what it is.
fn typed(status: StatusCode, kind: &'static str, fields: Value) -> Response {
    #[derive(Serialize)]
    struct Typed {
        r#type: &'static str,
        #[serde(flatten)]
        fields: Value,
    }
    // Cannot fail: all keys are texts and the writer is memory.
    answer(status, serde_json::to_vec(&Typed { r#type: kind, fields }).unwrap_or_default())
}

/// Answers with JSON that no cache may keep: it is what one user may see now.
fn answer(status: StatusCode, json: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, json).into_response()
}
