//! Where a part of the engine comes from: a URL, or a ready-made one.

use std::{fmt, sync::Arc};

use chat_core::{Broker, Presence, Store, WorkQueue, store::FullStore};

use crate::url::Url;

/// Is a URL to open, or something that is open already.
///
/// Made of a `&str` or `String`, or of an `Arc` of anything that implements the port.
pub struct Source<P: ?Sized>(Inner<P>);

enum Inner<P: ?Sized> {
    Url(Url),
    Ready(Arc<P>),
}

impl<P: ?Sized> Source<P> {
    /// Returns what is ready, or opens it.
    pub(crate) async fn open<E>(self, open: impl AsyncFnOnce(&Url) -> Result<Arc<P>, E>) -> Result<Arc<P>, E> {
        match self.0 {
            Inner::Url(url) => open(&url).await,
            Inner::Ready(part) => Ok(part),
        }
    }
}

impl<P: ?Sized> From<&str> for Source<P> {
    fn from(url: &str) -> Self {
        Self(Inner::Url(Url::new(url)))
    }
}

impl<P: ?Sized> From<String> for Source<P> {
    fn from(url: String) -> Self {
        Self(Inner::Url(Url::new(url)))
    }
}

macro_rules! ready {
    ($($port:ident),+) => {$(
        impl From<Arc<dyn $port>> for Source<dyn $port> {
            fn from(part: Arc<dyn $port>) -> Self {
                Self(Inner::Ready(part))
            }
        }

        impl<T: $port + 'static> From<Arc<T>> for Source<dyn $port> {
            fn from(part: Arc<T>) -> Self {
                Self(Inner::Ready(part))
            }
        }
    )+};
}

ready!(Store, FullStore, Broker, Presence, WorkQueue);

impl<P: ?Sized> fmt::Debug for Source<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Url(url) => url.fmt(f),
            Inner::Ready(_) => f.write_str("ready-made"),
        }
    }
}
