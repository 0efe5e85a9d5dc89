//! The socket of a client, with a time limit for writes and an orderly end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::Activity;
use super::socket::ClientSocket;

/// The longest time for which the relay reads from a client after the end of the last response. If it closed a socket with
/// unread bytes, the system would send a reset, and the client might lose the response.
const LINGER: Duration = Duration::from_secs(5);
/// The silence after which that time ends earlier.
const LINGER_IDLE: Duration = Duration::from_millis(500);

/// The socket of a client, below TLS if the listener has it.
///
/// A write fails if the client accepts no byte within the limit. The socket is reset instead of closed if the client would
/// otherwise take an incomplete response for a complete one, or if the client does not accept the rest.
#[derive(Debug)]
pub(super) struct TimedSocket {
    socket: ClientSocket,
    activity: Arc<Activity>,
    limit: Option<Duration>,
    /// The timer of a write that waits. Kept for the next one.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    /// The end of the time for reading after a shutdown, and the timer of the client's silence.
    linger: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl TimedSocket {
    pub(super) fn new(socket: ClientSocket, activity: Arc<Activity>, limit: Option<Duration>) -> Self {
        Self { socket, activity, limit, timer: None, is_waiting: false, linger: None }
    }

    /// Writes what the system accepts at once. No task is woken later.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }

    /// Reads and drops the bytes of a client until it has closed its side, at most for [`LINGER`] or a silence of
    /// [`LINGER_IDLE`].
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 8 * 1024];
        let now = Instant::now();
        let (end, silence) =
            self.linger.get_or_insert_with(|| (now + LINGER, Box::pin(sleep_until(now + LINGER_IDLE))));
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    silence.as_mut().reset((*end).min(now + LINGER_IDLE));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return silence.as_mut().poll(cx),
            }
        }
    }

    /// Applies the time limit to the result of one write.
    fn limit<T>(&mut self, write: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            if std::mem::take(&mut self.is_waiting) {
                self.activity.set_write_blocked(false);
            }
            return write;
        }
        let starts = !std::mem::replace(&mut self.is_waiting, true);
        self.activity.set_write_blocked(true);
        let Some(limit) = self.limit else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        if starts {
            timer.as_mut().reset(Instant::now() + limit);
        }
        ready!(timer.as_mut().poll(cx));
        self.activity.set_stalled();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TimedSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.limit(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.limit(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The socket has no buffer to flush.
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        if self.activity.is_unread() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for TimedSocket {
    fn drop(&mut self) {
        if self.activity.needs_reset()
            && let Err(error) = self.socket.reset_at_end()
        {
            tracing::debug!(%error, "cannot reset a connection");
        }
    }
}
