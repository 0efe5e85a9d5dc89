//! HTTP/2 frames that the `h2` crate cannot send.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tls::Io;

/// The initial window in a SETTINGS frame that is replaced by a limit of streams.
pub(crate) const MARKED_WINDOW: u32 = 65_536;

/// The changes to the frames of all connections of an upstream. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rewrite(Arc<Values>);

#[derive(Debug, Default)]
struct Values {
    max_streams: AtomicU32,
    is_go_away_from_the_first: AtomicBool,
}

impl Rewrite {
    /// A SETTINGS frame with [`MARKED_WINDOW`] sets this `SETTINGS_MAX_CONCURRENT_STREAMS` instead.
    pub(crate) fn set_max_streams(&self, max: u32) {
        self.0.max_streams.store(max, Ordering::SeqCst);
    }

    /// Each GOAWAY frame has 0 as its last stream identifier.
    pub(crate) fn go_away_from_the_first(&self) {
        self.0.is_go_away_from_the_first.store(true, Ordering::SeqCst);
    }

    fn apply(&self, bytes: &mut [u8]) {
        const SETTINGS: [u8; 11] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4];
        const GO_AWAY: [u8; 6] = [7, 0, 0, 0, 0, 0];
        let window = MARKED_WINDOW.to_be_bytes();
        let is_settings = |bytes: &[u8]| bytes.starts_with(&SETTINGS) && bytes[11..].starts_with(&window);
        if let Some(at) = (0..bytes.len()).find(|&at| is_settings(&bytes[at..])) {
            let max = self.0.max_streams.load(Ordering::SeqCst);
            bytes[at + 10] = 3;
            bytes[at + 11..at + 15].copy_from_slice(&max.to_be_bytes());
        }
        if self.0.is_go_away_from_the_first.load(Ordering::SeqCst)
            && let Some(at) = bytes.windows(GO_AWAY.len()).position(|bytes| bytes == GO_AWAY)
            && let Some(last) = bytes.get_mut(at + 6..at + 10)
        {
            last.fill(0);
        }
    }
}

/// A connection that changes the frames that it sends.
#[derive(Debug)]
pub(crate) struct RewritingIo {
    io: Io,
    rewrite: Rewrite,
}

impl RewritingIo {
    pub(crate) fn new(io: Io, rewrite: Rewrite) -> Self {
        Self { io, rewrite }
    }
}

impl AsyncRead for RewritingIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for RewritingIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // The frames in question are short and written in one piece.
        if bytes.len() > 1024 {
            return Pin::new(&mut self.io).poll_write(cx, bytes);
        }
        let mut bytes = bytes.to_vec();
        self.rewrite.apply(&mut bytes);
        Pin::new(&mut self.io).poll_write(cx, &bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
