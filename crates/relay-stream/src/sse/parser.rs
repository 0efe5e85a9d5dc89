//! The incremental parser: chunks in, blocks out.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::{Boundary, Fields, SseEvent, without_bom};

/// The default limit for the size of a block, in bytes. Every event of a Messages stream is far smaller. The
/// limit stops a sender that never ends its event.
const DEFAULT_LIMIT: usize = 16 << 20;

/// The largest capacity that the buffer keeps after a block, in bytes. A larger buffer is freed.
const KEPT_CAPACITY: usize = 64 << 10;

/// Splits a byte stream into the blocks between blank lines.
///
/// A block inside one chunk is a slice of that chunk. A block that spans several chunks is collected in a
/// buffer of at most the configured size. Every byte of the input is part of exactly one block or of
/// [`remaining`](Self::remaining).
///
/// A relay that drops the events of one name, and forwards every other byte:
/// ```
/// use bytes::Bytes;
/// use relay_stream::sse::SseParser;
///
/// let mut parser = SseParser::new();
/// let mut chunk = Bytes::from("event: odd\ndata: 1\n\n: comment\n\ndata: 2\r\n\r\n");
/// let mut out = Vec::new();
/// while let Some(block) = parser.parse(&mut chunk)? {
///     if block.event().is_none_or(|event| event.name != "odd") {
///         out.extend_from_slice(block.raw());
///     }
/// }
/// assert_eq!(out, b": comment\n\ndata: 2\r\n\r\n");
/// # Ok::<(), relay_stream::sse::SseError>(())
/// ```
#[derive(Debug)]
pub struct SseParser {
    limit: usize,
    boundary: Boundary,
    partial: BytesMut,
    /// True until the first block, which may start with a byte order mark.
    first: bool,
    failed: bool,
}

impl SseParser {
    /// Creates a parser at the start of a stream, for blocks of up to 16 MiB.
    pub fn new() -> Self {
        let boundary = Boundary::new();
        SseParser { limit: DEFAULT_LIMIT, boundary, partial: BytesMut::new(), first: true, failed: false }
    }

    /// Sets the largest size of a block in bytes, its blank line included. The default is 16 MiB.
    pub fn with_limit(self, limit: usize) -> Self {
        SseParser { limit, ..self }
    }

    /// Takes bytes from the front of `chunk` and returns the next complete block, or `None` if it needs more
    /// bytes.
    ///
    /// The caller calls again with the same chunk until the result is `None`. The chunk is then empty.
    /// Comments and extra blank lines are blocks as well, so that a relay can forward every byte: their
    /// [`SseBlock::event`] is `None`.
    /// # Errors
    /// [`SseError::TooLarge`] once a block is larger than the limit. The error is final: every later call
    /// returns it.
    /// # Source
    /// WHATWG HTML, "Interpreting an event stream".
    pub fn parse(&mut self, chunk: &mut Bytes) -> Result<Option<SseBlock>, SseError> {
        if self.failed {
            return Err(SseError::TooLarge { limit: self.limit });
        }
        if chunk.is_empty() {
            return Ok(None);
        }
        let end = self.boundary.find_end(chunk);
        let len = end.unwrap_or(chunk.len());
        if len > self.limit.saturating_sub(self.partial.len()) {
            self.failed = true;
            self.partial = BytesMut::new();
            return Err(SseError::TooLarge { limit: self.limit });
        }
        if end.is_some() && self.partial.is_empty() {
            return Ok(Some(self.block(chunk.split_to(len))));
        }
        self.partial.extend_from_slice(&chunk[..len]);
        chunk.advance(len);
        Ok(end.map(|_| {
            let raw = self.partial.split().freeze();
            if raw.len() > KEPT_CAPACITY {
                self.partial = BytesMut::new();
            }
            self.block(raw)
        }))
    }

    /// Returns the bytes of the incomplete block. The standard requires to drop them at the end of the
    /// stream.
    pub fn remaining(&self) -> &[u8] {
        &self.partial
    }

    fn block(&mut self, raw: Bytes) -> SseBlock {
        let first = std::mem::take(&mut self.first);
        SseBlock { raw, first }
    }
}

impl Default for SseParser {
    fn default() -> Self {
        Self::new()
    }
}

/// The bytes of one event or of comments, up to and including the blank line that ends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseBlock {
    raw: Bytes,
    /// True for the first block of a stream, which may start with a byte order mark.
    first: bool,
}

impl SseBlock {
    /// Returns the event in this block, or `None` if the block has no `data` field.
    pub fn event(&self) -> Option<SseEvent<'_>> {
        self.fields().into_event()
    }

    /// Returns the `id` field, also that of a block without data, which changes the last event ID as well. An
    /// `id` with a NUL is ignored.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        self.fields().id
    }

    /// Returns the `retry` field, also that of a block without data.
    pub fn retry(&self) -> Option<Duration> {
        self.fields().retry
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields::read(if self.first { without_bom(&self.raw) } else { &self.raw })
    }

    /// Returns the bytes as received.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Returns the bytes as received, without a copy.
    pub fn into_raw(self) -> Bytes {
        self.raw
    }
}

/// An error of the parser. The format itself has no invalid text, so the only error is a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// A block is larger than the limit.
    #[error("an event is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(parser: &mut SseParser, chunk: &'static str) -> Vec<SseBlock> {
        let mut chunk = Bytes::from_static(chunk.as_bytes());
        std::iter::from_fn(|| parser.parse(&mut chunk).unwrap()).collect()
    }

    #[test]
    fn a_block_inside_one_chunk_is_a_slice_of_that_chunk() {
        let chunk = Bytes::from(b"data: 1\n\ndata: 2\n\n".to_vec());
        let mut rest = chunk.clone();
        let mut parser = SseParser::new();
        let first = parser.parse(&mut rest).unwrap().unwrap();
        let second = parser.parse(&mut rest).unwrap().unwrap();
        assert_eq!(first.raw().as_ptr(), chunk.as_ptr());
        assert_eq!(second.raw().as_ptr(), chunk[9..].as_ptr());
        assert_eq!(parser.parse(&mut rest).unwrap(), None);
    }

    #[test]
    fn a_byte_order_mark_is_removed_only_at_the_start_of_the_stream() {
        let mut parser = SseParser::new();
        let found = blocks(&mut parser, "\u{feff}event: a\ndata: 1\n\n\u{feff}event: b\ndata: 2\n\n");
        let names: Vec<_> = found.iter().map(|block| block.event().unwrap().name).collect();
        assert_eq!(names, ["a", "message"]);
    }

    #[test]
    fn a_block_without_data_keeps_its_id_and_its_retry() {
        let found = blocks(&mut SseParser::new(), "\u{feff}id: 1\nid: a\0\nretry: 10\nretry: x\n\n:\n\n");
        assert_eq!(found[0].event(), None);
        assert_eq!(
            (found[0].id().as_deref(), found[0].retry()),
            (Some("1"), Some(Duration::from_millis(10)))
        );
        assert_eq!((found[1].id(), found[1].retry()), (None, None));
    }

    #[test]
    fn an_incomplete_block_is_no_event_and_stays_in_remaining() {
        let mut parser = SseParser::new();
        assert!(blocks(&mut parser, "data: 1\n").is_empty());
        assert_eq!(parser.remaining(), b"data: 1\n");
    }

    #[test]
    fn a_block_larger_than_the_limit_is_a_final_error() {
        let mut parser = SseParser::new().with_limit(9);
        assert_eq!(blocks(&mut parser, "data: 1\n\ndata: ").len(), 1);
        let mut long = Bytes::from_static(b"234\n");
        assert_eq!(parser.parse(&mut long).unwrap_err(), SseError::TooLarge { limit: 9 });
        let mut good = Bytes::from_static(b"data: 1\n\n");
        assert_eq!(parser.parse(&mut good).unwrap_err(), SseError::TooLarge { limit: 9 });
        assert!(parser.remaining().is_empty());
    }
}
