//! What operators and their machines ask, on a listener that people do not reach.

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use chat_core::{HubError, UserId};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{task::JoinHandle, time};

use crate::{accounts::AccountError, app::App};

/// From a write to memory up to the longest wait that anything here has: 0.1 ms to 30 s, about three a decade.
const SECONDS: [f64; 18] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0,
    30.0,
];

/// What is stored together: from one draft to a full batch.
const DRAFTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Begins to collect metrics; everything measured before is lost, so this comes first.
pub(crate) fn collect() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_drafts".to_owned()), &DRAFTS)?
        .install_recorder()
}

/// Empties the histograms' buffers now and then, so that they stay small when nobody reads `/metrics`.
pub(crate) fn keep_small(metrics: PrometheusHandle) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut every = time::interval(Duration::from_secs(5));
        loop {
            every.tick().await;
            metrics.run_upkeep();
        }
    })
}

#[derive(Clone)]
struct Admin {
    app: App,
    metrics: PrometheusHandle,
}

/// Returns the routes: `/live`, `/ready`, `/metrics`, `/users/NAME/ban`, and `/users/NAME`.
pub(crate) fn routes(app: App, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/live", get("alive\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(render))
        .route("/users/{user}/ban", post(ban).delete(unban))
        .route("/users/{user}", delete(remove))
        .layer(middleware::from_fn(refuse_pages))
        .with_state(Admin { app, metrics })
}

/// Tells a load balancer whether to send people here.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.app.is_ready().await {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render())
}

/// Keeps a user out: they cannot log in, and what they are logged in on is closed.
async fn ban(State(admin): State<Admin>, Path(user): Path<String>) -> Result<StatusCode, Refused> {
    let (id, ended) = admin.app.accounts().ban(&user).await?.ok_or(Refused::NoSuchUser)?;
    tracing::info!(user = ?id, ended = ended.len(), "banned");
    let id = UserId::new(&*id).map_err(|_| Refused::NoSuchUser)?;
    admin.app.end_sockets(&id, &ended).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn unban(State(admin): State<Admin>, Path(user): Path<String>) -> Result<StatusCode, Refused> {
    if !admin.app.accounts().unban(&user).await? {
        return Err(Refused::NoSuchUser);
    }
    tracing::info!(?user, "no longer banned");
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a user's account, and closes what they are logged in on. What they wrote is `chat-admin erase-user`'s to blank.
async fn remove(State(admin): State<Admin>, Path(user): Path<String>) -> Result<StatusCode, Refused> {
    let (id, ended) = admin.app.accounts().remove(&user).await?.ok_or(Refused::NoSuchUser)?;
    tracing::info!(ended = ended.len(), "an account was removed");
    let id = UserId::new(&*id).map_err(|_| Refused::NoSuchUser)?;
    admin.app.end_sockets(&id, &ended).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses what a page in the operator's own browser sends here: loopback keeps other machines out, not other sites.
/// Browsers put `Origin` on whatever changes something.
async fn refuse_pages(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && is_from_page(request.headers()) {
        return (StatusCode::FORBIDDEN, "not from a page\n").into_response();
    }
    next.run(request).await
}

fn is_from_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

/// Says why an operator's wish was not carried out.
enum Refused {
    NoSuchUser,
    Failed(AccountError),
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        if matches!(error, AccountError::Name(_)) { Self::NoSuchUser } else { Self::Failed(error) }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::NoSuchUser => (StatusCode::NOT_FOUND, "no such user\n").into_response(),
            Self::Failed(error) => (StatusCode::SERVICE_UNAVAILABLE, HubError::from(error).to_string()).into_response(),
        }
    }
}
