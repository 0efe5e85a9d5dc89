//! Reads the decoded bytes of a body, member by member.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::coding::ContentCoding;
use super::source::Source;

/// The gzip members or zstd frames that any body may have.
const MEMBERS: u64 = 1024;

/// A body with more gzip members or zstd frames than its decoded size explains. Each of them costs time, although it may
/// hold no output.
#[derive(Debug, thiserror::Error)]
#[error("too many gzip members or zstd frames for the decoded size")]
pub(super) struct TooManyMembers;

/// The decoded bytes of a body. It continues after the end of a gzip member or zstd frame.
pub(super) struct Reader {
    coding: ContentCoding,
    state: State,
    /// The members that have begun.
    members: u64,
    /// The bytes that have been decoded.
    decoded: u64,
    /// The decoded bytes for each member beyond [`MEMBERS`].
    bytes_per_member: u64,
}

enum State {
    /// Before the first byte of a member, or at the end.
    Between(Source),
    Within(Member),
    Ended,
}

/// The decoder of one member.
enum Member {
    Gzip(Box<GzipDecoder<Source>>),
    Zlib(Box<ZlibDecoder<Source>>),
    Deflate(Box<DeflateDecoder<Source>>),
    Brotli(Box<BrotliDecoder<Source>>),
    Zstd(Box<ZstdDecoder<Source>>),
}

impl Reader {
    /// Decodes `encoded`. Beyond 1024 members, it may have one for every `bytes_per_member` decoded bytes.
    pub(super) fn new(
        coding: ContentCoding,
        encoded: impl AsyncBufRead + Send + 'static,
        bytes_per_member: u64,
    ) -> Self {
        let state = State::Between(Source::new(encoded));
        Self { coding, state, members: 0, decoded: 0, bytes_per_member }
    }

    /// Begins the next member, if there is one. A body has at least one member, even if it has no bytes.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Between(source) = &mut self.state else { return Poll::Ready(Ok(())) };
        let next = ready!(source.poll_next_two(cx))?;
        let is_end = next.is_empty() && self.members > 0;
        let is_zlib = is_zlib(next);
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Between(source) if !is_end => State::Within(Member::new(self.coding, is_zlib, source)),
            _ => return Poll::Ready(Ok(())),
        };
        self.members += 1;
        if self.members > MEMBERS + self.decoded / self.bytes_per_member {
            self.state = State::Ended;
            return Poll::Ready(Err(io::Error::other(TooManyMembers)));
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the current member.
    fn end_member(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Within(Member::Gzip(member)) => State::Between(member.into_inner()),
            State::Within(Member::Zstd(member)) => State::Between(member.into_inner()),
            _ => State::Ended,
        };
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            ready!(this.poll_begin(cx))?;
            let State::Within(member) = &mut this.state else { break };
            ready!(member.poll_read(cx, buffer))?;
            let read = buffer.filled().len() - before;
            if read > 0 {
                this.decoded += read as u64;
                break;
            }
            this.end_member();
        }
        Poll::Ready(Ok(()))
    }
}

impl Member {
    fn new(coding: ContentCoding, is_zlib: bool, source: Source) -> Self {
        match coding {
            ContentCoding::Gzip => Self::Gzip(Box::new(GzipDecoder::new(source))),
            ContentCoding::Deflate if is_zlib => Self::Zlib(Box::new(ZlibDecoder::new(source))),
            ContentCoding::Deflate => Self::Deflate(Box::new(DeflateDecoder::new(source))),
            ContentCoding::Brotli => Self::Brotli(Box::new(BrotliDecoder::new(source))),
            ContentCoding::Zstd => Self::Zstd(Box::new(ZstdDecoder::new(source))),
        }
    }

    /// Reads decoded bytes, none at the end of the member.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Gzip(member) => Pin::new(member).poll_read(cx, buffer),
            Self::Zlib(member) => Pin::new(member).poll_read(cx, buffer),
            Self::Deflate(member) => Pin::new(member).poll_read(cx, buffer),
            Self::Brotli(member) => Pin::new(member).poll_read(cx, buffer),
            Self::Zstd(member) => Pin::new(member).poll_read(cx, buffer),
        }
    }
}

/// Returns `true` if a body that begins with these two bytes is in the zlib format, and not raw deflate.
///
/// RFC 9110 requires zlib for `deflate`, but many servers send raw deflate. Raw deflate does not begin like this: its first
/// block would be a stored one with padding bits that no encoder sets.
/// # Source
/// RFC 1950, section 2.2: compression method 8, a window of at most 32 KiB, and a multiple of 31.
fn is_zlib(next_two: &[u8]) -> bool {
    let &[method, flags] = next_two else { return false };
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}
