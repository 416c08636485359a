//! Accounts over HTTP: register, log in, log out, and who one is.

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time;

use crate::{
    accounts::{NewSession, Registration},
    app::App,
    auth::{self, LoggedIn},
    client::Client,
    fault::Fault,
};

/// Names and a password of 1,024 characters, escaped, fit in; a megabyte is refused before anything is hashed.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// A body of that size takes one round trip; who sends a byte a second is not waited for.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Returns the routes, for `/api`.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/register", post(register))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/me", get(me))
        .route("/info", get(info))
        .fallback(async || Fault::from(chat_core::Code::NotFound))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn wrong_method() -> Fault {
    Fault::with_status(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
}

#[derive(Deserialize)]
struct NewAccount {
    user: String,
    password: String,
    name: Option<String>,
}

async fn register(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    Body(new): Body<NewAccount>,
) -> Result<Response, Fault> {
    let asked = Registration { user: &new.user, password: &new.password, name: new.name.as_deref() };
    let (user, name) = app.accounts().register(asked, client.address).await?;
    tracing::info!(?user, address = %client.address, "registered");
    Ok(answer(StatusCode::CREATED, json!({ "user": user, "name": name })))
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
}

async fn login(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    Body(who): Body<Credentials>,
) -> Result<Response, Fault> {
    let session = app.accounts().login(&who.user, &who.password, client.address).await?;
    let NewSession { token, row, ended } = session;
    tracing::info!(user = ?row.user, login = row.login, address = %client.address, "logged in");
    app.end_sockets(&row.identity()?.user, &ended).await;
    let seconds = app.session().as_secs().try_into().unwrap_or(i64::MAX);
    let cookie = auth::cookie(token.reveal(), seconds, client.https);
    let body = json!({ "user": row.user, "name": row.name, "token": token.reveal(), "expires": row.expires });
    Ok(([(header::SET_COOKIE, cookie)], answer(StatusCode::OK, body)).into_response())
}

/// Ends this login: its token is worth nothing from now on, and its sockets close.
async fn logout(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    who: LoggedIn,
) -> Result<Response, Fault> {
    app.accounts().logout(&who.identity.login).await?;
    app.end_sockets(&who.identity.user, &[who.identity.login.to_string()]).await;
    tracing::info!(user = ?who.identity.user.as_str(), login = &*who.identity.login, "logged out");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, auth::cookie("", 0, client.https))]).into_response())
}

async fn me(who: LoggedIn) -> Response {
    let identity = &who.identity;
    answer(StatusCode::OK, json!({ "user": identity.user, "name": identity.name, "expires": identity.expires }))
}

async fn info(State(app): State<App>) -> Response {
    answer(StatusCode::OK, json!({ "version": env!("CARGO_PKG_VERSION"), "demo": app.is_demo() }))
}

/// Answers with what no cache may keep.
fn answer(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Is a JSON body; what cannot be read is never repeated.
///
/// The content type must say so. That keeps other sites out, too: a browser sends JSON across origins only after
/// asking whether it may.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        if !is_json(request.headers()) {
            let message = "the content type must be application/json";
            return Err(Fault::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let read = time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await;
        let read = read.map_err(|_| Fault::with_status(StatusCode::REQUEST_TIMEOUT, "the body took too long"))?;
        let bytes = read.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Fault::with_status(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            _ => Fault::invalid("the body cannot be read"),
        })?;
        // Without this check a list would do, too: it can be read as the fields of a struct in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Fault::invalid("the body is one JSON object"));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let is_json = error.is_data();
            Fault::invalid(if is_json {
                "a field is missing or of the wrong type"
            } else {
                "the body is one JSON object"
            })
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}
