//! What the driver's errors mean to the engine.

use std::borrow::Cow;

use chat_core::{
    broker::{BrokerError, BrokerErrorKind},
    presence::{PresenceError, PresenceErrorKind},
    queue::{QueueError, QueueErrorKind},
};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Is why a call failed, before a port puts it in its own words.
#[derive(Debug)]
pub(crate) struct Failure {
    trouble: Trouble,
    context: Cow<'static, str>,
    source: Option<RedisError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Unavailable,
    /// The server takes nothing that needs memory or the disk.
    Full,
    /// It stays like this until somebody changes something.
    Refused,
}

impl Failure {
    /// Says that something is wrong with what we were told.
    pub(crate) fn refused(context: impl Into<Cow<'static, str>>) -> Self {
        Self { trouble: Trouble::Refused, context: context.into(), source: None }
    }

    /// Says that something cannot be had now.
    pub(crate) fn unavailable(context: &'static str) -> Self {
        Self { trouble: Trouble::Unavailable, context: context.into(), source: None }
    }

    /// Says what an error of the driver means.
    pub(crate) fn of(context: &'static str) -> impl Fn(RedisError) -> Self {
        move |error| Self { trouble: trouble(&error), context: context.into(), source: Some(error) }
    }
}

/// Maps the server's codes, never its texts.
fn trouble(error: &RedisError) -> Trouble {
    use ServerErrorKind as Kind;
    match error.kind() {
        ErrorKind::Io
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::Server(
            Kind::BusyLoading
            | Kind::ClusterDown
            | Kind::MasterDown
            | Kind::TryAgain
            | Kind::ReadOnly
            | Kind::Moved
            | Kind::Ask,
        ) => Trouble::Unavailable,
        _ if error.is_connection_dropped() || error.is_timeout() => Trouble::Unavailable,
        _ => match error.code() {
            Some("OOM" | "MISCONF") => Trouble::Full,
            Some("NOREPLICAS" | "BUSY") => Trouble::Unavailable,
            _ => Trouble::Refused,
        },
    }
}

/// Tells whether the connection is of no more use.
pub(crate) fn is_cut(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.is_timeout() || error.is_io_error()
}

/// Tells whether a key is elsewhere than we thought.
pub(crate) fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind as Kind;
    matches!(error.kind(), ErrorKind::Server(Kind::Moved | Kind::Ask | Kind::ReadOnly | Kind::ClusterDown))
}

macro_rules! port_error {
    ($error:ident, $kind:ident { $unavailable:ident, $full:ident, $refused:ident }) => {
        impl From<Failure> for $error {
            fn from(Failure { trouble, context, source }: Failure) -> Self {
                let kind = match trouble {
                    Trouble::Unavailable => $kind::$unavailable,
                    Trouble::Full => $kind::$full,
                    Trouble::Refused => $kind::$refused,
                };
                let error = Self::new(kind, context);
                match source {
                    Some(source) => error.with_source(source),
                    None => error,
                }
            }
        }
    };
}

port_error!(BrokerError, BrokerErrorKind { Unavailable, Blocked, Other });
port_error!(PresenceError, PresenceErrorKind { Unavailable, Unavailable, Other });
port_error!(QueueError, QueueErrorKind { Unavailable, Full, Other });

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    #[test]
    fn codes_say_whether_to_try_again() {
        let moved = RedisError::from((ErrorKind::Server(ServerErrorKind::Moved), "moved"));
        let password = RedisError::from((ErrorKind::AuthenticationFailed, "wrong"));
        let full = make_extension_error("OOM".into(), None);
        let table = [(moved, Trouble::Unavailable), (password, Trouble::Refused), (full, Trouble::Full)];
        for (error, expected) in table {
            assert_eq!(trouble(&error), expected, "{error}");
        }
    }
}
