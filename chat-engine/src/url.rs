//! The URLs that things are opened by. They hold passwords, so they are never shown whole.

use std::fmt;

use crate::{error::OpenError, open::Part};

/// Is a URL to open. Printed, it shows neither user nor password nor parameters.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url(String);

impl Url {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// Returns all of it, for the adapter that opens it.
    #[cfg_attr(
        not(any(
            feature = "sqlite",
            feature = "postgres",
            feature = "mysql",
            feature = "mongodb",
            feature = "amqp",
            feature = "redis"
        )),
        allow(dead_code)
    )] // memory needs nothing but the scheme
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what stands before the colon. A text without a scheme may be a secret: the error shows none of it.
    pub(crate) fn scheme(&self, part: Part) -> Result<&str, OpenError> {
        self.split().map(|(scheme, _)| scheme).ok_or(OpenError::NoScheme { part })
    }

    /// Returns the URL as operators may see it.
    pub(crate) fn redacted(&self) -> String {
        let Some((scheme, rest)) = self.split() else { return "***".to_owned() };
        // From the last `@` on: a password may hold `/`, `?` and `@` that somebody forgot to escape.
        let (secret, place) = rest.rsplit_once('@').map_or((false, rest), |(_, place)| (true, place));
        let place = place.split(['?', '#']).next().unwrap_or_default();
        match (secret, place.strip_prefix("//").unwrap_or(place)) {
            (true, place) => format!("{scheme}://***@{place}"),
            (false, _) => format!("{scheme}:{place}"),
        }
    }

    fn split(&self) -> Option<(&str, &str)> {
        let (scheme, rest) = self.0.split_once(':')?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        let plain = (1..=16).contains(&scheme.len()) && scheme.chars().all(allowed);
        plain.then_some((scheme, rest))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_printed_url_shows_no_secret() {
        let table = [
            ("postgres://chat:s3cret@db.example/chat?sslmode=require", "postgres://***@db.example/chat"),
            ("postgres://chat:s3/cr@e?t#@db.example/chat", "postgres://***@db.example/chat"),
            ("postgres://db.example/chat?password=s3cret", "postgres://db.example/chat"),
            ("redis://:s3cret@localhost", "redis://***@localhost"),
            ("redis+cluster://:s3cret@r1,r2:7000?namespace=a", "redis+cluster://***@r1,r2:7000"),
            ("sqlite:chat.db", "sqlite:chat.db"),
            ("sqlite:///var/lib/chat.db?mode=rwc", "sqlite:///var/lib/chat.db"),
            ("memory:", "memory:"),
            ("S3CRET:token", "***"),
            ("no scheme at all", "***"),
        ];
        for (url, shown) in table {
            assert_eq!(Url::new(url).redacted(), shown);
            assert_eq!(format!("{:?}", Url::new(url)), shown);
        }
    }

    #[test]
    fn what_has_no_scheme_is_not_repeated() {
        let error = Url::new("host=db password=s3cret").scheme(Part::Store).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
