//! Finding out whether a server is running on a store.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Connection,
    sqlite::{SqliteConnectOptions, SqliteLockingMode},
};

use crate::{Failure, url::StoreUrl};

/// How long to wait for a file: a server that is just stopping gives it back in less.
const FREE_WITHIN: Duration = Duration::from_secs(2);

/// Refuses an SQLite file that somebody has open. Other stores do not tell; there the comparison at the end finds what was
/// written meanwhile.
pub(crate) async fn check(store: &StoreUrl) -> Result<(), Failure> {
    if !store.file().is_some_and(Path::exists) {
        return Ok(());
    }
    let deadline = Instant::now() + FREE_WITHIN;
    loop {
        match lock(store).await {
            Err(error) if !is_busy(&error) => return Err(error.into()),
            Err(_) if Instant::now() >= deadline => {
                return Err(format!("{store} is in use: stop the server first").into());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            Ok(()) => return Ok(()),
        }
    }
}

/// Has the file alone for a moment.
async fn lock(store: &StoreUrl) -> Result<(), sqlx::Error> {
    let options: SqliteConnectOptions = store.reveal().parse()?;
    // Before anything is read: from then on the file would be shared with others.
    let options = options.locking_mode(SqliteLockingMode::Exclusive).busy_timeout(Duration::ZERO);
    let mut connection = options.disable_statement_logging().connect().await?;
    let locked = sqlx::raw_sql("BEGIN EXCLUSIVE; COMMIT").execute(&mut connection).await;
    connection.close().await?;
    locked.map(drop)
}

/// Tells whether somebody else has the file locked; the low byte of a code says so.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
}
