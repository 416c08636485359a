//! Places on real servers, each of which is removed at the end; and somebody else who uses them.

#![allow(dead_code)] // each test binary uses some of it
#![cfg(any(feature = "postgres", feature = "mysql"))]

use std::{
    process::id,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use chat_store_sql::{SqlConfig, SqlStore};
use sqlx::{AssertSqlSafe, Connection, error::DatabaseError};

static PLACES: AtomicU32 = AtomicU32::new(0);

/// Is a schema (PostgreSQL) or a database (MySQL) of a test's own; dropped with all that is in it.
pub(crate) struct Place {
    server: Server,
    /// The server's own URL, by which the place is made and removed.
    root: String,
    name: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Postgres,
    MySql,
}

fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where the server is: see scripts/services"))
}

impl Place {
    pub(crate) async fn postgres() -> Self {
        Self::make(Server::Postgres, url("CHAT_TEST_POSTGRES")).await
    }

    pub(crate) async fn mysql() -> Self {
        Self::make(Server::MySql, url("CHAT_TEST_MYSQL")).await
    }

    async fn make(server: Server, root: String) -> Self {
        let name = format!("t{}_{}", id(), PLACES.fetch_add(1, Ordering::Relaxed));
        let place = Self { server, root, name };
        match server {
            Server::Postgres => place.as_root(&format!("CREATE SCHEMA {}", place.name)).await,
            Server::MySql => place.as_root(&format!("CREATE DATABASE {}", place.name)).await,
        }
        place
    }

    /// Returns the URL of the place.
    pub(crate) fn url(&self) -> String {
        match self.server {
            Server::Postgres => format!("{}?schema={}", self.root, self.name),
            Server::MySql => {
                let (server, _) = self.root.rsplit_once('/').unwrap();
                format!("{server}/{}", self.name)
            }
        }
    }

    /// Returns the URL with another parameter of the driver's.
    pub(crate) fn url_with(&self, parameter: &str) -> String {
        let url = self.url();
        format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn config(&self) -> SqlConfig {
        SqlConfig::new(self.url())
    }

    pub(crate) async fn open(&self) -> SqlStore {
        SqlStore::connect(self.config()).await.expect("a store")
    }

    /// Opens the store of a conformance case, together with the place that must outlive it.
    pub(crate) async fn with_store(self) -> (SqlStore, Self) {
        (self.open().await, self)
    }

    async fn as_root(&self, script: &str) {
        Other::connect(self.server, &self.root).await.run(script).await;
    }

    /// Connects as somebody else does.
    pub(crate) async fn other(&self) -> Other {
        match self.server {
            Server::Postgres => {
                let mut other = Other::connect(self.server, &self.root).await;
                other.run(&format!("SET search_path TO {}", self.name)).await;
                other
            }
            Server::MySql => Other::connect(self.server, &self.url()).await,
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.server == Server::Postgres
    }
}

/// Is somebody else's connection to a place: another node, a tool, the host.
pub(crate) enum Other {
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgConnection),
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlConnection),
}

impl Other {
    async fn connect(server: Server, url: &str) -> Self {
        match server {
            #[cfg(feature = "postgres")]
            Server::Postgres => Self::Postgres(sqlx::PgConnection::connect(url).await.expect("PostgreSQL answers")),
            #[cfg(feature = "mysql")]
            Server::MySql => Self::MySql(sqlx::MySqlConnection::connect(url).await.expect("MySQL answers")),
            #[allow(unreachable_patterns)] // with both features there is no other
            _ => unreachable!("the feature of this server is on"),
        }
    }

    /// Runs statements, and returns the SQLSTATE if one is refused.
    pub(crate) async fn try_run(&mut self, script: &str) -> Result<(), String> {
        let script = AssertSqlSafe(script.to_owned());
        let done = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => sqlx::raw_sql(script).execute(connection).await.map(drop),
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => sqlx::raw_sql(script).execute(connection).await.map(drop),
        };
        done.map_err(|error| error.as_database_error().and_then(DatabaseError::code).unwrap_or_default().into_owned())
    }

    pub(crate) async fn run(&mut self, script: &str) {
        assert_eq!(self.try_run(script).await, Ok(()), "{script}");
    }

    /// Returns the one number that a query gives.
    pub(crate) async fn number(&mut self, query: &str) -> i64 {
        let query = AssertSqlSafe(query.to_owned());
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_one(connection).await.unwrap(),
            #[cfg(feature = "mysql")]
            Self::MySql(connection) => sqlx::query_scalar(query).fetch_one(connection).await.unwrap(),
        }
    }
}

/// Waits until a query gives this number.
pub(crate) async fn until(other: &mut Other, query: &str, wanted: i64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = other.number(query).await;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found} instead of {wanted}: {query}");
        // MariaDB makes its list of transactions anew only if nobody has read it for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

impl Drop for Place {
    /// Removes the place, on a thread of its own: a test's runtime may be ending.
    fn drop(&mut self) {
        let (server, root, name) = (self.server, self.root.clone(), self.name.clone());
        let remove = move || {
            let script = match server {
                Server::Postgres => format!("SET client_min_messages TO error; DROP SCHEMA {name} CASCADE"),
                Server::MySql => format!("DROP DATABASE {name}"),
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { Other::connect(server, &root).await.run(&script).await });
        };
        let _ = std::thread::spawn(remove).join(); // a test that failed has said so already
    }
}
