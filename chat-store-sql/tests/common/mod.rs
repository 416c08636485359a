//! Places on real servers, each of which is removed at the end.

#![allow(dead_code)] // each test binary uses some of it
#![cfg(any(feature = "postgres", feature = "mysql"))]

use std::{
    process::id,
    sync::atomic::{AtomicU32, Ordering},
};

use chat_store_sql::{SqlConfig, SqlStore};
use sqlx::{AssertSqlSafe, Connection};

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
        run(self.server, &self.root, script).await;
    }

    /// Runs statements in this place.
    pub(crate) async fn run(&self, script: &str) {
        run(self.server, &self.root_here(), &self.here(script)).await;
    }

    fn root_here(&self) -> String {
        if self.server == Server::MySql { self.url() } else { self.root.clone() }
    }

    fn here(&self, script: &str) -> String {
        if self.server == Server::MySql {
            script.to_owned()
        } else {
            format!("SET search_path TO {}; {script}", self.name)
        }
    }
}

async fn run(server: Server, url: &str, script: &str) {
    let script = AssertSqlSafe(script.to_owned());
    match server {
        #[cfg(feature = "postgres")]
        Server::Postgres => {
            let mut connection = sqlx::PgConnection::connect(url).await.expect("PostgreSQL answers");
            sqlx::raw_sql(script).execute(&mut connection).await.expect("the script runs");
            connection.close().await.unwrap();
        }
        #[cfg(feature = "mysql")]
        Server::MySql => {
            let mut connection = sqlx::MySqlConnection::connect(url).await.expect("MySQL answers");
            sqlx::raw_sql(script).execute(&mut connection).await.expect("the script runs");
            connection.close().await.unwrap();
        }
        #[allow(unreachable_patterns)] // with both features there is no other
        _ => unreachable!("the feature of this server is on"),
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
            runtime.block_on(run(server, &root, &script));
        };
        let _ = std::thread::spawn(remove).join(); // a test that failed has said so already
    }
}
