//! How to reach a Redis.

use std::{fmt, net::IpAddr};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::error::Failure;

/// Says which Redis to use, and how.
///
/// ```
/// let config = chat_redis::RedisConfig::new("redis+cluster://:password@r1,r2,r3").namespace("support");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    /// The URL of the servers; may hold a password and is therefore never printed.
    ///
    /// | URL | for |
    /// |---|---|
    /// | `redis://user:password@host:6379/0` | one server |
    /// | `redis+cluster://user:password@host1:6379,host2:6379` | a Redis Cluster, of which these are some nodes |
    /// | `rediss://…`, `rediss+cluster://…` | the same over TLS, with the feature `tls` |
    /// | `…?namespace=chat` | the namespace; there is no other parameter |
    ///
    /// Without a password only loopback is allowed: who reaches a Redis can do anything to it.
    pub url: String,
    /// Begins every key and every channel: `chat`, so that several chats and other applications may share a Redis. At
    /// most 32 of `a-z 0-9 _ -`.
    pub namespace: String,
}

impl RedisConfig {
    /// Uses the Redis at this URL, whose parameter `namespace`, if there is one, is the namespace.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let namespace = query.split('&').find_map(|pair| pair.strip_prefix("namespace="));
        Self { namespace: namespace.unwrap_or("chat").to_owned(), url }
    }

    /// Sets what every key and channel begins with.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Reads the URL.
    pub(crate) fn resolve(&self) -> Result<Seeds, Failure> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if !(1..=32).contains(&self.namespace.len()) || !self.namespace.bytes().all(allowed) {
            return Err(Failure::refused("a namespace is 1 to 32 of a-z, 0-9, _ and -"));
        }
        let unclear = || Failure::refused("read a URL that begins with neither redis: nor rediss: nor redis+cluster:");
        let (scheme, rest) = self.url.split_once("://").ok_or_else(unclear)?;
        let (scheme, is_cluster) = scheme.strip_suffix("+cluster").map_or((scheme, false), |scheme| (scheme, true));
        if !matches!(scheme, "redis" | "rediss") {
            return Err(unclear());
        }
        if scheme == "rediss" && !cfg!(feature = "tls") {
            return Err(Failure::refused("rediss: needs the feature `tls`"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        check(rest, query)?;
        let (secret, place) = rest.rsplit_once('@').map_or((None, rest), |(secret, place)| (Some(secret), place));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let whole = |host: &str| match secret {
            Some(secret) => format!("{scheme}://{secret}@{host}/{database}"),
            None => format!("{scheme}://{host}/{database}"),
        };
        let servers = hosts.split(',').map(|host| server(&whole(host))).collect::<Result<Vec<_>, _>>()?;
        if !is_cluster && servers.len() > 1 {
            return Err(Failure::refused("several hosts are a cluster: redis+cluster://"));
        }
        Ok(Seeds { servers, is_cluster, namespace: self.namespace.clone() })
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("url", &"redis:…").field("namespace", &self.namespace).finish()
    }
}

/// Is where to begin.
pub(crate) struct Seeds {
    /// At least one server.
    pub(crate) servers: Vec<ConnectionInfo>,
    pub(crate) is_cluster: bool,
    pub(crate) namespace: String,
}

/// Refuses what nothing would read: a name that is misspelt would be one that is not set. What the driver knows is not
/// passed on to it: one of its words after a `#` switches the check of certificates off.
fn check(rest: &str, query: &str) -> Result<(), Failure> {
    if rest.contains('#') || query.contains('#') {
        return Err(Failure::refused("the URL of a Redis has nothing after a #; in a password it is written %23"));
    }
    let names = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    match names.filter(|name| !name.is_empty()).find(|name| *name != "namespace") {
        // A password that was not escaped may stand where a name should.
        Some(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) => {
            Err(Failure::refused(format!("the URL's parameter `{name}` is unknown; there is only namespace")))
        }
        Some(_) => Err(Failure::refused("the URL has an unknown parameter; there is only namespace")),
        None => Ok(()),
    }
}

/// Reads the URL of one server.
fn server(url: &str) -> Result<ConnectionInfo, Failure> {
    let info = url.into_connection_info().map_err(Failure::of("read the URL of a Redis"))?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    if settings.password().is_none() && !is_loopback(info.addr()) {
        return Err(Failure::refused("a Redis on another machine needs a password: redis://:password@host"));
    }
    Ok(info.set_redis_settings(settings))
}

fn is_loopback(address: &ConnectionAddr) -> bool {
    match address {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => {
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hosts(url: &str) -> Option<Vec<String>> {
        let seeds = RedisConfig::new(url).resolve().ok()?;
        Some(seeds.servers.iter().map(|server| server.addr().to_string()).collect())
    }

    #[test]
    fn a_url_names_one_server_or_some_of_a_cluster() {
        assert_eq!(hosts("redis://127.0.0.1").unwrap(), ["127.0.0.1:6379"]);
        assert_eq!(hosts("redis://:p%40ss@db:1/2?namespace=a").unwrap(), ["db:1"]);
        assert_eq!(hosts("redis+cluster://localhost:1,localhost:2").unwrap(), ["localhost:1", "localhost:2"]);
        for bad in ["redis://localhost,localhost", "postgres://localhost", "localhost", "redis://localhost?namespace=A"]
        {
            assert_eq!(hosts(bad), None, "{bad}");
        }
    }

    #[test]
    fn off_loopback_a_password_is_needed() {
        for url in ["redis://db", "redis://10.0.0.1", "redis+cluster://localhost,db", "redis://user@db"] {
            let refused = RedisConfig::new(url).resolve().err().unwrap();
            assert!(format!("{refused:?}").contains("password"), "{url}");
        }
        assert!(hosts("redis://user:password@db").is_some());
    }

    #[test]
    fn a_parameter_that_nothing_reads_is_refused() {
        for (url, said) in [
            ("redis://localhost?namspace=a", "parameter `namspace` is unknown; there is only namespace"),
            ("redis+cluster://localhost,127.0.0.1?namespace=a&timeout=5", "parameter `timeout`"),
            ("redis://:s3?cret/@localhost", "an unknown parameter"),
            ("rediss://:s3cret@db/#insecure", if cfg!(feature = "tls") { "nothing after a #" } else { "`tls`" }),
        ] {
            let refused = format!("{:?}", RedisConfig::new(url).resolve().err().unwrap());
            assert!(refused.contains(said) && !refused.contains("cret"), "{url}: {refused}");
        }
        assert!(hosts("redis://localhost?namespace=a").is_some());
    }

    #[test]
    fn the_password_is_not_printed() {
        assert!(!format!("{:?}", RedisConfig::new("redis://:hunter2@db")).contains("hunter2"));
    }

    #[test]
    fn certificates_are_always_checked() {
        let table = RedisConfig::new("rediss://:p@db/#insecure").resolve();
        let insecure = |server: &ConnectionInfo| matches!(server.addr(), ConnectionAddr::TcpTls { insecure: true, .. });
        assert!(table.map_or(true, |seeds| !seeds.servers.iter().any(insecure)));
    }
}
