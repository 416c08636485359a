//! How a request that was not done is answered.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat_core::{Code, HubError, protocol::ServerFrame};

use super::frame;

/// Is an error on its way to an HTTP client: the protocol's `error` frame, under the status that HTTP has for it.
///
/// A host that wants its own routes to answer alike returns it from its handlers; everything that becomes a
/// [`HubError`] becomes one of these.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    error: HubError,
}

impl Failure {
    /// Answers with a status of HTTP's own, where the code alone says too little.
    pub fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, error: HubError::new(Code::Invalid, message) }
    }

    /// Says that a request is malformed, without repeating any of it.
    pub fn invalid(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl<E: Into<HubError>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        Self { status: status(error.code), error }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = frame(self.status, &error_frame(&self.error));
        if self.error.code.is_retryable() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds(&self.error));
        }
        response
    }
}

/// Returns what the wire says of an error.
pub(super) fn error_frame(error: &HubError) -> ServerFrame<'_> {
    ServerFrame::Error { reference: None, key: None, error }
}

/// Rounds up, since the header counts whole seconds and 0 would invite a client to spin.
fn seconds(error: &HubError) -> HeaderValue {
    let wait = error.retry_after.unwrap_or_default();
    HeaderValue::from(wait.as_millis().div_ceil(1000).clamp(1, 3600) as u32)
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Denied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Conflict => StatusCode::CONFLICT,
        Code::TooOld => StatusCode::GONE,
        Code::RateLimited | Code::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Code::Retry | Code::Behind | Code::Draining => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_may_be_tried_again_says_when() {
        let response =
            Failure::from(HubError::from(Code::RateLimited).after(Duration::from_millis(1200))).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let response = Failure::from(Code::Draining).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert!(Failure::from(Code::TooMany).into_response().headers().get(header::RETRY_AFTER).is_none());
    }

    #[test]
    fn every_code_has_the_status_that_http_clients_expect() {
        let table = [(1000, 400), (1010, 409), (1011, 410), (1020, 404), (1021, 403), (1022, 401), (1040, 429)];
        for (number, expected) in table {
            let code = Code::ALL.iter().find(|code| code.number() == number);
            assert_eq!(code.map(|code| status(*code).as_u16()), Some(expected));
        }
        for code in Code::ALL.iter().filter(|code| code.is_retryable()) {
            assert!([429, 503].contains(&status(*code).as_u16()), "{code}");
        }
    }
}
