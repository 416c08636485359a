//! What operators and their machines ask, on a listener that people do not reach.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{task::JoinHandle, time};

use crate::app::App;

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

/// Returns the routes: `/live`, `/ready` and `/metrics`.
pub(crate) fn routes(app: App, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/live", get("alive\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(render))
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
