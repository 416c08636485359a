//! Connecting to PostgreSQL, its settings, its schema.

use chat_core::{StoreError, StoreErrorKind};
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use crate::{
    Dialect, SqlConfig,
    connection::{Connection, Fetch},
    durable::{self, Unsafe},
    error::during,
    migrate::{recorded, to_run},
    prefix::{Prefix, is_plain},
    url::{check, without},
};

/// What is read from a URL: the first one by us, the others by the driver.
const PARAMETERS: [&str; 19] = [
    "schema",
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Reads the URL. `schema` is a parameter of ours: where the tables are, instead of the role's default.
pub(super) fn options(config: &SqlConfig) -> Result<(PgConnectOptions, Option<String>), StoreError> {
    let (url, schema) = without(&config.url, "schema");
    if schema.as_ref().is_some_and(|schema| schema.is_empty() || !is_plain(schema)) {
        let rule = "the schema in the URL is 1 to 32 of a-z, 0-9 and _, and begins with no digit";
        return Err(StoreError::new(StoreErrorKind::Other, rule));
    }
    let options: PgConnectOptions = url.parse().map_err(during("read the URL of the database"))?;
    check(&url, &PARAMETERS)?;
    Ok((options.disable_statement_logging(), schema))
}

/// Returns what sets a session up.
pub(super) fn session(config: &SqlConfig, schema: Option<&str>) -> String {
    let path = schema.map(|schema| format!("SET search_path TO \"{schema}\";")).unwrap_or_default();
    let lock_ms = config.busy_timeout.as_millis().clamp(1, 3_600_000);
    format!(
        "{path}
        SET client_min_messages TO warning;
        SET lock_timeout TO {lock_ms};
        -- Ends what a node holds that was stopped in the middle of a transaction.
        SET idle_in_transaction_session_timeout TO '10s';
        -- Under any other level an append could not see who was quicker.
        SET default_transaction_isolation TO 'read committed';
        -- All that is done here is done by index. A plan that was made while the tables were small must not be a walk
        -- through them, since it is kept; nor is such a statement worth compiling.
        SET plan_cache_mode TO force_generic_plan;
        SET enable_seqscan TO off; SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET jit TO off;
        -- Nor is a page to be made by reading all of a room and sorting it, which looks cheap as long as rooms are small.
        SET enable_bitmapscan TO off; SET enable_sort TO off; SET enable_incremental_sort TO off"
    )
}

pub(super) async fn connect(options: &PgConnectOptions, session: &str) -> Result<PgConnection, StoreError> {
    let what = format!("connect to PostgreSQL at {}:{}", options.get_host(), options.get_port());
    let mut connection = options.connect().await.map_err(during(&what))?;
    connection.command(session.to_owned()).await.map_err(during(&what))?;
    Ok(connection)
}

/// Checks the server's settings, then makes or checks the schema.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    prefix: &Prefix,
    schema: Option<&str>,
    config: &SqlConfig,
) -> Result<(), StoreError> {
    check_settings(connection, config.accept_unsafe).await?;
    let found = recorded(connection, prefix).await?;
    if !config.migrate {
        return Dialect::Postgres.check(&found);
    }
    if Dialect::Postgres.missing(&found)?.is_empty() {
        return Ok(()); // without a lock, and with a role that may change nothing
    }
    bring_up_to_date(connection, prefix, schema).await
}

async fn check_settings(connection: &mut PgConnection, accept_unsafe: bool) -> Result<(), StoreError> {
    let sql = "SELECT name, setting FROM pg_settings
               WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'server_encoding') ORDER BY name";
    let settings: Vec<(String, String)> =
        connection.fetch(sql.to_owned(), Vec::new()).await.map_err(during("read how the server is set"))?;
    if let Some((_, encoding)) = settings.iter().find(|(name, value)| name == "server_encoding" && value != "UTF8") {
        let refused = format!("keep every text in a database encoded in {encoding}; UTF8 is needed");
        return Err(StoreError::new(StoreErrorKind::Unsupported, refused));
    }
    let off = settings.into_iter().filter(|(_, value)| value == "off");
    let found: Vec<_> = off.map(|(setting, value)| Unsafe { setting, value, wanted: "on" }).collect();
    durable::check(&found, accept_unsafe)
}

/// Runs what is missing in one transaction. Several nodes may do so at once: the first one does it.
async fn bring_up_to_date(
    connection: &mut PgConnection,
    prefix: &Prefix,
    schema: Option<&str>,
) -> Result<(), StoreError> {
    let what = "bring the schema up to date";
    // The number is "chat" in ASCII. Making the first schema takes a second, and the others wait for it.
    let begin = "BEGIN; SET LOCAL lock_timeout TO '60s'; SELECT pg_advisory_xact_lock(1667785076)";
    connection.command(begin.to_owned()).await.map_err(during(what))?;
    if let Some(schema) = schema {
        let create = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"");
        connection.command(create).await.map_err(during(what))?;
    }
    for migration in Dialect::Postgres.missing(&recorded(connection, prefix).await?)? {
        connection.command(to_run(migration, prefix)).await.map_err(during(what))?;
    }
    connection.command("COMMIT".to_owned()).await.map_err(during(what))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_parameter_that_nothing_reads_is_refused() {
        for (url, said) in [
            ("postgres://h/d?shema=chat", "parameter `shema` is none of schema, sslmode"),
            ("postgres://h:1?s3cret@h/d", "parameter `…` is none of"),
        ] {
            let error = options(&SqlConfig::new(url)).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        }
        assert!(options(&SqlConfig::new("postgres://h/d?sslmode=require&schema=chat")).is_ok());
    }
}
