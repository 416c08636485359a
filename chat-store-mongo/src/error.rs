//! Calling the driver, and what its errors mean to the engine.

use std::time::Duration;

use chat_core::{StoreError, StoreErrorKind};
use futures::TryStreamExt;
use mongodb::{
    Cursor,
    error::{Error, ErrorKind, WriteFailure},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// How long one call may take: 10 s, twice as long as anybody waits for it. Ends the wait for a server that hangs.
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// Is the code of "another document has this value in a unique index".
const DUPLICATE_KEY: i32 = 11000;

/// Calls the driver.
pub(crate) async fn ask<T>(
    what: &str,
    call: impl IntoFuture<Output = Result<T, Error>, IntoFuture: Send>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::new(StoreErrorKind::Timeout, what);
    let answer = timeout(CALL_WITHIN, call.into_future()).await.map_err(late)?;
    answer.map_err(|error| StoreError::new(kind(&error), what).with_source(error))
}

/// Calls the driver with something that others may do at the same time. Returns whether it was done: if not, they were
/// quicker, and a unique index refused what was to be written after them.
pub(crate) async fn attempt<T: Send>(
    what: &str,
    call: impl IntoFuture<Output = Result<T, Error>, IntoFuture: Send>,
) -> Result<bool, StoreError> {
    Ok(attempted(what, call).await?.is_some())
}

/// Does the same, and returns what came of it.
pub(crate) async fn attempted<T: Send>(
    what: &str,
    call: impl IntoFuture<Output = Result<T, Error>, IntoFuture: Send>,
) -> Result<Option<T>, StoreError> {
    let call = call.into_future();
    let settled = async {
        match call.await {
            Err(error) if is_taken(&error) => Ok(None),
            done => done.map(Some),
        }
    };
    ask(what, settled).await
}

/// Reads all that a query finds.
pub(crate) async fn all<T: DeserializeOwned + Send + Sync + Unpin>(
    what: &str,
    find: impl IntoFuture<Output = Result<Cursor<T>, Error>, IntoFuture: Send>,
) -> Result<Vec<T>, StoreError> {
    let find = find.into_future();
    ask(what, async { find.await?.try_collect().await }).await
}

/// Is what is answered when a stored value cannot be read.
pub(crate) fn unreadable(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("read a stored {what}"))
}

/// Tells whether unique indexes, and nothing else, refused a write.
fn is_taken(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::InsertMany(failed) if failed.write_concern_error.is_none() => {
            let codes = failed.write_errors.iter().flatten().map(|error| error.code);
            failed.write_errors.is_some() && codes.into_iter().all(|code| code == DUPLICATE_KEY)
        }
        _ => code(error) == Some(DUPLICATE_KEY),
    }
}

/// Tells whether the user may not do this.
pub(crate) fn is_forbidden(error: &Error) -> bool {
    matches!(code(error), Some(13)) // unauthorized
}

/// Tells whether the server cannot promise what each write asks for: a majority, and the journal.
pub(crate) fn is_no_promise(error: &Error) -> bool {
    // A bad value (a journal that is switched off), an option that is not allowed, an unknown mode.
    matches!(code(error), Some(2 | 72 | 79))
}

fn kind(error: &Error) -> StoreErrorKind {
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown => StoreErrorKind::Unavailable,
        ErrorKind::BsonDeserialization(_) | ErrorKind::InvalidResponse { .. } => StoreErrorKind::Corrupt,
        ErrorKind::IncompatibleServer { .. } => StoreErrorKind::Unsupported,
        _ => code(error).map_or(StoreErrorKind::Other, kind_of),
    }
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        ErrorKind::InsertMany(failed) => {
            let concern = failed.write_concern_error.as_ref().map(|error| error.code);
            concern.or_else(|| failed.write_errors.iter().flatten().map(|error| error.code).next())
        }
        _ => None,
    }
}

/// Maps the server's codes, never its texts.
fn kind_of(code: i32) -> StoreErrorKind {
    match code {
        // Lock busy or timed out, write conflict, interrupted by a primary's change of mind about a transaction.
        24 | 46 | 112 | 251 | DUPLICATE_KEY => StoreErrorKind::Contended,
        // A time-out of the operation, of the write concern, of a network interface, and a killed operation.
        50 | 64 | 202 | 262 | 11601 => StoreErrorKind::Timeout,
        // Hosts and networks that fail; not primary, stepping down, recovering, shutting down; not enough members.
        6 | 7 | 89 | 91 | 100 | 134 | 189 | 9001 | 10107 | 11600 | 11602 | 13435 | 13436 => StoreErrorKind::Unavailable,
        14031 => StoreErrorKind::Full,
        // An index of the same name or keys with other options.
        85 | 86 => StoreErrorKind::Schema,
        _ => StoreErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whether_to_try_again() {
        let table = [
            (112, StoreErrorKind::Contended),
            (64, StoreErrorKind::Timeout),
            (10107, StoreErrorKind::Unavailable), // not primary
            (14031, StoreErrorKind::Full),
            (18, StoreErrorKind::Other), // a wrong password
        ];
        for (code, kind) in table {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }
}
