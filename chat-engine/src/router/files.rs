//! What is served from the binary to everybody: the browser client, and the description of the routes.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// Is such a file. Public: it holds nothing of anybody's.
struct File {
    text: &'static str,
    mime: &'static str,
}

const SCRIPT: File = File { text: include_str!("../../client/chat.js"), mime: "text/javascript; charset=utf-8" };
const TYPES: File =
    File { text: include_str!("../../client/chat.d.ts"), mime: "application/typescript; charset=utf-8" };
const DESCRIPTION: File = File { text: include_str!("../../openapi.json"), mime: "application/json" };

/// `GET /client.js`: the client as a module.
pub(super) async fn script(headers: HeaderMap) -> Response {
    SCRIPT.respond(&headers)
}

/// `GET /client.d.ts`: its types.
pub(super) async fn types(headers: HeaderMap) -> Response {
    TYPES.respond(&headers)
}

/// `GET /openapi.json`: these routes as OpenAPI 3.1.
pub(super) async fn description(headers: HeaderMap) -> Response {
    DESCRIPTION.respond(&headers)
}

impl File {
    fn respond(&self, asked: &HeaderMap) -> Response {
        let tag = format!("\"{:016x}\"", fingerprint(self.text));
        let fresh = asked
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|known| known.trim().trim_start_matches("W/") == tag);
        let mut response = if fresh { StatusCode::NOT_MODIFIED.into_response() } else { self.text.into_response() };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, tag);
        }
        // Kept, but asked for each time: after an update of the server no page runs on with the old client.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, no-cache"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.mime));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

/// Hashes a text (FNV-1a), the same on every node and with every compiler; tells versions apart, proves nothing.
const fn fingerprint(text: &str) -> u64 {
    let (bytes, mut hash, mut at) = (text.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
