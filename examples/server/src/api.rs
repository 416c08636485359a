//! Accounts over HTTP: register, log in, log out, change the password, and who one is. `docs/rest.md` is the page,
//! `openapi.json` the same for programs.

use axum::{
    Extension, Json as AnswerJson, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chat_core::{Code, Identity};
use chat_engine::{Failure, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    accounts::{NewPassword, NewSession, Registration},
    app::App,
    auth::{self, LoggedIn},
    client::Client,
};

/// Names and a password of 1,024 characters, escaped, fit in; a megabyte is refused before anything is hashed.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Returns the routes, for `/api`.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/register", post(register))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/password", post(change_password))
        .route("/me", get(me))
        .route("/info", get(info))
        .route("/openapi.json", get(description))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Answers for an address that is none, as programs read it.
pub(crate) async fn not_found() -> Failure {
    Code::NotFound.into()
}

async fn wrong_method() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
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
    Json(new): Json<NewAccount>,
) -> Result<Response, Failure> {
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
    Json(who): Json<Credentials>,
) -> Result<Response, Failure> {
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
) -> Result<Response, Failure> {
    app.accounts().logout(&who.identity.login).await?;
    app.end_sockets(&who.identity.user, &[who.identity.login.to_string()]).await;
    tracing::info!(user = ?who.identity.user.as_str(), login = &*who.identity.login, "logged out");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, auth::cookie("", 0, client.https))]).into_response())
}

#[derive(Deserialize)]
struct Passwords {
    current: String,
    new: String,
}

/// Takes another password. All other logins of the user end with it, and their sockets close.
async fn change_password(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    who: LoggedIn,
    Json(typed): Json<Passwords>,
) -> Result<StatusCode, Failure> {
    let Identity { user, login, .. } = &who.identity;
    let new = NewPassword { user: user.as_str(), login, current: &typed.current, new: &typed.new };
    let ended = app.accounts().change_password(new, client.address).await?;
    tracing::info!(user = ?user.as_str(), login = &**login, ended = ended.len(), "changed the password");
    app.end_sockets(user, &ended).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn me(who: LoggedIn) -> Response {
    let identity = &who.identity;
    answer(StatusCode::OK, json!({ "user": identity.user, "name": identity.name, "expires": identity.expires }))
}

async fn info(State(app): State<App>) -> Response {
    answer(StatusCode::OK, json!({ "version": env!("CARGO_PKG_VERSION"), "demo": app.is_demo() }))
}

/// These routes as OpenAPI 3.1.
async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("../openapi.json")).into_response()
}

/// Answers with what no cache may keep.
fn answer(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], AnswerJson(body)).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    /// Returns what stands between the two.
    fn between<'a>(text: &'a str, begin: &str, end: char) -> impl Iterator<Item = &'a str> {
        text.split(begin).skip(1).map(move |rest| rest.split(end).next().unwrap())
    }

    #[test]
    fn the_description_the_page_and_the_router_name_the_same_routes() {
        let description: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        });
        let described: BTreeSet<_> = described.collect();
        let routes = include_str!("api.rs").lines().filter(|line| line.trim_start().starts_with(".route("));
        let routes = routes.map(|line| {
            let path = between(line, "\"", '"').next().unwrap();
            let method = between(line, ", ", '(').next().unwrap();
            format!("{method} {path}")
        });
        assert_eq!(routes.collect::<BTreeSet<_>>(), described);
        let page = include_str!("../../../docs/rest.md").split("## Accounts").nth(1).unwrap();
        let rows = between(page, "\n| `", '`').map(|route| {
            let (method, path) = route.split_once(" /api").unwrap();
            format!("{} {path}", method.to_lowercase())
        });
        assert_eq!(rows.collect::<BTreeSet<_>>(), described);
    }

    #[test]
    fn an_error_is_described_as_the_chat_describes_it() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap()["components"]["schemas"]["Error"].clone();
        let chat = read(include_str!("../../../chat-engine/openapi.json"));
        assert!(chat.is_object());
        assert_eq!(read(include_str!("../openapi.json")), chat);
    }
}
