//! Accounts in PostgreSQL.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};

use super::{
    AccountStore, Failure,
    tables::{self, sql},
    without,
};

/// The number is "acco" in ASCII. Several servers that start at once would make the same tables, which fails for all but one.
const RECORD: &str = "
SELECT pg_advisory_xact_lock(1633903471);
CREATE TABLE IF NOT EXISTS account_schema (digest text PRIMARY KEY);
INSERT INTO account_schema SELECT '{digest}'
WHERE NOT EXISTS (SELECT 1 FROM account_schema) AND to_regclass('account_users') IS NULL;
";

const SCHEMA: &str = r#"
SELECT pg_advisory_xact_lock(1633903471);
CREATE TABLE IF NOT EXISTS account_users (
    id       text COLLATE "C" PRIMARY KEY,
    look     text COLLATE "C" NOT NULL UNIQUE,
    name     text NOT NULL,
    password text NOT NULL,
    created  bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS account_logins (
    token   bytea PRIMARY KEY,
    login   text NOT NULL UNIQUE,
    account text COLLATE "C" NOT NULL REFERENCES account_users (id),
    created bigint NOT NULL,
    expires bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS account_logins_by_user ON account_logins (account, created);
CREATE TABLE IF NOT EXISTS account_places (
    account text COLLATE "C" NOT NULL REFERENCES account_users (id),
    place   text NOT NULL,
    seen    bigint NOT NULL,
    PRIMARY KEY (account, place)
);
CREATE TABLE IF NOT EXISTS account_bans (
    account text COLLATE "C" PRIMARY KEY REFERENCES account_users (id),
    at      bigint NOT NULL
);
"#;

sql!(PgPool, PgRow, numbered);

pub(super) async fn open(url: &str) -> Result<Box<dyn AccountStore>, Failure> {
    let (url, schema) = without(url, "schema");
    let mut options = PgConnectOptions::from_str(&url)?.disable_statement_logging();
    options = options.options([("client_min_messages", "warning"), ("synchronous_commit", "on")]);
    if let Some(schema) = &schema {
        // The store's own check comes first, but accounts may be elsewhere.
        if schema.is_empty() || !schema.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
            return Err("the schema in the URL may hold a-z, 0-9 and _".into());
        }
        options = options.options([("search_path", schema)]);
    }
    let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5));
    let pool = pool.connect_with(options).await?;
    let schema = schema.map(|schema| format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\";")).unwrap_or_default();
    // Several statements without parameters are one transaction.
    tables::open(pool, &(schema + RECORD), SCHEMA).await
}

/// Numbers the parameters of a statement.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.zip(1..).fold(first, |text, (part, number)| format!("{text}${number}{part}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn parameters_are_numbered_in_their_order() {
        assert_eq!(super::numbered("a = ? AND b > ?"), "a = $1 AND b > $2");
    }
}
