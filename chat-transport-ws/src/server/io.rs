//! The stream below: a bare TCP socket, which any task may try to write to, or something foreign such as TLS, which
//! only its connection's task touches.

use std::{
    fmt, io,
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

pub(crate) enum Io {
    Tcp(TcpStream),
    /// The lock is never waited for: one task uses it.
    Foreign(Mutex<Pin<Box<dyn Duplex>>>),
    /// Behaves like TCP, in a test that decides when there is room.
    #[cfg(test)]
    Fake(super::outbox::schedules::Socket),
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Foreign(_) => "Foreign",
            #[cfg(test)]
            Self::Fake(_) => "Fake",
        })
    }
}

impl Io {
    pub(crate) fn foreign(stream: impl Duplex + 'static) -> Self {
        Self::Foreign(Mutex::new(Box::pin(stream)))
    }

    /// Writes what the kernel takes at once; of a foreign stream nothing. For any task.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_write(bytes),
            Self::Foreign(_) => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(test)]
            Self::Fake(socket) => socket.try_write(bytes),
        }
    }

    /// Writes; for the connection's task only, as are all that follow.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => loop {
                match tcp.try_write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(tcp.poll_write_ready(cx))?,
                    done => return Poll::Ready(done),
                }
            },
            Self::Foreign(stream) => stream.lock().as_mut().poll_write(cx, bytes),
            #[cfg(test)]
            Self::Fake(socket) => socket.poll_take(cx, bytes),
        }
    }

    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Foreign(stream) => stream.lock().as_mut().poll_flush(cx),
            #[cfg(test)]
            Self::Fake(_) => Poll::Ready(Ok(())),
        }
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => loop {
                ready!(tcp.poll_read_ready(cx))?;
                match tcp.try_read(buf.initialize_unfilled()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                    Ok(n) => {
                        buf.advance(n);
                        return Poll::Ready(Ok(()));
                    }
                }
            },
            Self::Foreign(stream) => stream.lock().as_mut().poll_read(cx, buf),
            #[cfg(test)]
            Self::Fake(_) => Poll::Pending,
        }
    }

    /// Ends the way out; the way in stays open.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Poll::Ready(socket2::SockRef::from(tcp).shutdown(Shutdown::Write)),
            Self::Foreign(stream) => stream.lock().as_mut().poll_shutdown(cx),
            #[cfg(test)]
            Self::Fake(_) => Poll::Ready(Ok(())),
        }
    }
}
