//! Answers without a session: a status, one sentence, and the headers that belong to the status.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

/// Is an answer with a short text or none.
pub(crate) type Answer = Response<Bytes>;

/// Is why a request is not served.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    sentence: &'static str,
    headers: &'static [(&'static str, &'static str)],
}

impl Refusal {
    pub(crate) const NOT_HERE: Self = Self::new(StatusCode::NOT_FOUND, "there is nothing here");
    pub(crate) const METHOD: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET").with(&[("allow", "GET")]);
    pub(crate) const NO_UPGRADE: Self =
        Self::new(StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket over HTTP/1.1")
            .with(&[("upgrade", "websocket"), ("connection", "upgrade")]);
    pub(crate) const VERSION: Self = Self::new(StatusCode::UPGRADE_REQUIRED, "version 13 of WebSocket is spoken here")
        .with(&[("sec-websocket-version", "13"), ("upgrade", "websocket"), ("connection", "upgrade")]);
    pub(crate) const KEY: Self = Self::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is 16 bytes in Base64, once");
    pub(crate) const PROTOCOLS: Self =
        Self::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Protocol is a short list of names");
    pub(crate) const ORIGIN: Self = Self::new(StatusCode::FORBIDDEN, "this page may not connect");
    pub(crate) const TOO_MANY: Self =
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too many connections").with(&[("retry-after", "10")]);
    pub(crate) const TRANSFER_ENCODING: Self =
        Self::new(StatusCode::BAD_REQUEST, "a request's length is given by Content-Length");
    /// Somewhere between the socket and us the request was rebuilt without what hyper had put into it.
    pub(crate) const NOT_UPGRADABLE: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "this connection cannot be upgraded");

    const fn new(status: StatusCode, sentence: &'static str) -> Self {
        Self { status, sentence, headers: &[] }
    }

    const fn with(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut answer = Self::new(Bytes::from_static(refusal.sentence.as_bytes()));
        *answer.status_mut() = refusal.status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        for (name, value) in refusal.headers {
            answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        answer
    }
}
