//! How a request that was not done is answered: in the shape and with the codes of the chat's own routes.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat_core::{Code, HubError};
use serde_json::json;

use crate::accounts::AccountError;

/// Is an error on its way to an HTTP client.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    error: HubError,
}

impl Fault {
    /// Says that a request is malformed, without repeating any of it.
    pub(crate) fn invalid(message: &'static str) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, message)
    }

    /// Answers with a status of HTTP's own, where the code alone says too little.
    pub(crate) fn with_status(status: StatusCode, message: &'static str) -> Self {
        Self { status, error: HubError::new(Code::Invalid, message) }
    }
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        HubError::from(code).into()
    }
}

impl From<HubError> for Fault {
    fn from(error: HubError) -> Self {
        let status = match error.code {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Denied => StatusCode::FORBIDDEN,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::Conflict => StatusCode::CONFLICT,
            Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            code if code.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, error }
    }
}

impl From<AccountError> for Fault {
    fn from(error: AccountError) -> Self {
        let code = match &error {
            AccountError::Name(_) | AccountError::Password(_) => Code::InvalidBody,
            AccountError::Taken => Code::Conflict,
            AccountError::Wrong => Code::Unauthenticated,
            AccountError::TooMany(_) => Code::RateLimited,
            AccountError::Hash(_) => Code::Retry,
            AccountError::Store(_) | AccountError::Random(_) => {
                // The cause is for the operator; whoever asked learns only that it failed here.
                tracing::error!(error = ?error, "accounts failed");
                return Code::Retry.into();
            }
        };
        let wait = if let AccountError::TooMany(wait) = error { Some(wait) } else { None };
        let answer = HubError::new(code, error.to_string());
        wait.map_or(answer.clone(), |wait| answer.after(wait)).into()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self { status, error } = self;
        let mut body = json!({
            "code": error.code.number(),
            "name": error.code.name(),
            "message": error.message,
            "retryable": error.code.is_retryable(),
        });
        let wait_ms = error.retry_after.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        if error.retry_after.is_some() {
            body["retry_after_ms"] = wait_ms.into();
        }
        let mut response = (status, Json(json!({ "error": body }))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if error.code.is_retryable() {
            // The header counts whole seconds, and 0 would invite a client to spin.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000).clamp(1, 3_600)));
        }
        response
    }
}
