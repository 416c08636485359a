//! What an operator can set: options from flags, environment and file, checked and made one [`Config`].

mod options;
mod value;

use std::{env, fs, net::SocketAddr, path::PathBuf, time::Duration};

use chat_core::Retention;
use clap::Parser;

use options::Command;
pub(crate) use options::Options;
pub(crate) use value::{LogFormat, Secret, Url};

/// People come back within a month, or have forgotten the machine they were logged in on.
const SESSION: Duration = Duration::from_hours(30 * 24);
const SESSION_MAX: Duration = Duration::from_hours(365 * 24);
/// What is not answered in an hour will not be.
const DRAIN_GRACE_MAX: Duration = Duration::from_hours(1);

/// Is everything this process was told, complete and consistent.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where people connect.
    pub(crate) listen: SocketAddr,
    /// Where operators look; `None`: nowhere.
    pub(crate) admin: Option<SocketAddr>,
    /// The database of rooms and messages.
    pub(crate) store: Url,
    /// The database of messages; `None`: the same.
    pub(crate) messages: Option<Url>,
    /// The database of accounts.
    pub(crate) accounts: Url,
    /// What carries hints to other servers; `None`: there are none.
    pub(crate) broker: Option<Url>,
    /// The broker that the servers move to; `None`: they stay.
    pub(crate) bridge: Option<Url>,
    /// What knows who is online on other servers; `None`: the servers tell each other.
    pub(crate) presence: Option<Url>,
    /// What hands commands to workers elsewhere; `None`: they are carried out in this process.
    pub(crate) queue: Option<Url>,
    /// The certificate and key for https.
    pub(crate) tls: Option<TlsFiles>,
    /// Whether a proxy in front of us does TLS and says who the client is.
    pub(crate) behind_proxy: bool,
    /// Other sites whose pages may use this server.
    pub(crate) allowed_origins: Vec<String>,
    /// Where the stock bot asks.
    pub(crate) quotes: Quotes,
    /// What nodes and workers sign with; `None`: a random one of this process.
    pub(crate) secret: Option<Secret>,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Which log lines there are.
    pub(crate) log: String,
    /// What rooms keep.
    pub(crate) retention: Retention,
    /// Whether limits are raised for a load test.
    pub(crate) load_profile: bool,
    /// How long a stopping server may take.
    pub(crate) drain_grace: Duration,
    /// How long a login lasts.
    pub(crate) session: Duration,
}

/// Names the two PEM files of a TLS listener.
#[derive(Debug)]
pub(crate) struct TlsFiles {
    /// The certificate chain.
    pub(crate) cert: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

/// Is where the stock bot gets its quotes.
#[derive(Debug)]
pub(crate) enum Quotes {
    /// From the sample service of this process, with made-up prices.
    Sample,
    /// From a service on the network.
    Service {
        /// Its URL, with `{code}` where the code goes; `None`: the stock bot's own default.
        template: Option<String>,
        /// Its API key.
        key: Option<Secret>,
        /// Whether it may be inside a private network.
        private: bool,
    },
}

/// Tells the operator what has to be set differently.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{name} cannot be read: {source}", name = path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{name}: {source}", name = path.display())]
    File { path: PathBuf, source: Box<toml::de::Error> },
    #[error("--tls-cert and --tls-key belong together: one of them is missing")]
    HalfTls,
    #[error(
        "{0} can be reached from other machines, and passwords would cross the network in the clear. \
         Give --tls-cert and --tls-key, or --behind-proxy if a proxy in front of this server does TLS, \
         or listen on 127.0.0.1"
    )]
    Exposed(SocketAddr),
    #[error("no accounts are kept there: --accounts must begin with sqlite:, postgres:, mysql:, mariadb: or mongodb:")]
    AccountsUrl,
    #[error("--demo answers with sample prices and --quote-url asks a real service: give one of them")]
    TwoQuoteSources,
    #[error("an allowed origin is a scheme and a host, like https://chat.example.org, without a path: {0:?}")]
    Origin(String),
    #[error("--session must be 1s to 365d")]
    Session,
    #[error("--drain-grace must be at most one hour")]
    DrainGrace,
    #[error("the secret in CHAT_SECRET or --secret-file must have at least 16 bytes")]
    ShortSecret,
    #[error("{0} must begin with amqp:, amqps:, redis:, rediss:, redis+cluster: or rediss+cluster:")]
    BrokerUrl(&'static str),
    #[error("--broker joins servers that share what they keep, and {0} memory: is this process's own: give a database")]
    NothingShared(&'static str),
    #[error("{0} needs CHAT_SECRET or --secret-file, the same for all that share it")]
    NoSecret(&'static str),
    #[error("--bridge is where the servers move to: give --broker, where they come from, too")]
    HalfBridge,
    #[error("{0} is empty")]
    EmptySecret(String),
}

impl Config {
    /// Reads flags, environment and file. Ends the process for `--help`, `--version` and unknown flags.
    pub(crate) fn load() -> Result<Self, ConfigError> {
        let Command { config, options } = Command::parse();
        let file = config.map(read_file).transpose()?.unwrap_or_default();
        let given = options.or(file);
        let signing = secret("CHAT_SECRET", given.secret_file.as_ref())?;
        let quote_key = secret("CHAT_QUOTE_KEY", given.quote_key_file.as_ref())?;
        Self::resolve(given, signing, quote_key)
    }

    /// Fills in the defaults and checks what belongs together.
    pub(crate) fn resolve(given: Options, secret: Option<Secret>, key: Option<Secret>) -> Result<Self, ConfigError> {
        let store = given.store.unwrap_or_else(|| Url::from("sqlite:chat.db".to_owned()));
        let accounts = given.accounts.unwrap_or_else(|| accounts_beside(&store));
        let config = Self {
            listen: given.listen.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)), |address| address.0),
            admin: given.admin.map_or_else(|| Some(SocketAddr::from(([127, 0, 0, 1], 9090))), value::Admin::address),
            store,
            messages: given.messages,
            accounts,
            broker: given.broker.filter(Url::is_networked),
            bridge: given.bridge.filter(Url::is_networked),
            presence: given.presence.filter(Url::is_networked),
            queue: given.queue.filter(Url::is_networked),
            tls: tls(given.tls_cert, given.tls_key)?,
            behind_proxy: given.behind_proxy.unwrap_or_default(),
            allowed_origins: given.allowed_origin.into_iter().map(origin).collect::<Result<_, _>>()?,
            quotes: quotes(given.demo, given.quote_url, key, given.quote_private)?,
            secret,
            log_format: given.log_format.unwrap_or_default(),
            log: given.log.unwrap_or_else(|| "info".to_owned()),
            retention: retention(given.retention_age, given.retention_count),
            load_profile: given.load_profile.unwrap_or_default(),
            drain_grace: given.drain_grace.map_or(Duration::from_secs(15), value::Span::duration),
            session: given.session.map_or(SESSION, value::Span::duration),
        };
        config.check()
    }

    fn check(self) -> Result<Self, ConfigError> {
        let protected = self.tls.is_some() || self.behind_proxy;
        let listeners = [Some(self.listen), self.admin].into_iter().flatten();
        if let Some(exposed) = listeners.filter(|address| !address.ip().is_loopback()).find(|_| !protected) {
            return Err(ConfigError::Exposed(exposed));
        }
        if !self.accounts.keeps_accounts() {
            return Err(ConfigError::AccountsUrl);
        }
        if !(Duration::from_secs(1)..=SESSION_MAX).contains(&self.session) {
            return Err(ConfigError::Session);
        }
        if self.drain_grace > DRAIN_GRACE_MAX {
            return Err(ConfigError::DrainGrace);
        }
        for (url, name) in [(&self.broker, "--broker"), (&self.bridge, "--bridge"), (&self.queue, "--queue")] {
            if url.as_ref().is_some_and(|url| !url.joins_processes()) {
                return Err(ConfigError::BrokerUrl(name));
            }
        }
        for (kept, name) in [(Some(&self.store), "--store"), (self.messages.as_ref(), "--messages")] {
            if self.broker.is_some() && kept.is_some_and(|url| !url.is_networked()) {
                return Err(ConfigError::NothingShared(name));
            }
        }
        for (networked, name) in [(&self.broker, "--broker"), (&self.queue, "--queue")] {
            if networked.is_some() && self.secret.is_none() {
                return Err(ConfigError::NoSecret(name));
            }
        }
        if self.bridge.is_some() && self.broker.is_none() {
            return Err(ConfigError::HalfBridge);
        }
        if self.secret.as_ref().is_some_and(|secret| secret.reveal().len() < 16) {
            return Err(ConfigError::ShortSecret);
        }
        Ok(self)
    }

    /// Tells whether the page and the bot use sample prices.
    pub(crate) fn is_demo(&self) -> bool {
        matches!(self.quotes, Quotes::Sample)
    }
}

/// Accounts live beside the messages where that is SQLite, so that one file is the whole server.
fn accounts_beside(store: &Url) -> Url {
    // Who keeps no messages may still want to keep people.
    if store.keeps_accounts() { store.clone() } else { Url::from("sqlite:accounts.db".to_owned()) }
}

fn retention(age: Option<value::Span>, count: Option<u64>) -> Retention {
    let mut retention = Retention::forever();
    (retention.age, retention.count) = (age.map(value::Span::duration), count);
    retention
}

fn tls(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, ConfigError> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        _ => Err(ConfigError::HalfTls),
    }
}

fn quotes(
    demo: Option<bool>,
    template: Option<String>,
    key: Option<Secret>,
    private: Option<bool>,
) -> Result<Quotes, ConfigError> {
    match (demo.unwrap_or_default(), template) {
        (true, None) => Ok(Quotes::Sample),
        (true, Some(_)) => Err(ConfigError::TwoQuoteSources),
        (false, template) => Ok(Quotes::Service { template, key, private: private.unwrap_or_default() }),
    }
}

/// Browsers send origins in lower case and without a slash at the end; anything else would never match.
fn origin(text: String) -> Result<String, ConfigError> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = host.is_some_and(|host| {
        !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']) && !host.contains(char::is_uppercase)
    });
    if plain { Ok(text) } else { Err(ConfigError::Origin(text)) }
}

fn read_file(path: PathBuf) -> Result<Options, ConfigError> {
    let text = read(&path)?;
    parse(&text).map_err(|source| ConfigError::File { path, source: Box::new(source) })
}

/// Reads what a file holds.
pub(crate) fn parse(text: &str) -> Result<Options, toml::de::Error> {
    toml::from_str(text)
}

fn read(path: &PathBuf) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })
}

/// Takes a secret from the environment, else from a file: what stands on a command line, everybody on the machine sees.
fn secret(variable: &str, file: Option<&PathBuf>) -> Result<Option<Secret>, ConfigError> {
    let (text, name) = match (env::var(variable), file) {
        (Ok(text), _) => (text, variable.to_owned()),
        (Err(_), Some(path)) => (read(path)?, path.display().to_string()),
        (Err(_), None) => return Ok(None),
    };
    let text = text.trim();
    if text.is_empty() { Err(ConfigError::EmptySecret(name)) } else { Ok(Some(Secret::new(text))) }
}

#[cfg(test)]
mod tests;
