//! The axum router: WebSocket, REST and the browser client under any path of the host's.
//!
//! The host's own extractor says who asks; if it rejects, its rejection is the answer. Everything else is a few lines
//! per route over the [`LocalHub`](chat_core::LocalHub): the routes have no logic of their own, and what they answer
//! are the frames of the protocol without `ref`.

mod catch_up;
mod client;
mod extract;
mod failure;
mod messages;
mod rooms;
mod ws;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Request},
    handler::Handler,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any, get, post},
};
use chat_core::{
    Identity,
    protocol::{self, ServerFrame},
};

use self::extract::Caller;
pub use self::{extract::Json, failure::Failure};
use crate::Chat;

/// Is what every route answers.
type Answer = Result<Response, Failure>;

impl Chat {
    /// Returns the routes of the chat, to be nested under any path of the host's router.
    ///
    /// `identify` turns what the host's own extractor finds into the identity the chat goes by:
    ///
    /// ```
    /// use chat_engine::{Chat, Identity, UserId};
    /// # use axum::{extract::FromRequestParts, http::{StatusCode, request::Parts}};
    /// # struct Login { id: UserId, name: String }
    /// # impl<S: Sync> FromRequestParts<S> for Login {
    /// #     type Rejection = StatusCode;
    /// #     async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, StatusCode> { Err(StatusCode::UNAUTHORIZED) }
    /// # }
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
    /// | `GET /rooms/{id}` | one room |
    /// | `POST /rooms/{id}/join`, `POST /rooms/{id}/leave` `{key}` | membership |
    /// | `GET /rooms/{id}/members` `?after_user=&limit=` | members, and who of them is online |
    /// | `GET /rooms/{id}/messages` `?before=&after=&limit=` | messages, oldest first |
    /// | `POST /rooms/{id}/messages` `{key, body}` | a message, an edit, … : 201, or 202 for a command |
    /// | `POST /direct/{user}/messages` `{key, body}` | the same to one person |
    /// | `POST /catchup` `{cursors: [{room, seq, id}], limit}` | what came after these cursors |
    /// | `GET /client.js`, `GET /client.d.ts` | the browser client; needs no login |
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
                Handler::call(methods.fallback(wrong_method), request, ())
            })
        };
        Router::new()
            .route("/ws", known(get(ws::upgrade)))
            .route("/rooms", known(get(rooms::list).post(rooms::create)))
            .route("/rooms/{chat_room}", known(get(rooms::summary)))
            .route("/rooms/{chat_room}/join", known(post(rooms::join)))
            .route("/rooms/{chat_room}/leave", known(post(rooms::leave)))
            .route("/rooms/{chat_room}/members", known(get(rooms::members)))
            .route("/rooms/{chat_room}/messages", known(get(messages::history).post(messages::send)))
            .route("/direct/{chat_user}/messages", known(post(messages::send_direct)))
            .route("/catchup", known(post(catch_up::catch_up)))
            .route("/client.js", get(client::script).fallback(wrong_method))
            .route("/client.d.ts", get(client::types).fallback(wrong_method))
            // As large as a frame on a WebSocket, whatever the host allows elsewhere.
            .layer(DefaultBodyLimit::max(self.engine().limits().frame_bytes_max))
    }
}

async fn wrong_method() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
}

/// Answers with a frame of the protocol.
fn frame(status: StatusCode, frame: &ServerFrame<'_>) -> Response {
    answer(status, protocol::encode(frame))
}

/// Answers with JSON that no cache may keep: it is what one user may see now.
fn answer(status: StatusCode, json: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, json).into_response()
}
