//! The URL template of a quote service, parsed once so that a code can only ever fill its slot.

use std::net::IpAddr;

use reqwest::Url;

use crate::code::StockCode;
use crate::config::SourceError;

const SLOT: &str = "{code}";
/// The slot as the URL parser writes it in a path, where it escapes braces.
const SLOT_IN_PATH: &str = "%7Bcode%7D";
/// The query parameter that carries the API key.
const KEY: &str = "apikey";

/// A parsed URL and the part of it that takes the code. Scheme, host and port are settled when it is made:
/// filling the slot rewrites the path or the query of that URL and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    base: Url,
    slot: Slot,
}

#[derive(Clone, Debug)]
enum Slot {
    Path(String),
    Query(String),
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, SourceError> {
        if text.matches(SLOT).count() != 1 {
            return Err(SourceError::Slot);
        }
        let base = Url::parse(text).map_err(SourceError::url)?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(SourceError::Scheme);
        }
        if !base.username().is_empty() || base.password().is_some() || carries_key(&base) {
            return Err(SourceError::Secret);
        }
        let slot = Slot::find(&base).ok_or(SourceError::SlotPlace)?;
        Ok(Self { base, slot })
    }

    /// Returns the URL for one code, with the key if there is one.
    pub(crate) fn fill(&self, code: &StockCode, key: Option<&str>) -> Url {
        let mut url = self.base.clone();
        match &self.slot {
            Slot::Path(path) => url.set_path(&path.replace(SLOT_IN_PATH, &code.in_url())),
            Slot::Query(query) => url.set_query(Some(&query.replace(SLOT, &code.in_url()))),
        }
        if let Some(key) = key {
            url.query_pairs_mut().append_pair(KEY, key);
        }
        url
    }

    /// Returns the host as written, for logs.
    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Returns the address if the host is one and not a name.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let host = self.host();
        host.trim_matches(['[', ']']).parse().ok()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }
}

impl Slot {
    /// A slot in the host would let a user choose who is asked; in the fragment it would never be sent.
    fn find(base: &Url) -> Option<Self> {
        if base.host_str()?.contains(['{', '}']) {
            return None;
        }
        let query = base.query().unwrap_or_default();
        if query.contains(SLOT) {
            Some(Self::Query(query.to_owned()))
        } else if base.path().contains(SLOT_IN_PATH) {
            Some(Self::Path(base.path().to_owned()))
        } else {
            None
        }
    }
}

/// A key in the template would be shown wherever the template is.
fn carries_key(base: &Url) -> bool {
    base.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case(KEY))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn filled(template: &str, code: &str, key: Option<&str>) -> String {
        let template = Template::parse(template).unwrap();
        template.fill(&code.parse().unwrap(), key).into()
    }

    #[test]
    fn the_code_fills_its_slot_in_path_or_query() {
        assert_eq!(filled("https://h.test/q?s={code}&e=csv", "^spx", None), "https://h.test/q?s=%5ESPX&e=csv");
        assert_eq!(filled("http://h.test:8/q/{code}.csv", "^spx", None), "http://h.test:8/q/%5ESPX.csv");
    }

    #[test]
    fn the_key_is_one_more_parameter_and_is_escaped() {
        assert_eq!(filled("https://h.test/{code}", "a", Some("k&x=1")), "https://h.test/A?apikey=k%26x%3D1");
        assert_eq!(filled("https://h.test/?s={code}", "a", Some("k")), "https://h.test/?s=A&apikey=k");
    }

    #[test]
    fn a_code_with_dots_stays_one_step_of_the_path() {
        assert_eq!(filled("https://h.test/a/{code}/b", "..-", None), "https://h.test/a/..-/b");
    }

    #[test]
    fn a_template_with_a_wrong_slot_is_refused() {
        for text in ["https://h.test/", "https://h.test/{CODE}", "https://h.test/{code}?s={code}"] {
            assert!(matches!(Template::parse(text), Err(SourceError::Slot)), "{text}");
        }
        for text in ["https://{code}/", "https://{code}.h.test/", "https://h.test/#{code}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        for text in ["https://{code}/%7Bcode%7D", "https://h.test:{code}/", "{code}://h.test/", "/q?s={code}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_http_and_https_are_accepted() {
        for text in ["file:///etc/{code}", "ftp://h.test/{code}", "data:,{code}", "javascript:{code}"] {
            assert!(matches!(Template::parse(text), Err(SourceError::Scheme)), "{text}");
        }
    }

    #[test]
    fn a_secret_in_the_template_is_refused() {
        for text in ["https://u:p@h.test/{code}", "https://{code}@h.test/", "https://h.test/{code}?APIKEY=k"] {
            assert!(matches!(Template::parse(text), Err(SourceError::Secret)), "{text}");
        }
    }

    #[test]
    fn an_address_is_recognised_however_it_is_written() {
        for text in ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1."] {
            let template = Template::parse(&format!("http://{text}/{{code}}")).unwrap();
            assert_eq!(template.address(), Some([127, 0, 0, 1].into()), "{text}");
        }
        let mapped = Template::parse("http://[::ffff:127.0.0.1]/{code}").unwrap();
        assert!(mapped.address().unwrap().is_ipv6());
        assert_eq!(Template::parse("http://h.test/{code}").unwrap().address(), None);
    }
}
