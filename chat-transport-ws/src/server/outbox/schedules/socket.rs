//! A socket whose kernel has room when a schedule says so.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use shuttle::rand::{Rng, thread_rng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Clone, Default)]
pub(crate) struct Socket {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// So many bytes are taken at once.
    room: usize,
    /// What left, in order.
    taken: Vec<u8>,
    /// What a foreign stream holds back until it is flushed.
    held: Vec<u8>,
    is_lost: bool,
    writer: Option<Waker>,
}

impl State {
    /// Takes a random part of the bytes, as far as there is room.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        match self.room.min(bytes.len()) {
            _ if self.is_lost => Err(io::ErrorKind::BrokenPipe.into()),
            0 => Err(io::ErrorKind::WouldBlock.into()),
            most => {
                let n = thread_rng().gen_range(1..=most);
                self.room -= n;
                Ok(&bytes[..n])
            }
        }
    }

    fn poll_take<'a>(&mut self, cx: &Context<'_>, bytes: &'a [u8]) -> Poll<io::Result<&'a [u8]>> {
        match self.take(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }
}

impl Socket {
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let taken = state.take(bytes)?;
        state.taken.extend(taken);
        Ok(taken.len())
    }

    pub(crate) fn poll_take(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        state.poll_take(cx, bytes).map_ok(|taken| {
            state.taken.extend(taken);
            taken.len()
        })
    }

    /// Makes room, as a client does that reads.
    pub(super) fn read(&self, bytes: usize) {
        self.change(|state| state.room += bytes);
    }

    /// Cuts the connection.
    pub(super) fn lose(&self) {
        self.change(|state| state.is_lost = true);
    }

    pub(super) fn taken(&self) -> Vec<u8> {
        self.state.lock().taken.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let writer = state.writer.take();
        drop(state); // a waker lets others go on
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

/// As a foreign stream it is like TLS: what was written leaves when it is flushed.
impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        state.poll_take(cx, bytes).map_ok(|taken| {
            state.held.extend(taken);
            taken.len()
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        let held = std::mem::take(&mut state.held);
        state.taken.extend(held);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}
