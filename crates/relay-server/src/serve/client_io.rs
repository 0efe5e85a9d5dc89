//! The bytes of a client connection, in which the answers that hyper makes itself get a body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::client_stream::ClientStream;
use super::refusal::Refusal;

/// The connection that hyper reads and writes. The answers that hyper makes itself to malformed bytes get a body.
#[derive(Debug)]
pub(super) struct ClientIo {
    stream: ClientStream,
    activity: Arc<Activity>,
    /// The answer that is being sent in the place of hyper's own.
    refusal: Option<Refusal>,
}

impl ClientIo {
    pub(super) fn new(stream: ClientStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity, refusal: None }
    }

    /// Writes `slices`, or the answer in their place.
    fn write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.refusal.is_none() {
            self.refusal = self.activity.refusal(slices);
        }
        let Some(refusal) = &mut self.refusal else {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        };
        while !refusal.bytes.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &refusal.bytes))?;
            refusal.bytes.advance(count);
        }
        let replaced = refusal.replaced;
        self.refusal = None;
        Poll::Ready(Ok(replaced))
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
        self.write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
