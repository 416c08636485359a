//! Which pages may connect: a browser sends the user's cookies to any server, and only `Origin` tells who asked.

use http::{HeaderMap, header};

/// Says which pages may open a WebSocket. Compared byte by byte, as browsers write it: lower case, no default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    which: Which,
    missing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Same,
    Listed(Vec<String>),
    Any,
}

impl Default for Origins {
    fn default() -> Self {
        Self::same()
    }
}

impl Origins {
    /// Admits pages of the host that is asked, whatever their scheme: TLS may end at a proxy.
    pub fn same() -> Self {
        Self { which: Which::Same, missing: true }
    }

    /// Admits exactly these, such as `https://chat.example.com`.
    pub fn listed<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Self { which: Which::Listed(origins.into_iter().map(Into::into).collect()), missing: true }
    }

    /// Admits every page: only where no cookie authenticates.
    pub fn any() -> Self {
        Self { which: Which::Any, missing: true }
    }

    /// Refuses clients that send no `Origin`. They are admitted by default: browsers always send it, and what is no
    /// browser could send any.
    #[must_use]
    pub fn browsers_only(mut self) -> Self {
        self.missing = false;
        self
    }

    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return self.missing };
        if origins.next().is_some() {
            return false;
        }
        match &self.which {
            Which::Any => true,
            Which::Listed(listed) => listed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()),
            Which::Same => headers.get(header::HOST).is_some_and(|host| is_at(origin.as_bytes(), host.as_bytes())),
        }
    }
}

fn is_at(origin: &[u8], host: &[u8]) -> bool {
    [&b"https://"[..], b"http://"].iter().any(|scheme| origin.strip_prefix(*scheme) == Some(host))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn admits(origins: &Origins, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("ok.example:8443"))]);
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        origins.admit(&headers)
    }

    #[test]
    fn by_default_the_same_host_and_port_are_admitted() {
        let same = Origins::default();
        assert!(admits(&same, Some("https://ok.example:8443")) && admits(&same, Some("http://ok.example:8443")));
        for foreign in [
            "null",
            "",
            "https://ok.example",
            "https://ok.example:8443.evil.com",
            "https://OK.example:8443",
            "ftp://ok.example:8443",
            "https://ok.example:8443/",
        ] {
            assert!(!admits(&same, Some(foreign)), "{foreign}");
        }
        assert!(admits(&same, None) && !admits(&same.browsers_only(), None));
    }

    #[test]
    fn a_list_admits_exactly_what_is_in_it() {
        let listed = Origins::listed(["https://chat.example"]);
        assert!(admits(&listed, Some("https://chat.example")));
        assert!(
            !admits(&listed, Some("https://chat.example.evil.com")) && !admits(&listed, Some("http://chat.example"))
        );
        assert!(!admits(&listed, Some("https://ok.example:8443")));
    }

    #[test]
    fn two_origins_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, HeaderValue::from_static("https://a"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://a"));
        assert!(!Origins::listed(["https://a"]).admit(&headers));
    }
}
