//! PostgreSQL: messages by a procedure in one round trip, everything else in transactions.

mod append;
mod open;
#[cfg(test)]
mod plans;
mod sql;

use chat_core::StoreError;
use sqlx::{PgConnection, postgres::PgConnectOptions};

use crate::{
    Dialect, SqlConfig,
    connection::Db,
    prefix::Prefix,
    server::{Connected, Server, transact},
    work::{Answer, Work},
};

/// Is a PostgreSQL server.
pub(crate) struct Postgres {
    options: PgConnectOptions,
    /// Is run first on every connection.
    session: String,
}

impl Postgres {
    pub(crate) async fn open(config: &SqlConfig) -> Result<Connected<Self>, StoreError> {
        let prefix = Prefix::new(&config.namespace, Dialect::Postgres)?;
        let (options, schema) = open::options(config)?;
        let server = Self { options, session: open::session(config, schema.as_deref()) };
        let mut connection = server.connect().await?;
        open::prepare(&mut connection, &prefix, schema.as_deref(), config).await?;
        Ok(Connected::new(server, prefix, config))
    }
}

/// Returns what makes a script work in the schema that the URL names, if it names one.
pub(crate) fn in_schema(config: &SqlConfig) -> Result<String, StoreError> {
    let (_, schema) = open::options(config)?;
    let enter = |schema| format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\";\nSET search_path TO \"{schema}\";\n\n");
    Ok(schema.map(enter).unwrap_or_default())
}

impl Server for Postgres {
    type Connection = PgConnection;
    const BEGIN: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        open::connect(&self.options, &self.session).await
    }

    async fn write(db: &mut Db<'_, PgConnection>, work: Work) -> Result<Answer, StoreError> {
        match work {
            Work::Append(batch) => append::append(db, batch).await,
            other => transact::<Self>(db, other).await,
        }
    }
}
