//! Where a request comes from: the address and the scheme as the client has them, through a proxy too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};

/// Is the address of the other end of the connection, put into each request by the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Is the client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Whether its connection is encrypted, to us or to the proxy.
    pub(crate) https: bool,
}

/// Says how clients reach this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ingress {
    /// The listener does TLS.
    pub(crate) tls: bool,
    /// A proxy stands in front.
    pub(crate) behind_proxy: bool,
}

/// Puts the [`Client`] into each request.
pub(crate) async fn find(State(ingress): State<Ingress>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let client = ingress.client(peer.to_canonical(), request.headers());
    request.extensions_mut().insert(client);
    next.run(request).await
}

impl Ingress {
    fn client(self, peer: IpAddr, headers: &HeaderMap) -> Client {
        if !self.behind_proxy || !is_inside(peer) {
            return Client { address: peer, https: self.tls };
        }
        // The proxy appends: only the last address is its own word, all before it may be the client's invention.
        let address = last(headers, "x-forwarded-for").and_then(|text| text.parse::<IpAddr>().ok());
        let https = last(headers, "x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        Client { address: address.map_or(peer, |address| address.to_canonical()), https: self.tls || https }
    }
}

fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim)
}

/// Tells whether an address is of this machine or of a private network, where our own proxy is.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || is_unique_local(v6),
    }
}

fn is_unique_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xfe00 == 0xfc00
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn client(ingress: Ingress, peer: &str, forwarded: &[(&'static str, &str)]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in forwarded {
            headers.append(*name, value.parse().unwrap());
        }
        let client = ingress.client(peer.parse().unwrap(), &headers);
        (client.address.to_string(), client.https)
    }

    const PROXIED: Ingress = Ingress { tls: false, behind_proxy: true };
    const DIRECT: Ingress = Ingress { tls: false, behind_proxy: false };

    #[test]
    fn what_a_client_says_of_itself_is_not_believed() {
        let spoofed = [("x-forwarded-for", "198.51.100.9"), ("x-forwarded-proto", "https")];
        assert_eq!(client(DIRECT, "127.0.0.1", &spoofed), ("127.0.0.1".into(), false));
        assert_eq!(client(PROXIED, "203.0.113.5", &spoofed), ("203.0.113.5".into(), false));
    }

    #[test]
    fn the_last_word_of_our_proxy_counts() {
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1, 198.51.100.9"), ("x-forwarded-proto", "https")];
        assert_eq!(client(PROXIED, "10.0.0.2", &lines), ("198.51.100.9".into(), true));
        assert_eq!(client(PROXIED, "::1", &[("x-forwarded-for", "nonsense")]), ("::1".into(), false));
    }
}
