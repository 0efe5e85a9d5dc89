//! The frames that an HTTP/2 connection has received, as far as hyper and h2 do not report them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::limits::INTERIM_RESPONSES;

/// The length of a frame header (RFC 9113 section 4.1).
const HEADER: usize = 9;
/// The length of a frame header and the fixed part of a GOAWAY frame (RFC 9113 section 6.8).
const GOAWAY_HEADER: usize = HEADER + 8;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const GOAWAY: u8 = 0x7;
const END_STREAM: u8 = 0x1;
const HTTP_1_1_REQUIRED: u32 = 0xd;

/// The largest number of streams whose heads are counted. It is above the number of streams that the pool opens on one
/// connection. Beyond it, the oldest stream is no longer counted.
const STREAMS: usize = 256;

/// True once the peer has ended an HTTP/2 connection because it requires HTTP/1.1. Clones share the value.
#[derive(Debug, Clone, Default)]
pub(super) struct Http1Required(Arc<AtomicBool>);

impl Http1Required {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Reads the headers of the received frames.
///
/// - Counts the heads of each stream. h2 keeps informational responses (1xx) and hyper drops them, both without a limit.
/// - Finds a GOAWAY frame with HTTP_1_1_REQUIRED. h2 reports its reason only to streams above the last stream identifier.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The start of the frame that is being received.
    start: Vec<u8>,
    /// The bytes of its payload that are still to come, after `start`.
    rest: usize,
    /// The number of heads of each open stream without a body so far.
    heads: BTreeMap<u32, u32>,
    requires_http1: Http1Required,
}

impl Frames {
    pub(super) fn new(requires_http1: Http1Required) -> Self {
        Self { requires_http1, ..Self::default() }
    }

    /// Reads the next bytes, which may start and end anywhere in a frame.
    ///
    /// # Errors
    /// There are more than [`INTERIM_RESPONSES`] informational responses to one request.
    pub(super) fn observe(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            bytes = &bytes[skipped..];
            self.rest -= skipped;
            if self.rest == 0 && !bytes.is_empty() {
                let taken = (self.expected() - self.start.len()).min(bytes.len());
                self.start.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                self.read_start()?;
            }
        }
        Ok(())
    }

    /// Returns the length of the start of this frame that is read.
    fn expected(&self) -> usize {
        if self.start.len() >= HEADER && self.is_whole_goaway() { GOAWAY_HEADER } else { HEADER }
    }

    fn is_whole_goaway(&self) -> bool {
        self.start[3] == GOAWAY && length(&self.start) >= GOAWAY_HEADER - HEADER
    }

    fn read_start(&mut self) -> io::Result<()> {
        if self.start.len() < HEADER || self.start.len() < self.expected() {
            return Ok(());
        }
        self.rest = length(&self.start) - (self.start.len() - HEADER);
        let (kind, flags, stream) = (self.start[3], self.start[4], number(&self.start[5..9]));
        if let Some(code) = self.start.get(13..GOAWAY_HEADER)
            && number(code) == HTTP_1_1_REQUIRED
        {
            self.requires_http1.0.store(true, Ordering::Release);
        }
        self.start.clear();
        match kind {
            HEADERS if flags & END_STREAM == 0 => self.count_head(stream),
            DATA | HEADERS | RST_STREAM => {
                self.heads.remove(&stream);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count_head(&mut self, stream: u32) -> io::Result<()> {
        if self.heads.len() >= STREAMS && !self.heads.contains_key(&stream) {
            self.heads.pop_first();
        }
        let heads = self.heads.entry(stream).or_default();
        *heads += 1;
        // The last head is that of the response.
        if *heads > INTERIM_RESPONSES + 1 { Err(too_many_interim_responses()) } else { Ok(()) }
    }
}

pub(super) fn too_many_interim_responses() -> io::Error {
    let message = format!("more than {INTERIM_RESPONSES} informational responses (1xx) to one request");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Returns the length of the payload of a frame with this header.
fn length(header: &[u8]) -> usize {
    usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2])
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame =
            vec![0, (payload.len() >> 8) as u8, payload.len() as u8, kind, flags, 0, 0, 0, stream];
        frame.extend_from_slice(payload);
        frame
    }

    /// Observes `bytes` in pieces of every size up to 40 bytes. Returns the result, and if HTTP/1.1 is required.
    #[track_caller]
    fn observe(bytes: &[u8]) -> (bool, bool) {
        let results = (1..40).map(|size| {
            let required = Http1Required::default();
            let mut frames = Frames::new(required.clone());
            let result = bytes.chunks(size).try_for_each(|piece| frames.observe(piece));
            (result.is_ok(), required.get())
        });
        let results: Vec<_> = results.collect();
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results[0]
    }

    #[test]
    fn heads_are_counted_for_each_stream_until_its_body_or_its_end() {
        let interim = |stream, count: u32| frame(HEADERS, 4, stream, b"\x08\x03100").repeat(count as usize);
        assert!(observe(&interim(1, INTERIM_RESPONSES + 1)).0);
        assert!(!observe(&interim(1, INTERIM_RESPONSES + 2)).0);
        let both = [interim(1, INTERIM_RESPONSES), interim(3, INTERIM_RESPONSES)].concat();
        assert!(observe(&both).0);
        for end in [frame(DATA, 0, 1, b"x"), frame(HEADERS, 5, 1, b"x"), frame(RST_STREAM, 0, 1, &[0; 4])] {
            let twice = [interim(1, INTERIM_RESPONSES), end, interim(1, INTERIM_RESPONSES)].concat();
            assert!(observe(&twice).0);
        }
    }

    #[test]
    fn a_goaway_that_requires_http1_is_found_anywhere_in_the_bytes() {
        let goaway =
            |code, debug: &[u8]| frame(GOAWAY, 0, 0, &[&[0, 0, 0, 1, 0, 0, 0, code], debug].concat());
        let settings = frame(4, 0, 0, &[0; 12]);
        assert!(observe(&[settings.clone(), goaway(0xd, b"use HTTP/1.1"), settings.clone()].concat()).1);
        assert!(!observe(&[settings.clone(), goaway(0, b""), settings.clone()].concat()).1);
        // Too short, and within the payload of another frame.
        assert!(!observe(&[frame(GOAWAY, 0, 0, b"\0"), settings.clone()].concat()).1);
        assert!(!observe(&[frame(DATA, 0, 1, &goaway(0xd, b"")), settings].concat()).1);
    }
}
