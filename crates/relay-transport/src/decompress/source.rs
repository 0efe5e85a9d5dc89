//! The encoded bytes that a decoder reads.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// The input that [`Pieces`] hands out at once, in bytes: about 50 of the smallest gzip members.
const PIECE: usize = 1024;

/// The encoded bytes, of which the first two can be read in advance.
pub(super) struct Source {
    /// The bytes that were read in advance and not consumed since.
    ahead: Bytes,
    rest: Pin<Box<dyn AsyncBufRead + Send>>,
}

impl Source {
    pub(super) fn new(encoded: impl AsyncBufRead + Send + 'static) -> Self {
        Self { ahead: Bytes::new(), rest: Box::pin(encoded) }
    }

    /// Returns the next two bytes without consuming them, or the only one, or none at the end.
    ///
    /// Every call but the last may have read a byte in advance; nothing may be consumed between these calls.
    pub(super) fn poll_next_two(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        while self.ahead.len() < 2 {
            let next = ready!(self.rest.as_mut().poll_fill_buf(cx))?;
            let count = next.len().min(2 - self.ahead.len());
            if count == 0 {
                break;
            }
            self.ahead = [&self.ahead, &next[..count]].concat().into();
            self.rest.as_mut().consume(count);
        }
        Poll::Ready(Ok(&self.ahead))
    }
}

impl AsyncBufRead for Source {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        match this.ahead.is_empty() {
            true => this.rest.as_mut().poll_fill_buf(cx),
            false => Poll::Ready(Ok(&this.ahead)),
        }
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let from_ahead = amount.min(self.ahead.len());
        self.ahead.advance(from_ahead);
        self.rest.as_mut().consume(amount - from_ahead);
    }
}

impl AsyncRead for Source {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        copy(self, cx, buffer)
    }
}

/// A complete body that is read piece by piece. Other tasks run after some pieces: many small gzip members or zstd frames
/// need time, although they hold no output.
pub(super) struct Pieces(pub(super) Bytes);

impl AsyncBufRead for Pieces {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
        let body = &self.get_mut().0;
        Poll::Ready(Ok(&body[..body.len().min(PIECE)]))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.0.advance(amount);
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        copy(self, cx, buffer)
    }
}

/// Reads by copying from the buffer of `source`, as [`AsyncBufRead`] requires of its supertrait.
fn copy<R: AsyncBufRead + ?Sized>(
    mut source: Pin<&mut R>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let next = ready!(source.as_mut().poll_fill_buf(cx))?;
    let length = next.len().min(buffer.remaining());
    buffer.put_slice(&next[..length]);
    source.consume(length);
    Poll::Ready(Ok(()))
}
