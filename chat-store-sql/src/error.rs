//! What the driver's errors mean to the engine.

use chat_core::{StoreError, StoreErrorKind};
use sqlx::{Error, error::DatabaseError};

/// Adds what was being done to an error of the driver.
pub(crate) fn during(what: &str) -> impl Fn(Error) -> StoreError + '_ {
    move |error| StoreError::new(kind(&error), what).with_source(error)
}

/// Is what is answered when a stored value cannot be read.
pub(crate) fn unreadable(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("read a stored {what}"))
}

/// Tells whether somebody else was in the way, so that the same may succeed a moment later.
#[cfg(feature = "sqlite")]
pub(crate) fn is_contended(error: &Error) -> bool {
    kind(error) == StoreErrorKind::Contended
}

fn kind(error: &Error) -> StoreErrorKind {
    match error {
        Error::Database(error) => kind_of(&**error),
        Error::PoolTimedOut | Error::Io(_) | Error::PoolClosed | Error::WorkerCrashed | Error::BeginFailed => {
            StoreErrorKind::Unavailable
        }
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::RowNotFound => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Other,
    }
}

/// Maps by the code that each database system gives its errors, never by their text.
fn kind_of(error: &dyn DatabaseError) -> StoreErrorKind {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return kind_of_state(error.code());
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return kind_of_number(error.number());
    }
    error.code().and_then(|code| code.parse().ok()).map_or(StoreErrorKind::Other, kind_of_result)
}

/// Maps SQLite's result codes; the low byte is the primary one.
fn kind_of_result(code: u32) -> StoreErrorKind {
    match code & 0xff {
        5 | 6 => StoreErrorKind::Contended,         // BUSY, LOCKED
        7 | 10 | 14 => StoreErrorKind::Unavailable, // NOMEM, IOERR, CANTOPEN
        11 | 26 => StoreErrorKind::Corrupt,         // CORRUPT, NOTADB
        13 => StoreErrorKind::Full,                 // FULL
        _ => StoreErrorKind::Other,
    }
}

/// Maps PostgreSQL's states. Somebody else was quicker: a lock, a deadlock, a row that both wanted to insert; or the
/// connection was in somebody's transaction, where an append cannot commit and therefore stores nothing.
#[cfg(feature = "postgres")]
fn kind_of_state(state: &str) -> StoreErrorKind {
    match state {
        "40001" | "40P01" | "55P03" | "23505" | "2D000" | "25P02" => StoreErrorKind::Contended,
        "57014" => StoreErrorKind::Timeout, // cancelled, by a time-out or a person
        "53100" => StoreErrorKind::Full,
        "XX001" | "XX002" => StoreErrorKind::Corrupt,
        "42P01" | "42883" | "42703" | "3F000" => StoreErrorKind::Schema, // no such table, procedure, column, schema
        "25006" | "58030" => StoreErrorKind::Unavailable,                // read-only: a replica; I/O error
        _ if ["08", "53", "57"].iter().any(|class| state.starts_with(class)) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Other,
    }
}

/// Maps the numbers of MySQL and MariaDB, whose states say less.
#[cfg(feature = "mysql")]
fn kind_of_number(number: u16) -> StoreErrorKind {
    match number {
        // A lock wait, a deadlock, a row that both wanted to insert, a row that changed meanwhile.
        1205 | 1213 | 1062 | 1020 => StoreErrorKind::Contended,
        1969 | 3024 | 1317 => StoreErrorKind::Timeout,
        1021 | 1114 => StoreErrorKind::Full,
        1034 | 1194 | 1712 => StoreErrorKind::Corrupt,
        1146 | 1054 => StoreErrorKind::Schema,
        // Too many connections, shutting down, broken connections, killed, read-only: a replica.
        1040 | 1203 | 1226 | 1053 | 1158..=1161 | 1927 | 1290 | 1792 | 1836 => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_count_as_their_primary_code() {
        assert_eq!(kind_of_result(517), StoreErrorKind::Contended); // BUSY_SNAPSHOT
        assert_eq!(kind_of_result(778), StoreErrorKind::Unavailable); // IOERR_WRITE
        assert_eq!(kind_of_result(2067), StoreErrorKind::Other); // CONSTRAINT_UNIQUE
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn states_count_as_their_class_unless_they_are_known() {
        assert_eq!(kind_of_state("57P01"), StoreErrorKind::Unavailable); // a server that shuts down
        assert_eq!(kind_of_state("57014"), StoreErrorKind::Timeout); // of the same class
        assert_eq!(kind_of_state("28P01"), StoreErrorKind::Other); // a wrong password
    }
}
