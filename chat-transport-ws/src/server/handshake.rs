//! The WebSocket handshake (RFC 6455, 4.2) on an HTTP request, answered with a status when it fails: the library's own
//! handshake answers bad requests with silence.

use chat_core::protocol;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    Origins,
    refusal::{Answer, Refusal},
};

/// A list of subprotocols longer than this is refused unread: names are a few bytes.
const PROTOCOLS_BYTES_MAX: usize = 1024;

/// Checks a request. `Ok` is the answer that switches protocols.
pub(crate) fn check<B>(request: &Request<B>, origins: &Origins) -> Result<Answer, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refusal::METHOD);
    }
    let is_upgrade = has(headers, UPGRADE, "websocket") && has(headers, CONNECTION, "upgrade");
    if request.version() != Version::HTTP_11 || !is_upgrade {
        return Err(Refusal::NO_UPGRADE);
    }
    if one(headers, SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(Refusal::VERSION);
    }
    let key = one(headers, SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or(Refusal::KEY)?;
    let is_offered = offers_ours(headers)?;
    if !origins.admit(headers) {
        return Err(Refusal::ORIGIN);
    }
    Ok(switch(key, is_offered))
}

fn switch(key: &[u8], is_offered: bool) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    // Base64 is always a header value.
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key)) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if is_offered {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol::NAME));
    }
    // Extensions are never accepted: none is named here, whatever was offered.
    answer
}

/// Tells whether a comma-separated header holds a token, in any case.
fn has(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

/// Returns a header's value if it is there exactly once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

fn is_key(key: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_base64)
}

/// Tells whether our subprotocol is offered. Other names are ignored, a list that is no list of names is refused.
fn offers_ours(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut offered = false;
    let mut bytes = 0;
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        bytes += value.len();
        if bytes > PROTOCOLS_BYTES_MAX || !value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Refusal::PROTOCOLS);
        }
        offered |=
            value.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii() == protocol::NAME.as_bytes());
    }
    Ok(offered)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request() -> Request<()> {
        Request::get("/ws")
            .header("host", "ok.example")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", KEY)
            .body(())
            .unwrap()
    }

    fn status(change: impl FnOnce(&mut Request<()>)) -> u16 {
        let mut request = request();
        change(&mut request);
        check(&request, &Origins::default()).unwrap_or_else(Answer::from).status().as_u16()
    }

    fn put(name: &'static str, value: impl AsRef<[u8]>) -> impl FnOnce(&mut Request<()>) {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        move |request| {
            request.headers_mut().insert(name, value);
        }
    }

    #[test]
    fn a_good_request_is_answered_with_the_accepted_key() {
        let answer = check(&request(), &Origins::default()).unwrap();
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!answer.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn our_subprotocol_is_chosen_among_those_offered() {
        let mut request = request();
        put("sec-websocket-protocol", "graphql, chat.v1.json")(&mut request);
        let answer = check(&request, &Origins::default()).unwrap();
        assert_eq!(answer.headers()[SEC_WEBSOCKET_PROTOCOL], "chat.v1.json");
    }

    #[test]
    fn w1_to_w3_a_request_that_is_no_upgrade_of_version_13_is_told_so() {
        assert_eq!(status(|request| drop(request.headers_mut().remove(UPGRADE))), 426);
        assert_eq!(status(|request| drop(request.headers_mut().remove(CONNECTION))), 426);
        assert_eq!(status(|request| *request.version_mut() = Version::HTTP_10), 426);
        assert_eq!(status(|request| *request.method_mut() = Method::POST), 405);
        assert_eq!(status(put("sec-websocket-version", "8")), 426);
    }

    #[test]
    fn w4_the_key_is_sixteen_bytes_once() {
        assert_eq!(status(|request| drop(request.headers_mut().remove(SEC_WEBSOCKET_KEY))), 400);
        for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "*Ghlthlthlthlthlthlth0=="] {
            assert_eq!(status(put("sec-websocket-key", key)), 400, "{key}");
        }
        let twice = |request: &mut Request<()>| {
            request.headers_mut().append(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
        };
        assert_eq!(status(twice), 400);
    }

    #[test]
    fn w8_a_subprotocol_that_is_no_name_is_refused_at_once() {
        assert_eq!(status(put("sec-websocket-protocol", [0x80, 0xFF])), 400);
        assert_eq!(status(put("sec-websocket-protocol", format!("b{}x", " ".repeat(32_000)))), 400);
        assert_eq!(status(put("sec-websocket-protocol", "some, other")), 101);
    }

    #[test]
    fn w9_extensions_are_ignored() {
        for offer in ["constructor", "__proto__", "permessage-deflate; client_max_window_bits"] {
            assert_eq!(status(put("sec-websocket-extensions", offer)), 101);
        }
    }

    #[test]
    fn w10_a_foreign_page_is_refused() {
        assert_eq!(status(put("origin", "https://ok.example")), 101);
        assert_eq!(status(put("origin", "https://ok.example.evil.com")), 403);
        assert_eq!(status(put("origin", "null")), 403);
    }
}
