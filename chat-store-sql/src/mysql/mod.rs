//! MySQL and MariaDB.

mod append;
mod open;
#[cfg(test)]
mod plans;
mod script;
mod sql;
mod steps;

use chat_core::StoreError;
use sqlx::{MySqlConnection, mysql::MySqlConnectOptions};

use crate::{
    Dialect, SqlConfig,
    connection::Db,
    prefix::Prefix,
    server::{Connected, Server, transact},
    work::{Answer, Work},
};

/// Is a MySQL or MariaDB server.
pub(crate) struct MySql {
    options: MySqlConnectOptions,
    /// Is run first on every connection.
    session: String,
}

impl MySql {
    pub(crate) async fn open(config: &SqlConfig) -> Result<Connected<Self>, StoreError> {
        let prefix = Prefix::new(&config.namespace, Dialect::MySql)?;
        let server = Self { options: open::options(config)?, session: open::session(config) };
        let mut connection = server.connect().await?;
        open::prepare(&mut connection, &prefix, config).await?;
        Ok(Connected::new(server, prefix, config))
    }
}

impl Server for MySql {
    type Connection = MySqlConnection;
    const BEGIN: &'static str = "START TRANSACTION READ WRITE";

    async fn connect(&self) -> Result<MySqlConnection, StoreError> {
        open::connect(&self.options, &self.session).await
    }

    async fn write(db: &mut Db<'_, MySqlConnection>, work: Work) -> Result<Answer, StoreError> {
        match work {
            Work::Append(batch) => append::append(db, batch).await,
            other => transact::<Self>(db, other).await,
        }
    }
}
