//! What the server tells about itself: log lines, request ids, request metrics.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderValue, Method, header::HeaderName},
    middleware::Next,
    response::Response,
};
use chat_core::{Entropy, clock::SystemEntropy};
use tracing::Instrument;
use tracing_subscriber::{EnvFilter, filter::ParseError, util::SubscriberInitExt};

use crate::config::LogFormat;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Begins to log, to stderr: stdout is for the person who started us.
pub(crate) fn log(format: LogFormat, filter: &str) -> Result<(), ParseError> {
    // RabbitMQ's driver logs messages that come back, with all that is in them; who wants that can still ask for it.
    let filter = EnvFilter::try_new(format!("lapin=error,{filter}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.finish().init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().init(),
    }
    Ok(())
}

/// Gives each request an id, a log line and a place in the metrics. The query is left out: it may hold anything.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request.headers().get(REQUEST_ID).filter(|id| is_plain(id)).cloned().unwrap_or_else(fresh_id);
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("other".to_owned(), |path| path.as_str().to_owned());
    let path: String = request.uri().path().chars().take(200).collect();
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), method, path);
    let mut response = next.run(request).instrument(span.clone()).await;
    let (took, status) = (began.elapsed(), response.status().as_u16());
    response.headers_mut().insert(REQUEST_ID, id);
    span.in_scope(|| tracing::debug!(status, took_us = took.as_micros(), "answered"));
    metrics::counter!("chat_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("chat_http_request_seconds", "method" => method, "route" => route).record(took);
    response
}

/// A proxy's id is kept if it is short and plain; anything else could forge log lines.
fn is_plain(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=64).contains(&bytes.len()) && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn fresh_id() -> HeaderValue {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes);
    HeaderValue::try_from(format!("{:032x}", u128::from_be_bytes(bytes))).unwrap_or(HeaderValue::from_static("none"))
}

/// A client can invent methods; a metric must not grow a line for each.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
