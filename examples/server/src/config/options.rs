//! The options as they are written: on the command line, in the environment, in a file.

use std::path::PathBuf;

use clap::{Args, Parser};
use serde::Deserialize;

use super::value::{Address, Admin, LogFormat, Span, Url};

/// A chat server in one process: accounts, rooms, a web page and a stock bot.
///
/// Without any option it listens on http://127.0.0.1:8080 and keeps everything in the file chat.db of the current
/// folder. Open the address in a browser, register, and chat.
#[derive(Debug, Parser)]
#[command(name = "chat-server", version, after_help = AFTER)]
pub(super) struct Command {
    /// Reads options from this TOML file; see below
    #[arg(long, env = "CHAT_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) options: Options,
}

const AFTER: &str = "\
Every option can be set in three places. A flag wins over the environment variable, the variable over the file,
and the file over the default. The file has the flags' names as keys:

  listen = \"127.0.0.1:8443\"
  tls-cert = \"/etc/chat/cert.pem\"
  tls-key = \"/etc/chat/key.pem\"
  allowed-origin = [\"https://shop.example.org\"]

Secrets are never taken from the command line: CHAT_SECRET or --secret-file, CHAT_QUOTE_KEY or --quote-key-file.

Examples:
  chat-server --demo
  chat-server --store sqlite:/var/lib/chat/chat.db --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
  chat-server --listen 10.0.0.5:8080 --behind-proxy --admin 10.0.0.5:9090 --log-format json

SIGTERM or Ctrl-C drains: the server is not ready any more, answers what it has received, tells its clients to
come back, and ends within the grace. A second signal ends it at once.";

/// Holds what one place says; `None` leaves it to the next.
#[derive(Args, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Options {
    /// Where people connect; port 0 takes a free one, and a line of the output says which. Other than loopback needs
    /// TLS or --behind-proxy [default: 127.0.0.1:8080]
    #[arg(long, env = "CHAT_LISTEN", value_name = "ADDRESS")]
    pub(super) listen: Option<Address>,

    /// Where /live, /ready and /metrics are, apart from people; "off" for nowhere [default: 127.0.0.1:9090]
    #[arg(long, env = "CHAT_ADMIN", value_name = "ADDRESS")]
    pub(super) admin: Option<Admin>,

    /// The database of rooms and messages [default: sqlite:chat.db]
    #[arg(long, env = "CHAT_STORE", value_name = "URL", hide_env_values = true)]
    pub(super) store: Option<Url>,

    /// The database of messages, where that is another one than --store, which then keeps the rooms
    #[arg(long, env = "CHAT_MESSAGES", value_name = "URL", hide_env_values = true)]
    pub(super) messages: Option<Url>,

    /// The database of accounts [default: the same as --store; sqlite:accounts.db where that is memory:]
    #[arg(long, env = "CHAT_ACCOUNTS", value_name = "URL", hide_env_values = true)]
    pub(super) accounts: Option<Url>,

    /// What carries hints between servers on one --store, like amqp://… or redis://…; they share CHAT_SECRET, too
    /// [default: memory, a single server]
    #[arg(long, env = "CHAT_BROKER", value_name = "URL", hide_env_values = true)]
    pub(super) broker: Option<Url>,

    /// The broker that the servers move to from --broker, for as long as that takes: such a server uses both
    #[arg(long, env = "CHAT_BRIDGE", value_name = "URL", hide_env_values = true)]
    pub(super) bridge: Option<Url>,

    /// What knows who is online on which server, like redis://… [default: the servers tell each other over --broker]
    #[arg(long, env = "CHAT_PRESENCE", value_name = "URL", hide_env_values = true)]
    pub(super) presence: Option<Url>,

    /// What hands /stock to workers; those of another one than memory are processes of their own, and servers share
    /// CHAT_SECRET, too [default: memory, a worker in this process]
    #[arg(long, env = "CHAT_QUEUE", value_name = "URL", hide_env_values = true)]
    pub(super) queue: Option<Url>,

    /// The certificate chain for https, as PEM
    #[arg(long, env = "CHAT_TLS_CERT", value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,

    /// The private key for https, as PEM
    #[arg(long, env = "CHAT_TLS_KEY", value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,

    /// Says that a proxy does TLS: X-Forwarded-For and X-Forwarded-Proto of a loopback or private peer are believed
    #[arg(long, env = "CHAT_BEHIND_PROXY", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(super) behind_proxy: Option<bool>,

    /// Another site whose pages may use this server; may be repeated
    #[arg(long, env = "CHAT_ALLOWED_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub(super) allowed_origin: Vec<String>,

    /// The quote service of /stock, with {code} where the code goes [default: a public one]
    #[arg(long, env = "CHAT_QUOTE_URL", value_name = "TEMPLATE")]
    pub(super) quote_url: Option<String>,

    /// The file with the API key of the quote service; or set CHAT_QUOTE_KEY to the key itself
    #[arg(long, env = "CHAT_QUOTE_KEY_FILE", value_name = "FILE")]
    pub(super) quote_key_file: Option<PathBuf>,

    /// Lets the quote service be on this machine or in a private network
    #[arg(long, env = "CHAT_QUOTE_PRIVATE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(super) quote_private: Option<bool>,

    /// Answers /stock with sample prices, without the internet
    #[arg(long, env = "CHAT_DEMO", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(super) demo: Option<bool>,

    /// The file with the secret that all servers sign with (bots need none), at least 16 bytes; or set CHAT_SECRET to the
    /// secret itself [default: a random one, enough for one process]
    #[arg(long, env = "CHAT_SECRET_FILE", value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,

    /// How long a login lasts, at most a year [default: 30d]
    #[arg(long, env = "CHAT_SESSION", value_name = "TIME")]
    pub(super) session: Option<Span>,

    /// Forgets messages that are older, like 365d; what is younger than an hour stays [default: none is forgotten]
    #[arg(long, env = "CHAT_RETENTION_AGE", value_name = "TIME")]
    pub(super) retention_age: Option<Span>,

    /// Forgets all but so many of the latest entries of each room; what is younger than an hour stays [default: none is
    /// forgotten]
    #[arg(long, env = "CHAT_RETENTION_COUNT", value_name = "NUMBER")]
    pub(super) retention_count: Option<u64>,

    /// Raises the limits per user and per address, which a load generator is: never where people connect
    #[arg(long, env = "CHAT_LOAD_PROFILE", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(super) load_profile: Option<bool>,

    /// How long a stopping server may take, at most an hour [default: 15s]
    #[arg(long, env = "CHAT_DRAIN_GRACE", value_name = "TIME")]
    pub(super) drain_grace: Option<Span>,

    /// How log lines look [default: text]
    #[arg(long, env = "CHAT_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,

    /// Which log lines there are, like "warn" or "info,chat_core=debug" [default: info]
    #[arg(long, env = "CHAT_LOG", value_name = "FILTER")]
    pub(super) log: Option<String>,
}

impl Options {
    /// Takes from `next` what is not set here.
    pub(super) fn or(self, next: Self) -> Self {
        Self {
            listen: self.listen.or(next.listen),
            admin: self.admin.or(next.admin),
            store: self.store.or(next.store),
            messages: self.messages.or(next.messages),
            accounts: self.accounts.or(next.accounts),
            broker: self.broker.or(next.broker),
            bridge: self.bridge.or(next.bridge),
            presence: self.presence.or(next.presence),
            queue: self.queue.or(next.queue),
            tls_cert: self.tls_cert.or(next.tls_cert),
            tls_key: self.tls_key.or(next.tls_key),
            behind_proxy: self.behind_proxy.or(next.behind_proxy),
            allowed_origin: if self.allowed_origin.is_empty() { next.allowed_origin } else { self.allowed_origin },
            quote_url: self.quote_url.or(next.quote_url),
            quote_key_file: self.quote_key_file.or(next.quote_key_file),
            quote_private: self.quote_private.or(next.quote_private),
            demo: self.demo.or(next.demo),
            secret_file: self.secret_file.or(next.secret_file),
            session: self.session.or(next.session),
            retention_age: self.retention_age.or(next.retention_age),
            retention_count: self.retention_count.or(next.retention_count),
            load_profile: self.load_profile.or(next.load_profile),
            drain_grace: self.drain_grace.or(next.drain_grace),
            log_format: self.log_format.or(next.log_format),
            log: self.log.or(next.log),
        }
    }
}
