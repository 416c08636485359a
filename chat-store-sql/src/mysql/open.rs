//! Connecting to MySQL or MariaDB, its settings, its schema.

use chat_core::{StoreError, StoreErrorKind};
use sqlx::{ConnectOptions, MySqlConnection, mysql::MySqlConnectOptions};

use crate::{
    Dialect, SqlConfig,
    connection::{Connection, Fetch},
    durable::{self, Unsafe},
    error::during,
    migrate::{recorded, to_run},
    prefix::Prefix,
    url::check,
};

/// What the driver reads from a URL.
const PARAMETERS: [&str; 14] = [
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "collation",
    "statement-cache-capacity",
    "socket",
    "timezone",
    "time-zone",
];

pub(super) fn options(config: &SqlConfig) -> Result<MySqlConnectOptions, StoreError> {
    let options: MySqlConnectOptions = config.url.parse().map_err(during("read the URL of the database"))?;
    check(&config.url, &PARAMETERS)?;
    Ok(options.disable_statement_logging())
}

/// Returns what sets a session up.
pub(super) fn session(config: &SqlConfig) -> String {
    let lock_s = config.busy_timeout.as_millis().div_ceil(1_000).clamp(1, 3_600);
    // Under REPEATABLE READ, the default, an append would not see who was quicker. And a server that is not strict cuts
    // texts that are too long, without an error.
    format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
         SET SESSION innodb_lock_wait_timeout = {lock_s}, SESSION lock_wait_timeout = 60,
             SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'"
    )
}

pub(super) async fn connect(options: &MySqlConnectOptions, session: &str) -> Result<MySqlConnection, StoreError> {
    let what = format!("connect to MySQL at {}:{}", options.get_host(), options.get_port());
    let mut connection = options.connect().await.map_err(during(&what))?;
    connection.command(session.to_owned()).await.map_err(during(&what))?;
    Ok(connection)
}

/// Checks the server's settings, then makes or checks the schema.
pub(super) async fn prepare(
    connection: &mut MySqlConnection,
    prefix: &Prefix,
    config: &SqlConfig,
) -> Result<(), StoreError> {
    check_settings(connection, config.accept_unsafe).await?;
    let found = recorded(connection, prefix).await?;
    if !config.migrate {
        return Dialect::MySql.check(&found);
    }
    if Dialect::MySql.missing(&found)?.is_empty() {
        return Ok(()); // without a lock, and with a role that may change nothing
    }
    bring_up_to_date(connection, prefix).await
}

async fn check_settings(connection: &mut MySqlConnection, accept_unsafe: bool) -> Result<(), StoreError> {
    let sql = "SELECT CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS SIGNED),
               CAST(IF(@@GLOBAL.log_bin, @@GLOBAL.sync_binlog, 1) AS SIGNED)";
    let settings: Vec<(i64, i64)> =
        connection.fetch(sql.to_owned(), Vec::new()).await.map_err(during("read how the server is set"))?;
    let (flush, binlog) = settings.first().copied().unwrap_or_default();
    let all = [("innodb_flush_log_at_trx_commit", flush), ("sync_binlog", binlog)];
    let off = all.into_iter().filter(|(_, value)| *value != 1);
    let found = off.map(|(setting, value)| Unsafe { setting: setting.into(), value: value.to_string(), wanted: "1" });
    durable::check(&found.collect::<Vec<_>>(), accept_unsafe)
}

/// Runs what is missing. Several nodes may do so at once: the first one does it.
///
/// Each statement that changes the schema commits by itself here. The text is recorded first and the version last, so what
/// broke off is run again from its start, and by the same text; every statement of a migration can be run twice.
async fn bring_up_to_date(connection: &mut MySqlConnection, prefix: &Prefix) -> Result<(), StoreError> {
    let what = "bring the schema up to date";
    // Such a lock is one of the whole server: its name holds the database and the prefix.
    let lock = prefix.name("SELECT GET_LOCK(MD5(CONCAT('chat schema ', DATABASE(), ' {p}')), 60), 0");
    let locked: Vec<(i64, i64)> = connection.fetch(lock, Vec::new()).await.map_err(during(what))?;
    if locked != [(1, 0)] {
        return Err(StoreError::new(StoreErrorKind::Contended, "wait for another node that makes the schema"));
    }
    for migration in Dialect::MySql.missing(&recorded(connection, prefix).await?)? {
        connection.command(to_run(migration, prefix)).await.map_err(during(what))?;
    }
    Ok(()) // the connection ends here, and the lock with it
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_parameter_that_nothing_reads_is_refused() {
        for (url, said) in [
            ("mysql://h/d?ssl_mode=VERIFY_CA", "parameter `ssl_mode` is none of sslmode, ssl-mode"),
            ("mariadb://h/d?charset=utf8mb4&schema=chat", "parameter `schema` is none of"),
            ("mysql://h:1?s3cret@h/d", "parameter `…` is none of"),
        ] {
            let error = options(&SqlConfig::new(url)).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        }
        assert!(options(&SqlConfig::new("mysql://h/d?ssl-mode=REQUIRED&socket=/run/mysqld.sock")).is_ok());
    }
}
