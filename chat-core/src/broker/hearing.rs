//! The buffer between what an adapter hears and the engine.

use std::{collections::VecDeque, fmt, sync::Arc};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Heard;

/// Payloads kept for one node that does not listen up: a second at a thousand messages a second. A node further
/// behind is quicker with one look at the log.
const HEARD_MAX: usize = 1_024;

/// Keeps what a node hears until the engine takes it: up to 1,024 payloads. Beyond that they are dropped, and the place
/// where they are missing is marked with [`Heard::Interrupted`]. For adapters; cheap to clone.
///
/// ```
/// use chat_core::broker::{Heard, Hearing};
/// use futures::StreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let hearing = Hearing::default();
/// let mut heard = hearing.stream(());
/// hearing.hear(Heard::Interrupted);
/// assert_eq!(heard.next().await, Some(Heard::Interrupted));
/// hearing.close();
/// assert_eq!(heard.next().await, None);
/// # });
/// ```
#[derive(Clone, Default)]
pub struct Hearing(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    heard: VecDeque<Heard>,
    closed: bool,
}

impl Hearing {
    /// Keeps something, or marks the place where it is missing: once, behind what is kept. Never waits.
    pub fn hear(&self, item: Heard) {
        let mut inner = self.0.inner.lock();
        let fits = inner.heard.len() < HEARD_MAX && item != Heard::Interrupted;
        if inner.closed {
            return;
        } else if fits {
            inner.heard.push_back(item);
        } else if inner.heard.back() != Some(&Heard::Interrupted) {
            inner.heard.push_back(Heard::Interrupted);
        }
        drop(inner);
        self.0.changed.notify_one();
    }

    /// Ends the stream; what is kept is forgotten.
    pub fn close(&self) {
        *self.0.inner.lock() = Inner { closed: true, ..Inner::default() };
        self.0.changed.notify_one();
    }

    /// Tells whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.0.inner.lock().closed
    }

    /// Returns what is heard, for the one who listens. With the stream goes `with`, which may give up in its drop what
    /// nobody listens to any more; the buffer itself is closed by then.
    pub fn stream<T: Send + 'static>(&self, with: T) -> BoxStream<'static, Heard> {
        let ear = Ear { hearing: self.clone(), _with: with };
        stream::unfold(ear, |ear| async move { ear.hearing.next().await.map(|heard| (heard, ear)) }).boxed()
    }

    async fn next(&self) -> Option<Heard> {
        loop {
            {
                let mut inner = self.0.inner.lock();
                if inner.closed {
                    return None;
                }
                if let Some(heard) = inner.heard.pop_front() {
                    return Some(heard);
                }
            }
            self.0.changed.notified().await;
        }
    }
}

impl fmt::Debug for Hearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearing").field("waiting", &self.0.inner.lock().heard.len()).finish()
    }
}

/// Closes the buffer when nobody hears any more, so that nothing is kept for nobody.
struct Ear<T> {
    hearing: Hearing,
    _with: T,
}

impl<T> Drop for Ear<T> {
    fn drop(&mut self) {
        self.hearing.close();
    }
}
