//! How to open a database.

use std::{fmt, time::Duration};

/// Says which database to open, and how.
///
/// ```
/// let config = chat_store_sql::SqlConfig::new("sqlite:app.db").namespace("support_").migrate(false);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SqlConfig {
    /// The URL of the database; may hold a password and is therefore never printed.
    pub url: String,
    /// Begins the name of every table: `chat_`, so that the host's own tables stay apart. At most 32 of `a-z 0-9 _`,
    /// not beginning with a digit.
    pub namespace: String,
    /// Whether to make the schema and bring it up to date. If not, its version is only checked, and a role that may not
    /// change the schema suffices.
    pub migrate: bool,
    /// Connections that read at the same time: 4, since reads are short and SQLite's readers share one cache of pages
    /// in the kernel.
    pub readers: u32,
    /// Connections to a server that write at the same time: 4, as many as an engine has lanes. SQLite has one.
    pub writers: u32,
    /// How long to wait for another process that writes: 5 s, as long as a sender waits for the engine.
    pub busy_timeout: Duration,
    /// Whether to open a database that may lose what it has committed (`fsync = off` and the like). It is then logged
    /// what is not promised; otherwise, and by default, it is refused.
    pub accept_unsafe: bool,
}

impl SqlConfig {
    /// Opens the database at this URL, with defaults for the rest.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: "chat_".to_owned(),
            migrate: true,
            readers: 4,
            writers: 4,
            busy_timeout: Duration::from_secs(5),
            accept_unsafe: false,
        }
    }

    /// Sets what every table's name begins with.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets whether to change the schema, or only to check it.
    #[must_use]
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Sets how many connections read; at least one.
    #[must_use]
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// Sets how many connections to a server write; at least one.
    #[must_use]
    pub fn writers(mut self, writers: u32) -> Self {
        self.writers = writers.max(1);
        self
    }

    /// Sets whether to open a database that may lose what it has committed.
    #[must_use]
    pub fn accept_unsafe(mut self, accept_unsafe: bool) -> Self {
        self.accept_unsafe = accept_unsafe;
        self
    }

    /// Returns the part of the URL that names the database system.
    pub(crate) fn scheme(&self) -> &str {
        self.url.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

impl fmt::Debug for SqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlConfig")
            .field("url", &format_args!("{}:…", self.scheme()))
            .field("namespace", &self.namespace)
            .field("migrate", &self.migrate)
            .field("readers", &self.readers)
            .field("writers", &self.writers)
            .field("busy_timeout", &self.busy_timeout)
            .field("accept_unsafe", &self.accept_unsafe)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_url_is_not_printed() {
        let config = SqlConfig::new("postgres://chat:hunter2@db/chat");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.scheme(), "postgres");
    }
}
