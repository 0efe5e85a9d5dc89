//! A connection that counts the bytes and the informational responses that it has received.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Frames, too_many_interim_responses};
use super::limits::INTERIM_RESPONSES;

/// The number of bytes that a connection has received, after TLS. Clones share the value.
#[derive(Debug, Clone, Default)]
pub(crate) struct BytesReceived(Arc<AtomicU64>);

impl BytesReceived {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The number of informational responses (1xx) to the current request of an HTTP/1.1 connection. Clones share the value.
///
/// hyper skips them in a loop that ends only when no more bytes are there. Without a limit, an upstream that sends them
/// without end holds a thread of the runtime.
#[derive(Debug, Clone, Default)]
pub(crate) struct InterimResponses(Arc<AtomicU32>);

impl InterimResponses {
    /// Starts the count of a new request.
    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns an error if there are more than [`INTERIM_RESPONSES`].
    fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            0..=INTERIM_RESPONSES => Ok(()),
            _ => Err(too_many_interim_responses()),
        }
    }
}

pin_project! {
    /// Adds every received byte to a counter. Fails if the upstream sends too many informational responses.
    pub(crate) struct CountedIo<T> {
        #[pin]
        inner: T,
        received: BytesReceived,
        interim: InterimResponses,
        // `None` for HTTP/1.1.
        frames: Option<Frames>,
    }
}

impl<T> CountedIo<T> {
    /// Creates a connection of HTTP/1.1.
    pub(crate) fn http1(inner: T, received: BytesReceived, interim: InterimResponses) -> Self {
        Self { inner, received, interim, frames: None }
    }

    /// Creates a connection of HTTP/2.
    pub(super) fn http2(inner: T, received: BytesReceived, frames: Frames) -> Self {
        Self { inner, received, interim: InterimResponses::default(), frames: Some(frames) }
    }
}

impl<T: AsyncRead> AsyncRead for CountedIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.interim.check()?;
        let before = buf.filled().len();
        ready!(this.inner.poll_read(cx, buf))?;
        let count = buf.filled().len() - before;
        this.received.0.fetch_add(count as u64, Ordering::Release);
        if let Some(frames) = this.frames {
            frames.observe(&buf.filled()[before..])?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite> AsyncWrite for CountedIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}
