//! Reads a stream of server-sent events without delaying it.

use super::StreamReport;
use crate::sse::{Boundary, SseEvent, without_bom};
use crate::thinking::{EventThinking, Thinking};

/// The largest event that is read, in bytes. Events that carry facts have a few hundred bytes.
const EVENT_LIMIT: usize = 64 << 10;

/// Follows an SSE stream, cut anywhere, and updates a [`StreamReport`].
///
/// An event inside one chunk is read in place. An incomplete event at the end of a chunk is copied, up to 64
/// KiB, unless it is content or a ping. A larger event is not read.
/// ```
/// use relay_stream::watch::SseWatch;
///
/// let mut watch = SseWatch::new();
/// watch.observe(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
/// watch.finish();
/// assert!(watch.report().is_complete());
/// ```
#[derive(Debug)]
pub struct SseWatch {
    boundary: Boundary,
    cut: Cut,
    held: Vec<u8>,
    /// True until the first event has ended, which may start with a byte order mark.
    first: bool,
    thinking: Option<EventThinking>,
    report: StreamReport,
}

/// The handling of an event that continues in the next chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The bytes of the event are in `held`, which is empty between two events.
    Buffered,
    /// The event carries no facts or is too large.
    Skipped,
}

impl SseWatch {
    /// Creates a watch at the start of a stream.
    pub fn new() -> Self {
        SseWatch {
            boundary: Boundary::new(),
            cut: Cut::Buffered,
            held: Vec::new(),
            first: true,
            thinking: None,
            report: StreamReport::default(),
        }
    }

    /// Sets a sink for the thinking in the stream, before its first byte. Signatures are found in the same
    /// pass as the facts of the report. Deltas that cannot carry a signature are not searched.
    pub fn with_on_thinking(self, on_thinking: impl FnMut(Thinking) + Send + 'static) -> Self {
        SseWatch { thinking: Some(EventThinking::new(on_thinking)), ..self }
    }

    /// Reads the next bytes of the stream.
    #[inline]
    pub fn observe(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match self.boundary.find_end(rest) {
                Some(len) => {
                    let (end_of_event, after) = rest.split_at(len);
                    if let Some(thinking) = &mut self.thinking {
                        thinking.observe(end_of_event);
                        thinking.end_event();
                    }
                    self.end(end_of_event);
                    rest = after;
                }
                None => {
                    if let Some(thinking) = &mut self.thinking {
                        thinking.observe(rest);
                    }
                    self.hold(rest);
                    rest = &[];
                }
            }
        }
    }

    /// Returns the facts found up to now.
    pub fn report(&self) -> &StreamReport {
        &self.report
    }

    /// Returns `true` between two events and before the first one. An event can be inserted into the stream
    /// there.
    pub fn between_events(&self) -> bool {
        self.boundary.at_start()
    }

    /// Ends the observation at the regular end of the stream. Reports [`Thinking::Unsigned`] if there was
    /// thinking without any signature.
    pub fn finish(&mut self) {
        if let Some(thinking) = &mut self.thinking {
            thinking.finish();
        }
    }

    /// Returns the report.
    pub fn into_report(self) -> StreamReport {
        self.report
    }

    fn end(&mut self, end_of_event: &[u8]) {
        let first = std::mem::take(&mut self.first);
        match self.cut {
            Cut::Skipped => self.cut = Cut::Buffered,
            Cut::Buffered if self.held.is_empty() => read(&mut self.report, end_of_event, first),
            Cut::Buffered => {
                if self.keep(end_of_event) {
                    read(&mut self.report, &self.held, first);
                } else {
                    skim(&mut self.report, &self.held);
                }
                self.held.clear();
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.cut == Cut::Skipped {
            return;
        }
        if self.held.is_empty() && skim(&mut self.report, bytes) {
            return self.skip();
        }
        let fits = self.keep(bytes);
        if skim(&mut self.report, &self.held) || !fits {
            self.skip();
        }
    }

    fn skip(&mut self) {
        self.cut = Cut::Skipped;
        self.held = Vec::new();
    }

    /// Appends `bytes` to `held` up to the limit. Returns `false` if the limit is exceeded.
    fn keep(&mut self, bytes: &[u8]) -> bool {
        let room = EVENT_LIMIT.saturating_sub(self.held.len());
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        bytes.len() <= room
    }
}

impl Default for SseWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn read(report: &mut StreamReport, block: &[u8], first: bool) {
    let block = if first { without_bom(block) } else { block };
    if !skim(report, block)
        && block.len() <= EVENT_LIMIT
        && let Some(event) = SseEvent::from_block(block)
    {
        report.add(&event.data);
    }
}

/// Recognises content and pings by the first bytes of their block, and counts content. Returns `true` if the
/// rest of the block carries no facts.
#[inline]
fn skim(report: &mut StreamReport, block: &[u8]) -> bool {
    let block = block.strip_prefix(b"\n").unwrap_or(block);
    let Some(kind) = block.strip_prefix(b"event: content_block_") else {
        return block.starts_with(b"event: ping\n");
    };
    let is_delta = kind.starts_with(b"delta");
    let content = is_delta || kind.starts_with(b"stop");
    report.content |= content;
    report.deltas += u64::from(is_delta);
    content || kind.starts_with(b"start")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = concat!(
        ": hello\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\",",
        "\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: content_block_start\r\ndata: {\"type\":\"content_block_start\"}\r\n\r\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"usage\":{\"input_tokens\":99}}\n\n",
        "data: {\"type\":\"message_delta\",\ndata: \"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\r\r",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );

    fn report(chunks: &[&[u8]]) -> StreamReport {
        let mut watch = SseWatch::new();
        chunks.iter().for_each(|chunk| watch.observe(chunk));
        watch.into_report()
    }

    #[test]
    fn every_way_of_chunking_gives_the_same_report() {
        let whole = report(&[STREAM.as_bytes()]);
        assert_eq!((whole.usage.input_tokens, whole.usage.output_tokens), (Some(3), Some(5)));
        assert_eq!(whole.stop_reason.as_deref(), Some("end_turn"));
        assert!(whole.content && whole.message_stop && whole.deltas == 1);
        for cut in 0..STREAM.len() {
            let (a, b) = STREAM.as_bytes().split_at(cut);
            assert_eq!(report(&[a, b]), whole, "cut at {cut}");
        }
        let bytes: Vec<_> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(report(&bytes), whole);
    }

    #[test]
    fn an_event_larger_than_the_limit_is_not_read_even_in_one_chunk() {
        let filler = " ".repeat(EVENT_LIMIT);
        let large = format!("data: {{\"type\":\"message_stop\"}}{filler}\n\n");
        let after = "data: {\"type\":\"error\"}\n\n";
        for cut in [0, 5, 100, EVENT_LIMIT, large.len()] {
            let (a, b) = large.as_bytes().split_at(cut);
            let report = report(&[a, b, after.as_bytes()]);
            assert!(!report.message_stop && report.error.is_some(), "cut at {cut}");
        }
    }

    #[test]
    fn the_copy_of_an_incomplete_event_is_bounded_and_content_is_not_copied() {
        let mut watch = SseWatch::new();
        watch.observe(b"event: content_block_delta\ndata: {\"type\":\"content");
        assert_eq!(watch.held.capacity(), 0);
        watch.observe(b"\n\ndata: ");
        for _ in 0..100 {
            watch.observe(&[b'x'; 10_000]);
            assert!(watch.held.len() <= EVENT_LIMIT);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_watch_panic_or_depend_on_the_cut(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), any::<u8>()], 0..200),
            cut in 0_usize..200,
        ) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(report(&[a, b]), report(&[&bytes]));
        }
    }
}
