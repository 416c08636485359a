//! The shape of every port's error.

use std::{error::Error as StdError, fmt};

/// Is what went wrong in an adapter: a kind to act on, a context for the operator, the cause.
///
/// Adapters map their driver's errors to a kind by code, never by text. The text is for operators and is never
/// shown to a client.
///
/// ```
/// use chat_core::store::{StoreError, StoreErrorKind};
/// let error = StoreError::new(StoreErrorKind::Unavailable, "append to 3 rooms");
/// assert!(error.is_transient());
/// assert_eq!(error.to_string(), "append to 3 rooms: the store cannot be reached");
/// ```
pub struct Error<K> {
    kind: K,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Is what an error can be, seen by the code that has to go on after it.
pub trait ErrorKind: Copy + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Tells whether the same call may succeed later without anybody changing anything.
    fn is_transient(self) -> bool;
}

impl<K: ErrorKind> Error<K> {
    /// Makes an error; `context` says what was being done.
    pub fn new(kind: K, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// Adds the driver's error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> K {
        self.kind
    }

    /// Tells whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }
}

impl<K: ErrorKind> fmt::Display for Error<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.context, self.kind)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, " ({source})"))
    }
}

impl<K: ErrorKind> fmt::Debug for Error<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("context", &self.context)
            .field("source", &self.source)
            .finish()
    }
}

impl<K: ErrorKind> StdError for Error<K> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
