//! The values of options that are more than a text or a number.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, de};

/// Is where a listener is: an IP address, or `localhost`, and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) SocketAddr);

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        let local = local.map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let address = local.map_or_else(|| text.parse(), Ok);
        address.map(Self).map_err(|_| "an IP address or localhost with a port, like 127.0.0.1:8080")
    }
}

/// Is where the operators' listener is, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admin {
    Off,
    At(SocketAddr),
}

impl Admin {
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl FromStr for Admin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let at = |Address(address)| Self::At(address);
        text.parse().map(at).map_err(|_| "an IP address or localhost with a port, like 127.0.0.1:9090, or off")
    }
}

/// Is a length of time with its unit: `500ms`, `15s`, `2m`, `12h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(Duration);

impl Span {
    pub(crate) fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "a number with a unit, like 500ms, 15s, 2m, 12h or 30d";
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(WANTED)?;
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().map_err(|_| WANTED)?;
        let ms_per_unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 60 * 60_000,
            "d" => 24 * 60 * 60_000,
            _ => return Err(WANTED),
        };
        Ok(Self(Duration::from_millis(u64::from(number) * ms_per_unit)))
    }
}

/// Says how log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Is the URL of a database. It is shown without user and password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Url(String);

impl Url {
    /// Returns the whole URL, to connect with.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }

    /// Tells whether this is more than the memory of this process.
    pub(crate) fn is_networked(&self) -> bool {
        !matches!(&*self.0, "memory" | "memory:")
    }

    /// Tells whether hints or jobs can be handed over there.
    pub(crate) fn joins_processes(&self) -> bool {
        ["amqp:", "amqps:", "redis:", "rediss:", "redis+cluster:", "rediss+cluster:"]
            .iter()
            .any(|scheme| self.0.starts_with(scheme))
    }

    /// Tells whether accounts can be kept there.
    pub(crate) fn keeps_accounts(&self) -> bool {
        ["sqlite:", "postgres:", "mysql:", "mariadb:", "mongodb:"].iter().any(|scheme| self.0.starts_with(scheme))
    }
}

impl From<String> for Url {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.split_once("://"), self.0.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://***@{host}"),
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Is a text that no log and no `Debug` shows.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the text, to use it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Reads from a file what has the same form on the command line.
macro_rules! read_as_text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|wanted| de::Error::custom(format!("{text:?} is not {wanted}")))
            }
        }
    };
}

read_as_text!(Address);
read_as_text!(Admin);
read_as_text!(Span);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_address_is_an_ip_or_localhost_and_has_a_port() {
        for good in ["127.0.0.1:8080", "localhost:8080"] {
            assert_eq!(good.parse::<Address>().unwrap().0, SocketAddr::from(([127, 0, 0, 1], 8080)));
            assert_eq!(good.parse::<Admin>().unwrap().address(), Some(good.parse::<Address>().unwrap().0));
        }
        for wrong in ["", "8080", ":8080", "localhost", "localhost:", "localhost:65536", "example.org:80", "off"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_span_needs_its_unit() {
        assert_eq!("15s".parse::<Span>().unwrap().duration(), Duration::from_secs(15));
        assert_eq!("250ms".parse::<Span>().unwrap().duration(), Duration::from_millis(250));
        assert_eq!("2m".parse::<Span>().unwrap().duration(), Duration::from_mins(2));
        assert_eq!("30d".parse::<Span>().unwrap().duration(), Duration::from_hours(720));
        for wrong in ["", "15", "s", "-1s", "1.5s", "2w", "5000000000m", "15 s"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = Url::from("postgres://chat:hunter2@db.internal/chat".to_owned());
        assert_eq!(format!("{url} {url:?}"), "postgres://***@db.internal/chat postgres://***@db.internal/chat");
        assert_eq!(Url::from("sqlite:chat.db".to_owned()).to_string(), "sqlite:chat.db");
    }

    #[test]
    fn a_secret_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }
}
