//! Removes events that the Messages API does not have.
//!
//! ```text
//! bytes ─push─▶ EventFilter ─▶ the same bytes without the events of one name
//! any chunks
//! ```
//!
//! ```
//! use bytes::Bytes;
//! use relay_stream::EventFilter;
//!
//! let mut filter = EventFilter::new("vertex_event");
//! let chunk = Bytes::from("event: ping\ndata: {}\n\nevent: vertex_event\ndata: {\"usa");
//! assert_eq!(filter.push(chunk), "event: ping\ndata: {}\n\n");
//! assert_eq!(filter.push(Bytes::from("ge\":{}}\n\nevent: ping\n")), "event: ping\n");
//! ```

use bytes::{Bytes, BytesMut};

use crate::edited::Edited;
use crate::sse::Boundary;

/// Drops the events of one name from an SSE stream. Every other byte is unchanged.
///
/// An event is recognised by its first line, which must be `event: ` and the name. Only bytes that may be the
/// start of that line are withheld, and only their number is kept.
#[derive(Debug)]
pub struct EventFilter {
    /// The first line of the events to drop.
    line: Vec<u8>,
    boundary: Boundary,
    state: State,
    /// True if the last event was dropped. An LF that completes its line end is then dropped as well.
    dropped: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// All bytes of the event up to now are those at the start of `line`. They are withheld; the value is
    /// their number.
    Start(usize),
    Pass,
    Drop,
}

impl EventFilter {
    /// Creates a filter at the start of a stream that drops the events called `name`.
    pub fn new(name: &str) -> Self {
        let line = format!("event: {name}").into_bytes();
        EventFilter { line, boundary: Boundary::new(), state: State::Start(0), dropped: false }
    }

    /// Reads the next bytes and returns the bytes to forward. If these are all of `chunk`, it returns `chunk`
    /// itself.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        let mut out = Edited::new(&chunk);
        let mut at = 0;
        if self.boundary.at_start() && self.boundary.take_lf(&chunk) {
            at = 1;
            if !self.dropped {
                out.keep(0, at);
            }
        }
        while at < chunk.len() {
            let len = self.boundary.find_end(&chunk[at..]);
            let end = len.map_or(chunk.len(), |len| at + len);
            let held = match self.state {
                State::Start(held) => held,
                State::Pass | State::Drop => 0,
            };
            self.state = self.decide(&chunk[at..end]);
            if matches!(self.state, State::Pass) {
                out.insert(&self.line[..held]);
                out.keep(at, end);
            }
            if len.is_some() {
                self.dropped = matches!(self.state, State::Drop);
                self.state = State::Start(0);
            }
            at = end;
        }
        let (same, edited) = out.into_parts();
        edited.map_or_else(|| chunk.slice(..same), BytesMut::freeze)
    }

    /// Returns the withheld bytes at the end or failure of the stream.
    pub fn finish(&mut self) -> Bytes {
        match std::mem::replace(&mut self.state, State::Pass) {
            State::Start(held) => Bytes::copy_from_slice(&self.line[..held]),
            State::Pass | State::Drop => Bytes::new(),
        }
    }

    /// Returns `true` while bytes are withheld.
    pub fn is_holding(&self) -> bool {
        matches!(self.state, State::Start(1..))
    }

    /// Returns the state of an event after its next bytes.
    fn decide(&self, bytes: &[u8]) -> State {
        let State::Start(held) = self.state else { return self.state };
        let same = bytes.iter().zip(&self.line[held..]).take_while(|(a, b)| a == b).count();
        match bytes.get(same) {
            None => State::Start(held + same),
            Some(b'\n' | b'\r') if held + same == self.line.len() => State::Drop,
            Some(_) => State::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(chunks: &[&[u8]]) -> Vec<u8> {
        let mut filter = EventFilter::new("odd");
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&filter.push(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&filter.finish());
        out
    }

    #[track_caller]
    fn check(input: &str, expected: &str) {
        for cut in 0..=input.len() {
            let (a, b) = input.as_bytes().split_at(cut);
            assert_eq!(String::from_utf8_lossy(&filter(&[a, b])), expected, "cut at {cut}");
        }
        let bytes: Vec<_> = input.as_bytes().chunks(1).collect();
        assert_eq!(String::from_utf8_lossy(&filter(&bytes)), expected);
    }

    #[test]
    fn events_of_the_name_are_dropped_and_every_other_byte_is_kept() {
        check(
            "event: a\ndata: 1\n\nevent: odd\ndata: 2\n\nevent: b\ndata: 3\n\n",
            "event: a\ndata: 1\n\nevent: b\ndata: 3\n\n",
        );
        check("event: odd\r\ndata: 2\r\n\r\ndata: 3\r\n\r\n", "data: 3\r\n\r\n");
        check(
            "data: 1\r\n\r\nevent: odd\r\ndata: 2\r\n\r\ndata: 3\r\n\r\n",
            "data: 1\r\n\r\ndata: 3\r\n\r\n",
        );
        check("event: odd\rdata: 2\r\rdata: 3\r\r", "data: 3\r\r");
        check("event: odd\ndata: 2\n\nevent: odd\ndata: 2\n\n", "");
        check("event: odder\ndata: 1\n\n", "event: odder\ndata: 1\n\n");
        check("data: event: odd\n\n: event: odd\n\n", "data: event: odd\n\n: event: odd\n\n");
        check("event: o", "event: o");
        check("event: odd", "event: odd");
        check("event: odd\ndata: cut", "");
        check("", "");
    }

    #[test]
    fn a_chunk_without_such_an_event_is_forwarded_without_a_copy() {
        let mut filter = EventFilter::new("odd");
        for chunk in ["event: a\ndata: 1\n\n", "data: 2", "\n\nev"] {
            let chunk = Bytes::from(chunk.as_bytes().to_vec());
            assert_eq!(filter.push(chunk.clone()).as_ptr(), chunk.as_ptr());
        }
        assert_eq!(filter.push(Bytes::from_static(b"ent: a\n")), "event: a\n");
    }

    proptest! {
        #[test]
        fn every_way_of_chunking_gives_the_same_bytes(
            parts in proptest::collection::vec(prop::sample::select(vec!["event: ", "odd", "a", "\n", "\n\n", "data: 1\n"]), 0..20),
            cut in 0_usize..100,
        ) {
            let stream = parts.concat();
            let (a, b) = stream.as_bytes().split_at(cut.min(stream.len()));
            prop_assert_eq!(filter(&[a, b]), filter(&[stream.as_bytes()]));
        }
    }
}
