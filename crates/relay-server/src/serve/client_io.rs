//! The socket of a client, with a time limit for writes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::Activity;

/// The socket of a client.
///
/// A write fails if the client accepts no byte within the limit. The socket is reset instead of closed if the client would
/// otherwise take an incomplete response for a complete one, or if the client does not accept the rest.
#[derive(Debug)]
pub(super) struct ClientIo {
    stream: TcpStream,
    activity: Arc<Activity>,
    limit: Option<Duration>,
    /// The timer of a write that waits. Kept for the next one.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl ClientIo {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>, limit: Option<Duration>) -> Self {
        Self { stream, activity, limit, timer: None, is_waiting: false }
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
        std::task::ready!(timer.as_mut().poll(cx));
        self.activity.set_stalled();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.limit(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.limit(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket has no buffer to flush.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for ClientIo {
    fn drop(&mut self) {
        if self.activity.needs_reset()
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "cannot reset a connection");
        }
    }
}
