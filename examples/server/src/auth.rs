//! Who asks: the login behind a cookie or a bearer token.

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::{Code, Identity};
use chat_engine::Failure;

use crate::app::App;

/// The cookie with the token. Scripts cannot read it, and no other site's request carries it.
const COOKIE: &str = "chat_session";

/// Is somebody who is logged in. As an extractor it answers 401 to everybody else.
#[derive(Clone, Debug)]
pub(crate) struct LoggedIn {
    /// Who this is to the engine.
    pub(crate) identity: Identity,
}

impl FromRequestParts<App> for LoggedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let (token, from_cookie) = token(&parts.headers).ok_or(Code::Unauthenticated)?;
        // A browser adds the cookie to whatever request a page makes; a bearer token was put there on purpose.
        let is_judged = opens_socket(parts) || from_cookie && changes_something(parts);
        if is_judged && !is_same_site(&parts.headers, app.allowed_origins()) {
            return Err(Code::Denied.into());
        }
        let login = app.accounts().session(token).await?.ok_or(Code::Unauthenticated)?;
        Ok(Self { identity: login.identity()? })
    }
}

/// Returns the token of a request, and whether a cookie brought it.
fn token(headers: &HeaderMap) -> Option<(&str, bool)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then_some((token.trim(), false));
    }
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    cookies.find(|(name, _)| *name == COOKIE).map(|(_, token)| (token, true))
}

fn changes_something(parts: &Parts) -> bool {
    !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// It is a GET, but whatever comes after it is not.
fn opens_socket(parts: &Parts) -> bool {
    parts.headers.contains_key(header::UPGRADE)
}

/// Tells whether a request comes from a page of ours, an allowed page, or no page at all.
///
/// Browsers send `Origin` with every such request; what sends neither it nor `Sec-Fetch-Site` is no browser, and
/// nobody's cookies are in it by accident.
fn is_same_site(headers: &HeaderMap, allowed: &[String]) -> bool {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let of_host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        return (of_host.is_some() && of_host == host) || allowed.iter().any(|allowed| allowed == origin);
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    site.is_none_or(|site| site == b"same-origin" || site == b"none")
}

/// Returns the `Set-Cookie` line that keeps a token for so many seconds; without a token, the one that removes it.
pub(crate) fn cookie(token: &str, seconds: i64, https: bool) -> String {
    let secure = if https { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Refuses tokens in the query: what stands in a URL is in histories, in logs and in the next site's `Referer`.
pub(crate) async fn refuse_token_in_query(request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    if names.any(|name| name == "token" || name == "access_token") {
        return Failure::invalid("a token does not belong in a URL").into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_token_is_found_where_it_belongs() {
        let bearer = headers(&[("authorization", "bearer abc"), ("cookie", "chat_session=other")]);
        assert_eq!(token(&bearer), Some(("abc", false)));
        let cookie = headers(&[("cookie", "a=b; xchat_session=no; chat_session=abc; c=d")]);
        assert_eq!(token(&cookie), Some(("abc", true)));
        assert_eq!(token(&headers(&[("authorization", "Basic abc"), ("cookie", "chat_session=other")])), None);
        assert_eq!(token(&headers(&[])), None);
    }

    #[test]
    fn only_our_pages_use_our_cookie() {
        let allowed = ["https://shop.example".to_owned()];
        let from = |origin| is_same_site(&headers(&[("host", "ok.example:8443"), ("origin", origin)]), &allowed);
        assert!(from("https://ok.example:8443") && from("http://ok.example:8443") && from("https://shop.example"));
        for foreign in [
            "null",
            "",
            "https://ok.example",
            "https://ok.example:8443.evil.com",
            "ok.example:8443",
            "http://shop.example",
        ] {
            assert!(!from(foreign), "{foreign}");
        }
        let fetched = |site| is_same_site(&headers(&[("host", "ok.example"), ("sec-fetch-site", site)]), &allowed);
        assert!(fetched("same-origin") && fetched("none") && !fetched("cross-site") && !fetched("same-site"));
        assert!(is_same_site(&headers(&[("host", "ok.example")]), &allowed));
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let line = cookie("abc", 60, true);
        assert_eq!(line, "chat_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure");
        assert!(!cookie("abc", 60, false).contains("Secure"));
    }
}
