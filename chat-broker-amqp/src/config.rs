//! Which RabbitMQ, and under which names.

use std::{fmt, net::IpAddr, sync::Arc};

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::percent_decode_str;

/// RabbitMQ's own ports, without TLS and with it.
const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
/// A broker that says nothing for twice as long is given up: in about ten seconds, instead of the usual two minutes.
const HEARTBEAT_SECONDS: u16 = 5;
/// Jobs that wait in one queue: at a thousand a second, a hundred seconds of workers that do nothing.
const JOBS_MAX: u32 = 100_000;

/// Says where a RabbitMQ is, and under which names things are kept there.
///
/// ```
/// use chat_broker_amqp::AmqpConfig;
///
/// let config = AmqpConfig::parse("amqp://chat:secret@mq1.example,mq2.example:5673/chat?partitioned=1&namespace=shop")?;
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), chat_broker_amqp::ConfigError>(())
/// ```
///
/// | in the URL | is |
/// |---|---|
/// | `amqps` | the same over TLS, with the feature `tls`: certificates that the system trusts |
/// | several hosts | members of one cluster, tried in turn |
/// | the path | the virtual host, `/` if there is none |
/// | `namespace` | what all names begin with, `chat` by default: engines with different ones never hear each other |
/// | `partitioned=1` | hints go only to the nodes that have use for them, see [`AmqpBroker`](crate::AmqpBroker) |
#[derive(Clone)]
pub struct AmqpConfig {
    scheme: AMQPScheme,
    hosts: Vec<(String, u16)>,
    user: String,
    password: String,
    vhost: String,
    pub(crate) namespace: Arc<str>,
    pub(crate) partitioned: bool,
    pub(crate) jobs_max: u32,
}

/// Says what is wrong with a URL. No part of the URL is repeated: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The scheme is neither `amqp` nor `amqps`.
    #[error("the URL of a RabbitMQ begins with amqp:// or amqps://")]
    Scheme,
    /// This program was built without TLS to RabbitMQ.
    #[error("amqps: needs the feature `tls`")]
    Tls,
    /// A host is missing, or a port is no number.
    #[error("the URL names no host, or a port that is no number")]
    Host,
    /// A part is not UTF-8 when it is decoded.
    #[error("the URL is not UTF-8 when it is decoded")]
    Encoding,
    /// A parameter is unknown or has a value that it cannot have.
    #[error("the URL has a parameter that is unknown or not what it may be: namespace=a-z0-9_ or partitioned=0|1")]
    Parameter,
    /// No password, or the one that everybody knows, for a broker that others can reach.
    #[error("a RabbitMQ that is not on this machine needs a user and a password, and not guest")]
    Guest,
}

impl AmqpConfig {
    /// Reads a URL. Refuses the user `guest` and an empty password unless all hosts are this machine.
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        let (scheme, port, rest) = match url.split_once("://").ok_or(ConfigError::Scheme)? {
            ("amqp", rest) => (AMQPScheme::AMQP, PORT, rest),
            ("amqps", _) if !cfg!(feature = "tls") => return Err(ConfigError::Tls),
            ("amqps", rest) => (AMQPScheme::AMQPS, TLS_PORT, rest),
            _ => return Err(ConfigError::Scheme),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // From the last `@` on: a password may hold one that nobody escaped.
        let (login, place) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (hosts, vhost) = place.split_once('/').unwrap_or((place, ""));
        let this = Self {
            scheme,
            hosts: hosts.split(',').map(|text| host(text, port)).collect::<Result<_, _>>()?,
            user: decoded(user)?,
            password: decoded(password)?,
            vhost: if vhost.is_empty() { "/".to_owned() } else { decoded(vhost)? },
            namespace: "chat".into(),
            partitioned: false,
            jobs_max: JOBS_MAX,
        };
        let public = !this.hosts.iter().all(|(host, _)| is_here(host));
        if public && (this.user == "guest" || this.password.is_empty()) {
            return Err(ConfigError::Guest);
        }
        query.split('&').filter(|pair| !pair.is_empty()).try_fold(this, Self::set)
    }

    /// Sets how many jobs may wait in one queue; then it is full. A queue that exists keeps the number it was made
    /// with, and refuses another. Default: 100,000.
    #[must_use]
    pub fn jobs_max(mut self, jobs: u32) -> Self {
        self.jobs_max = jobs;
        self
    }

    fn set(mut self, pair: &str) -> Result<Self, ConfigError> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        match pair.split_once('=').ok_or(ConfigError::Parameter)? {
            ("namespace", name) if (1..=32).contains(&name.len()) && name.bytes().all(plain) => {
                self.namespace = name.into();
            }
            ("partitioned", value @ ("0" | "1")) => self.partitioned = value == "1",
            _ => return Err(ConfigError::Parameter),
        }
        Ok(self)
    }

    /// Returns where to connect to, beginning with another host each `turn`.
    pub(crate) fn places(&self, turn: usize) -> impl Iterator<Item = AMQPUri> + '_ {
        (0..self.hosts.len()).map(move |next| self.place(&self.hosts[(turn + next) % self.hosts.len()]))
    }

    fn place(&self, (host, port): &(String, u16)) -> AMQPUri {
        let userinfo = AMQPUserInfo { username: self.user.clone(), password: self.password.clone() };
        AMQPUri {
            scheme: self.scheme.clone(),
            authority: AMQPAuthority { userinfo, host: host.clone(), port: *port },
            vhost: self.vhost.clone(),
            query: AMQPQueryString { heartbeat: Some(HEARTBEAT_SECONDS), ..AMQPQueryString::default() },
        }
    }
}

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("scheme", &self.scheme)
            .field("hosts", &self.hosts)
            .field("vhost", &self.vhost)
            .field("namespace", &self.namespace)
            .field("partitioned", &self.partitioned)
            .field("jobs_max", &self.jobs_max)
            .finish_non_exhaustive()
    }
}

fn host(text: &str, usual: u16) -> Result<(String, u16), ConfigError> {
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| ConfigError::Host)?),
        _ => (text, usual),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() { Err(ConfigError::Host) } else { Ok((host.to_owned(), port)) }
}

fn decoded(text: &str) -> Result<String, ConfigError> {
    Ok(percent_decode_str(text).decode_utf8().map_err(|_| ConfigError::Encoding)?.into_owned())
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn hosts_user_and_virtual_host_are_read() {
        let config = AmqpConfig::parse("amqp://us%40er:p%2Fw@a,b:1,[::1]:2/v%2f?partitioned=1&namespace=x_1").unwrap();
        assert_eq!(config.hosts, [("a".to_owned(), 5672), ("b".to_owned(), 1), ("::1".to_owned(), 2)]);
        assert_eq!((&*config.user, &*config.password, &*config.vhost), ("us@er", "p/w", "v/"));
        assert_eq!((&*config.namespace, config.partitioned), ("x_1", true));
        let second: Vec<_> = config.places(1).map(|place| place.authority.host).collect();
        assert_eq!(second, ["b", "::1", "a"]);
    }

    #[test]
    fn over_tls_it_is_another_port() {
        let config = AmqpConfig::parse("amqps://u:p@mq");
        if cfg!(feature = "tls") {
            assert_eq!(config.unwrap().hosts, [("mq".to_owned(), 5671)]);
        } else {
            assert_eq!(config.unwrap_err(), ConfigError::Tls);
        }
    }

    #[test]
    fn the_root_virtual_host_is_the_default() {
        for url in ["amqp://127.0.0.1", "amqp://localhost/", "amqp://[::1]/%2f"] {
            assert_eq!(AmqpConfig::parse(url).unwrap().vhost, "/", "{url}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_repeating_it() {
        let table = [
            ("redis://127.0.0.1", ConfigError::Scheme),
            ("amqp://u:p@", ConfigError::Host),
            ("amqp://u:p@a,,b", ConfigError::Host),
            ("amqp://u:p@host:port", ConfigError::Host),
            ("amqp://%ff:p@a", ConfigError::Encoding),
            ("amqp://127.0.0.1?partitioned=yes", ConfigError::Parameter),
            ("amqp://127.0.0.1?namespace=A", ConfigError::Parameter),
            ("amqp://127.0.0.1?password=hunter2", ConfigError::Parameter),
        ];
        for (url, expected) in table {
            let error = AmqpConfig::parse(url).unwrap_err();
            assert_eq!(error, expected, "{url}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn guest_and_no_password_are_for_this_machine_only() {
        let refused =
            ["amqp://mq", "amqp://guest:guest@mq", "amqp://guest:x@10.0.0.1", "amqp://u@mq", "amqp://u:@127.0.0.1,mq"];
        for url in refused {
            assert_eq!(AmqpConfig::parse(url).unwrap_err(), ConfigError::Guest, "{url}");
        }
        for url in ["amqp://guest:guest@127.0.0.1", "amqp://u@localhost", "amqp://u:p@mq"] {
            assert!(AmqpConfig::parse(url).is_ok(), "{url}");
        }
    }
}
