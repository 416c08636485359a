//! What the driver's errors mean to the engine.

use chat_core::{StoreError, StoreErrorKind};
use sqlx::Error;

/// Adds what was being done to an error of the driver.
pub(crate) fn during(what: &str) -> impl Fn(Error) -> StoreError + '_ {
    move |error| StoreError::new(kind(&error), what).with_source(error)
}

/// Is what is answered when a stored value cannot be read.
pub(crate) fn unreadable(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("read a stored {what}"))
}

/// Tells whether somebody else was in the way, so that the same may succeed a moment later.
pub(crate) fn is_contended(error: &Error) -> bool {
    kind(error) == StoreErrorKind::Contended
}

fn kind(error: &Error) -> StoreErrorKind {
    match error {
        Error::Database(error) => {
            error.code().and_then(|code| code.parse().ok()).map_or(StoreErrorKind::Other, kind_of_code)
        }
        Error::PoolTimedOut | Error::Io(_) | Error::PoolClosed | Error::WorkerCrashed => StoreErrorKind::Unavailable,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::RowNotFound => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Other,
    }
}

/// Maps SQLite's result codes; the low byte is the primary one.
fn kind_of_code(code: u32) -> StoreErrorKind {
    match code & 0xff {
        5 | 6 => StoreErrorKind::Contended,         // BUSY, LOCKED
        7 | 10 | 14 => StoreErrorKind::Unavailable, // NOMEM, IOERR, CANTOPEN
        11 | 26 => StoreErrorKind::Corrupt,         // CORRUPT, NOTADB
        13 => StoreErrorKind::Full,                 // FULL
        _ => StoreErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_codes_count_as_their_primary_code() {
        assert_eq!(kind_of_code(517), StoreErrorKind::Contended); // BUSY_SNAPSHOT
        assert_eq!(kind_of_code(778), StoreErrorKind::Unavailable); // IOERR_WRITE
        assert_eq!(kind_of_code(2067), StoreErrorKind::Other); // CONSTRAINT_UNIQUE
    }
}
