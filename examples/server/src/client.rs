//! Who sent a request: the address and the scheme as the client has them, through a proxy too.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use chat_transport_ws::ClientAddress;

/// Is the client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Whether its connection is encrypted, to us or to the proxy.
    pub(crate) https: bool,
}

/// Says whether the listener does TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tls(pub(crate) bool);

/// Puts the [`Client`] into each request.
pub(crate) async fn find(State(Tls(tls)): State<Tls>, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().map_or(Ipv4Addr::UNSPECIFIED.into(), |client| client.0);
    let https = tls || is_forwarded_https(request.headers());
    request.extensions_mut().insert(Client { address, https });
    next.run(request).await
}

/// The front lets this header pass from a proxy of ours only. Of several proxies, the last one's word counts.
fn is_forwarded_https(headers: &HeaderMap) -> bool {
    let last = headers.get_all("x-forwarded-proto").iter().next_back().and_then(|line| line.to_str().ok());
    last.and_then(|line| line.rsplit(',').next()).is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_last_proxy_says_whether_the_client_uses_https() {
        let https = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-proto", line.parse().unwrap());
            }
            is_forwarded_https(&headers)
        };
        assert!(https(&["https"]) && https(&["http, HTTPS"]) && https(&["http", "https"]));
        assert!(!https(&[]) && !https(&["http"]) && !https(&["https, http"]) && !https(&["https", "http"]));
    }
}
