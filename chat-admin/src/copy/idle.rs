//! Finding out whether a server is running on a store.

use std::{path::Path, time::Duration};

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{Failure, url::StoreUrl};

/// Refuses an SQLite file that somebody has open. Other stores do not tell; there the comparison at the end finds what was
/// written meanwhile.
pub(crate) async fn check(store: &StoreUrl) -> Result<(), Failure> {
    if !store.file().is_some_and(Path::exists) {
        return Ok(());
    }
    let options: SqliteConnectOptions = store.reveal().parse()?;
    // Before anything is read: from then on the file would be shared with others.
    let options = options.locking_mode(sqlx::sqlite::SqliteLockingMode::Exclusive).busy_timeout(Duration::ZERO);
    let mut connection = options.disable_statement_logging().connect().await?;
    let locked = sqlx::raw_sql("BEGIN EXCLUSIVE; COMMIT").execute(&mut connection).await;
    connection.close().await?;
    match locked {
        Ok(_) => Ok(()),
        Err(error) if is_busy(&error) => Err(format!("{store} is in use: stop the server first").into()),
        Err(error) => Err(error.into()),
    }
}

/// Tells whether somebody else has the file locked; the low byte of a code says so.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
}
