//! From chunks to blocks.

use bytes::{Buf, Bytes, BytesMut};

use super::{Boundary, SseEvent, without_bom};

/// Bytes that one block may have by default: no event of a Messages stream comes near it, and a sender that never ends
/// its event is stopped before it hurts.
const DEFAULT_LIMIT: usize = 16 << 20;

/// A kept buffer larger than this is given back after its block.
const KEPT_CAPACITY: usize = 64 << 10;

/// Splits a byte stream into the blocks between blank lines.
///
/// A block that lies within one chunk is a slice of that chunk; one that does not is put together in a buffer of at
/// most the configured number of bytes. Every byte taken in comes out in exactly one block, or stays in
/// [`remaining`](Self::remaining).
#[derive(Debug)]
pub struct SseParser {
    limit: usize,
    boundary: Boundary,
    partial: BytesMut,
    /// No block has been returned yet: a byte order mark may come.
    first: bool,
    failed: bool,
}

impl SseParser {
    /// A parser at the start of a stream, for blocks of up to 16 MiB.
    pub fn new() -> Self {
        let boundary = Boundary::new();
        SseParser { limit: DEFAULT_LIMIT, boundary, partial: BytesMut::new(), first: true, failed: false }
    }

    /// Sets how many bytes one block may have, its blank line included.
    pub fn with_limit(self, limit: usize) -> Self {
        SseParser { limit, ..self }
    }

    /// Takes bytes from the front of `chunk` and returns the next complete block, or `None` when more are needed.
    ///
    /// Call again with the same chunk until `None`; the chunk is empty then. Blocks of comments and stray blank lines
    /// come out too, so that nothing is lost for who sends them on: [`SseBlock::event`] is `None` for these.
    /// # Errors
    /// [`SseError::TooLarge`] as soon as a block has more bytes than allowed; it is then final.
    /// # Source
    /// WHATWG HTML, "Interpreting an event stream". Nothing here limits the number or the data of events.
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

    /// The bytes of a block that has not ended. At the end of the stream the standard says to drop them.
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

/// The bytes of one event, or of comments, through the blank line that ends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseBlock {
    raw: Bytes,
    /// The first block of its stream: may begin with a byte order mark.
    first: bool,
}

impl SseBlock {
    /// The event in this block, or `None` if it has no `data` field.
    pub fn event(&self) -> Option<SseEvent<'_>> {
        SseEvent::from_block(if self.first { without_bom(&self.raw) } else { &self.raw })
    }

    /// The bytes as they came.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The bytes as they came, to send on.
    pub fn into_raw(self) -> Bytes {
        self.raw
    }
}

/// Why a byte stream cannot be read as server-sent events. The format itself has no invalid text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// A block did not end within the allowed number of bytes.
    #[error("an event is larger than {limit} bytes")]
    TooLarge {
        /// The number of bytes allowed.
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
    fn a_block_within_one_chunk_is_a_slice_of_it() {
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
    fn a_byte_order_mark_counts_at_the_start_only() {
        let mut parser = SseParser::new();
        let found = blocks(&mut parser, "\u{feff}event: a\ndata: 1\n\n\u{feff}event: b\ndata: 2\n\n");
        let names: Vec<_> = found.iter().map(|block| block.event().unwrap().name).collect();
        assert_eq!(names, ["a", "message"]);
    }

    #[test]
    fn an_unfinished_block_is_no_event_and_stays_readable() {
        let mut parser = SseParser::new();
        assert!(blocks(&mut parser, "data: 1\n").is_empty());
        assert_eq!(parser.remaining(), b"data: 1\n");
    }

    #[test]
    fn a_block_larger_than_the_limit_is_refused_for_good() {
        let mut parser = SseParser::new().with_limit(9);
        assert_eq!(blocks(&mut parser, "data: 1\n\ndata: ").len(), 1);
        let mut long = Bytes::from_static(b"234\n");
        assert_eq!(parser.parse(&mut long).unwrap_err(), SseError::TooLarge { limit: 9 });
        let mut good = Bytes::from_static(b"data: 1\n\n");
        assert_eq!(parser.parse(&mut good).unwrap_err(), SseError::TooLarge { limit: 9 });
        assert!(parser.remaining().is_empty());
    }
}
