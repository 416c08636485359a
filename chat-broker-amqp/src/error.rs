//! What the driver's errors mean to the engine.

use std::{io, time::Duration};

use chat_core::{
    broker::{BrokerError, BrokerErrorKind},
    queue::{QueueError, QueueErrorKind},
};
use lapin::{Error, ErrorKind};
use tokio::time::timeout;

/// How long one call to the broker may take. The relay waits 5 s for a publication: ours is over before.
pub(crate) const CALL_WITHIN: Duration = Duration::from_secs(3);

/// Is why a call to the broker failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Driver(#[from] Error),
    #[error("no answer in time")]
    Late,
    #[error("there is no connection")]
    Unconnected,
    #[error("the broker has ended the subscription")]
    Cancelled,
    #[error("the queue is full")]
    Full,
    #[error("no queue took the message")]
    Unroutable,
    #[error("the delivery was given back before")]
    GivenBack,
    #[error("the broker holds back publishers: {0}")]
    Blocked(String),
}

impl Failure {
    /// Tells whether the same call may succeed later without anybody changing anything. By code, never by text. What
    /// is missing may be declared again: it is no refusal.
    pub(crate) fn is_transient(&self) -> bool {
        let Self::Driver(error) = self else { return !matches!(self, Self::GivenBack) };
        match error.kind() {
            // No such virtual host or none of ours, access refused, declared with other arguments, not supported.
            ErrorKind::ProtocolError(error) => !matches!(error.get_id(), 402 | 403 | 406 | 530 | 540),
            ErrorKind::InvalidProtocolVersion(_) | ErrorKind::AuthProviderError(_) => false,
            // TLS: a certificate that nobody vouches for, or of another name.
            ErrorKind::IOError(error) => error.kind() != io::ErrorKind::InvalidData,
            _ => true,
        }
    }

    pub(crate) fn broker(self, what: &str) -> BrokerError {
        let kind = match &self {
            Self::Blocked(_) => BrokerErrorKind::Blocked,
            failure if failure.is_transient() => BrokerErrorKind::Unavailable,
            _ => BrokerErrorKind::Other,
        };
        BrokerError::new(kind, what).with_source(self)
    }

    pub(crate) fn queue(self, what: &str) -> QueueError {
        let kind = match &self {
            Self::Full => QueueErrorKind::Full,
            failure if failure.is_transient() => QueueErrorKind::Unavailable,
            _ => QueueErrorKind::Other,
        };
        QueueError::new(kind, what).with_source(self)
    }
}

/// Calls the broker, which must answer in time: a broker that hangs keeps its connections open.
pub(crate) async fn ask<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    Ok(timeout(CALL_WITHIN, call).await.map_err(|_| Failure::Late)??)
}
