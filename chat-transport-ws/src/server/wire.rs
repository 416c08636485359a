//! What the WebSocket library sees of a connection: it reads the socket, and writes into the outbox.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::outbox::SocketOutbox;

/// Bytes that make no message are forgotten after this: pongs of a silent client add up over days.
const WINDOW: Duration = Duration::from_mins(1);

pub(crate) struct Wire {
    outbox: Arc<SocketOutbox>,
    heard_at: Instant,
    /// Bytes since the last whole message. The library hides fragments, and an endless row of empty ones costs only
    /// time, ours: nothing else would end it.
    raw: usize,
    raw_max: usize,
    since: Instant,
}

impl Wire {
    /// Makes a wire of which `read` bytes have been read already.
    pub(crate) fn new(outbox: Arc<SocketOutbox>, read: usize, raw_max: usize) -> Self {
        let now = Instant::now();
        Self { outbox, heard_at: now, raw: read, raw_max, since: now }
    }

    pub(crate) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Counts the other side as heard while it is us who do not listen.
    pub(crate) fn excuse(&mut self) {
        self.heard_at = Instant::now();
    }

    pub(crate) fn whole_message(&mut self) {
        self.raw = 0;
    }

    pub(crate) fn is_flooded(&self) -> bool {
        self.raw > self.raw_max
    }

    fn count(&mut self, n: usize) {
        self.heard_at = Instant::now();
        if self.heard_at.duration_since(self.since) > WINDOW {
            (self.raw, self.since) = (0, self.heard_at);
        }
        self.raw += n;
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_flooded() {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let before = buf.filled().len();
        let read = self.outbox.io().poll_read(cx, buf);
        if read.is_ready() {
            self.count(buf.filled().len() - before);
        }
        read
    }
}

/// The library writes whole frames only, since all of them are always taken.
impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outbox.control(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
