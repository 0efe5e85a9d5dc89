//! The incremental normalizer: chunks in, whole events out.

use bytes::{Bytes, BytesMut};

use super::error::{Damage, DamagedEvent};
use super::kind::EventKind;
use super::repair::{write_foreign_error, write_renamed};
use super::rules::{Decision, UnknownEvents, decide};
use crate::edited::Edited;
use crate::json_valid::{Delta, is_utf8};
use crate::sse::{Boundary, SseEvent, field_value, without_bom};
use crate::thinking::{EventThinking, Thinking};
use crate::watch::StreamReport;

/// The size above which an incomplete event is forwarded as it arrives, if its start identifies it. Events of today's
/// upstreams are smaller, except the results of server tools and files.
const LARGE: usize = 256 << 10;

/// The lines of a delta up to its data, as the Messages API writes them.
const DELTA_NAME: &[u8] = b"event: content_block_delta\ndata: ";

/// The largest number of bytes of an incomplete event that are buffered.
const HELD_LIMIT: usize = 16 << 20;

/// Checks and repairs the events of a Messages stream, cut anywhere, and updates a [`StreamReport`]; see the
/// [module](super) for the rules.
///
/// Events inside one chunk are forwarded as a slice of the chunk. An incomplete event at the end of a chunk is buffered until
/// it is complete, so a client receives whole events only. Above 256 KiB, an event that its start identifies is forwarded as it
/// arrives, without validation; above 16 MiB, any other event is damaged.
/// ```
/// use bytes::Bytes;
/// use relay_stream::events::{Damage, EventNormalizer, UnknownEvents};
///
/// let mut events = EventNormalizer::new(UnknownEvents::Drop);
/// assert_eq!(events.push(Bytes::from("event: message_stop\ndata: {\"type\":")), "", "events are forwarded whole");
/// assert_eq!(events.push(Bytes::from("\"mess\n\n")), "");
/// assert_eq!(events.damaged().map(|event| event.damage()), Some(Damage::NotJson));
/// ```
#[derive(Debug)]
pub struct EventNormalizer {
    unknown: UnknownEvents,
    boundary: Boundary,
    /// The start of the current event.
    held: BytesMut,
    /// The size of `held` above which the event is identified by its start. It doubles with each attempt, so that the work
    /// stays linear.
    look_at: usize,
    rest: Rest,
    /// True if the last event was dropped. An LF that completes its line end is then dropped as well.
    dropped: bool,
    /// True until the first block, which may start with a byte order mark.
    first: bool,
    thinking: Option<EventThinking>,
    report: StreamReport,
    damaged: Option<DamagedEvent>,
}

/// The handling of the bytes up to the end of the current event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The event is buffered until it is complete.
    Hold,
    /// The start of a large event has been forwarded.
    Forward,
    /// The start of a large event has been dropped.
    Drop,
}

impl EventNormalizer {
    /// Creates a normalizer at the start of a stream.
    pub fn new(unknown: UnknownEvents) -> Self {
        EventNormalizer {
            unknown,
            boundary: Boundary::new(),
            held: BytesMut::new(),
            look_at: LARGE,
            rest: Rest::Hold,
            dropped: false,
            first: true,
            thinking: None,
            report: StreamReport::default(),
            damaged: None,
        }
    }

    /// Sets a sink for the thinking in the stream, before its first byte.
    pub fn set_on_thinking(&mut self, on_thinking: impl FnMut(Thinking) + Send + 'static) {
        self.thinking = Some(EventThinking::new(on_thinking));
    }

    /// Reads the next bytes and returns the bytes to forward. The result ends before the first damaged event, and is empty
    /// after it.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        let mut out = Edited::new(&chunk);
        let mut at = 0;
        if self.boundary.at_start() && self.boundary.take_lf(&chunk) {
            at = 1;
            if !self.dropped {
                out.keep(0, at);
            }
        }
        while at < chunk.len() && self.damaged.is_none() {
            if let Some(len) = self.delta(&chunk[at..]) {
                out.keep(at, at + len);
                at += len;
                continue;
            }
            let len = self.boundary.find_end(&chunk[at..]);
            let end = len.map_or(chunk.len(), |len| at + len);
            match (self.rest, len) {
                (Rest::Hold, Some(_)) => self.end_event(&chunk, at, end, &mut out),
                (Rest::Hold, None) => self.hold(&chunk[at..end], &mut out),
                (Rest::Forward, _) => {
                    self.observe_thinking(&chunk[at..end], len.is_some());
                    out.keep(at, end);
                }
                (Rest::Drop, _) => {}
            }
            if len.is_some() && self.rest != Rest::Hold {
                self.dropped = self.rest == Rest::Drop;
                self.rest = Rest::Hold;
            }
            at = end;
        }
        match out.into_parts() {
            (_, Some(edited)) => edited.freeze(),
            (same, None) if same == chunk.len() => chunk,
            (same, None) => chunk.slice(..same),
        }
    }

    /// Returns the facts found up to now.
    pub fn report(&self) -> &StreamReport {
        &self.report
    }

    /// Returns the damaged event that ended the stream.
    pub fn damaged(&self) -> Option<&DamagedEvent> {
        self.damaged.as_ref()
    }

    /// The number of bytes of an incomplete event that are held.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Returns `true` if an event can be inserted into the output. `false` only inside an event above 256 KiB.
    pub fn between_events(&self) -> bool {
        self.rest != Rest::Forward
    }

    /// Ends the stream at its regular end. An incomplete event is dropped, as the standard requires. Reports
    /// [`Thinking::Unsigned`] if there was thinking without any signature.
    pub fn finish(&mut self) {
        if let Some(thinking) = &mut self.thinking {
            thinking.finish();
        }
    }

    /// Reads the event with which `bytes` begins if it is a whole delta in the form in which the Messages API writes it. Returns
    /// its length. Nearly all events are: one scan finds their end and checks them, and they are forwarded unchanged.
    #[inline]
    fn delta(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.rest != Rest::Hold || !self.boundary.at_start() {
            return None;
        }
        let delta = Delta::read(bytes.strip_prefix(DELTA_NAME)?)?;
        let len = DELTA_NAME.len() + delta.len + 2;
        if bytes.get(len - 2..len) != Some(b"\n\n") || !(delta.is_ascii || is_utf8(delta.text)) {
            return None;
        }
        (self.boundary, self.first, self.dropped) = (Boundary::new(), false, false);
        if let Some(thinking) = &mut self.thinking
            && !thinking.observe_delta(delta)
        {
            self.observe_thinking(&bytes[..len], true);
        }
        self.report.add_delta(delta.output_bytes());
        Some(len)
    }

    /// Ends the current event with `chunk[at..end]`, and writes it or its replacement.
    fn end_event(&mut self, chunk: &[u8], at: usize, end: usize, out: &mut Edited<'_>) {
        if self.held.is_empty() {
            let at =
                if std::mem::take(&mut self.first) { end - without_bom(&chunk[at..end]).len() } else { at };
            if self.write(&chunk[at..end], true, out) {
                out.keep(at, end);
            }
            return;
        }
        self.held.extend_from_slice(&chunk[at..end]);
        let held = self.take_held();
        if self.write(&held, true, out) {
            out.insert(&held);
        }
    }

    /// Buffers `bytes`, the next part of the current event. If it is large and its start identifies it, writes it or drops it.
    fn hold(&mut self, bytes: &[u8], out: &mut Edited<'_>) {
        self.held.extend_from_slice(bytes);
        if self.held.len() <= self.look_at {
            return;
        }
        self.look_at *= 2;
        if self.held.len() <= HELD_LIMIT && !self.is_identified() {
            return;
        }
        let held = self.take_held();
        if self.write(&held, false, out) {
            out.insert(&held);
        }
        self.rest = if self.dropped { Rest::Drop } else { Rest::Forward };
    }

    /// Returns `true` if the buffered start of an event is sufficient for the decision about it.
    fn is_identified(&self) -> bool {
        let event = SseEvent::from_block(if self.first { without_bom(&self.held) } else { &self.held });
        let too_large = Decision::Damaged(Damage::TooLarge);
        event.is_some_and(|event| decide(&event, false, self.unknown) != too_large)
    }

    fn take_held(&mut self) -> Bytes {
        self.look_at = LARGE;
        let held = std::mem::take(&mut self.held).freeze();
        if std::mem::take(&mut self.first) { held.slice_ref(without_bom(&held)) } else { held }
    }

    /// Decides about `block`, an event or the start of a large one, and adds its facts to the report. Returns `true` if it is
    /// forwarded unchanged; otherwise its replacement has been written.
    fn write(&mut self, block: &[u8], is_whole: bool, out: &mut Edited<'_>) -> bool {
        self.dropped = false;
        let Some(event) = SseEvent::from_block(block) else {
            return self.write_without_data(block, is_whole, out);
        };
        let decision = decide(&event, is_whole, self.unknown);
        match decision {
            Decision::Forward(None) => {}
            Decision::Forward(Some(kind)) | Decision::Rename(kind) => {
                self.observe_thinking(block, is_whole);
                self.report.add_event(kind, &event.data);
            }
            Decision::ReportError => return self.write_error(&event.data, out),
            Decision::Drop => self.dropped = true,
            Decision::Damaged(damage) => self.damage(&event.name, damage),
        }
        if let Decision::Rename(kind) = decision {
            write_renamed(kind.name(), block, out.edit());
        }
        matches!(decision, Decision::Forward(_))
    }

    /// Decides about a block without a `data` field: comments, and names of events that need data.
    fn write_without_data(&mut self, block: &[u8], is_whole: bool, out: &mut Edited<'_>) -> bool {
        let name = String::from_utf8_lossy(field_value(block, b"event").unwrap_or_default());
        match EventKind::of(name.trim()) {
            None if name.is_empty() => true,
            Some(EventKind::Ping) => true,
            Some(EventKind::Error) => self.write_error(b"", out),
            Some(_) => {
                self.damage(&name, if is_whole { Damage::NotJson } else { Damage::TooLarge });
                false
            }
            None => {
                self.dropped = true;
                false
            }
        }
    }

    /// Writes an `error` event for `data`, an error in another form. The rest of the event is dropped.
    fn write_error(&mut self, data: &[u8], out: &mut Edited<'_>) -> bool {
        self.dropped = true;
        let mut event = BytesMut::new();
        write_foreign_error(data, &mut event);
        if let Some(event) = SseEvent::from_block(&event) {
            self.report.add_event(EventKind::Error, &event.data);
        }
        out.insert(&event);
        false
    }

    /// Ends the stream with a damaged event. After the end of the message, only drops the event.
    fn damage(&mut self, name: &str, damage: Damage) {
        self.dropped = true;
        if !self.report.is_complete() {
            self.damaged = Some(DamagedEvent::new(name, damage));
        }
    }

    fn observe_thinking(&mut self, bytes: &[u8], is_end: bool) {
        if let Some(thinking) = &mut self.thinking {
            thinking.observe(bytes);
            if is_end {
                thinking.end_event();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n";
    const DELTA: &str =
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0}\n\n";
    const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

    fn normalize(chunks: &[&[u8]]) -> (Vec<u8>, EventNormalizer) {
        let mut events = EventNormalizer::new(UnknownEvents::Drop);
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&events.push(Bytes::copy_from_slice(chunk)));
        }
        (out, events)
    }

    /// Compares the output for every way to cut `input` in two, and for single bytes. `damage` is that of the event that ends
    /// the stream.
    #[track_caller]
    fn check(input: &str, expected: &str, damage: Option<Damage>) {
        let single: Vec<_> = input.as_bytes().chunks(1).collect();
        let halves = (0..=input.len()).map(|cut| input.as_bytes().split_at(cut));
        for chunks in halves.map(|(a, b)| vec![a, b]).chain([single]) {
            let (out, events) = normalize(&chunks);
            assert_eq!(String::from_utf8_lossy(&out), expected, "cut at {}", chunks[0].len());
            assert_eq!(events.damaged().map(DamagedEvent::damage), damage);
        }
    }

    #[test]
    fn well_formed_events_are_unchanged_with_every_line_end() {
        let comment = ": keep-alive\n\n";
        for stream in [[START, comment, DELTA, "\n", STOP].concat(), [comment, START].concat(), String::new()]
        {
            check(&stream, &stream, None);
            check(&stream.replace('\n', "\r\n"), &stream.replace('\n', "\r\n"), None);
            check(&stream.replace('\n', "\r"), &stream.replace('\n', "\r"), None);
        }
    }

    #[test]
    fn names_are_added_and_foreign_events_are_dropped() {
        let nameless = |event: &str| event.split_once('\n').unwrap().1.to_owned();
        for end in ["\n", "\r\n", "\r"] {
            let input = [&nameless(START), "event: done\ndata: 1\n\n", &nameless(STOP), "data: [DONE]\n\n"];
            let input = input.concat().replace('\n', end);
            let expected = |event: &str| {
                let (name, rest) = event.split_once('\n').unwrap();
                format!("{name}\n{}", rest.replace('\n', end))
            };
            check(&input, &[expected(START), expected(STOP)].concat(), None);
        }
        check(&format!("\u{feff}{}", nameless(STOP)), STOP, None);
        check(&format!("\u{feff}{STOP}"), STOP, None);
    }

    #[test]
    fn facts_are_read_on_the_way() {
        let (_, events) =
            normalize(&[START.as_bytes(), DELTA.as_bytes(), &DELTA.as_bytes()[27..], STOP.as_bytes()]);
        let report = events.report();
        assert_eq!((report.usage.input_tokens, report.deltas), (Some(3), 2));
        assert!(report.content && report.message_stop);
    }

    #[test]
    fn a_damaged_event_ends_the_stream_before_it() {
        for (event, damage) in [
            ("event: message_stop\ndata: {\"type\":\n\n", Damage::NotJson),
            ("event: message_stop\n\n", Damage::NotJson),
            ("data: 1\n\n", Damage::NotAnObject),
            ("event: message_stop\ndata: {}\n\n", Damage::NoType),
            ("event: message_stop\ndata: {\"type\":\"ping\"}\n\n", Damage::OtherType),
        ] {
            check(&[START, event, STOP].concat(), START, Some(damage));
            check(&[STOP, event, STOP].concat(), &[STOP, STOP].concat(), None);
        }
    }

    #[test]
    fn an_event_that_is_cut_by_the_end_of_the_stream_is_dropped() {
        check(&[START, &STOP[..STOP.len() - 1]].concat(), START, None);
        check("data: {\"type\":\"message_st", "", None);
    }

    #[test]
    fn an_error_in_another_form_is_translated_and_completes_the_stream() {
        let expected = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"busy\"}}\n\n";
        for event in ["event: error\ndata: busy\n\n", "data: {\"error\":{\"message\":\"busy\"}}\r\n\r\n"] {
            check(&[START, event].concat(), &[START, expected].concat(), None);
            assert!(normalize(&[event.as_bytes()]).1.report().is_complete());
        }
    }

    #[test]
    fn a_large_event_is_forwarded_as_it_arrives() {
        let padding = "x".repeat(LARGE);
        let rest = ["\"type\":\"content_block_delta\",\"text\":\"", &padding, "\"}\n\n"].concat();
        let named = ["event: content_block_delta\ndata: {", &rest].concat();
        for cut in [1, 100, LARGE, named.len() - 1] {
            let (a, b) = named.as_bytes().split_at(cut);
            let (out, events) = normalize(&[a, b, STOP.as_bytes()]);
            assert_eq!(out, [named.as_bytes(), STOP.as_bytes()].concat());
            assert!(events.between_events() && events.report().deltas == 1);
            let nameless = ["data: {", &rest].concat();
            let (a, b) = nameless.as_bytes().split_at(cut.min(nameless.len() - 1));
            assert_eq!(normalize(&[a, b]).0, named.as_bytes());
            let foreign = named.replace("content_block_delta", "odd");
            let (a, b) = foreign.as_bytes().split_at(cut.min(foreign.len() - 1));
            assert_eq!(normalize(&[a, b, STOP.as_bytes()]).0, STOP.as_bytes());
        }
    }

    #[test]
    fn a_large_event_that_its_end_identifies_is_buffered_up_to_the_limit() {
        let padding = "x".repeat(LARGE);
        let rest =
            ["data: {\"delta\":\"", &padding, &padding, "\",\"type\":\"content_block_delta\"}\n\n"].concat();
        let chunks: Vec<_> = rest.as_bytes().chunks(LARGE / 3).collect();
        let (out, events) = normalize(&chunks);
        assert_eq!(out, ["event: content_block_delta\n", &rest].concat().as_bytes());
        assert_eq!(events.report().deltas, 1);

        let mut events = EventNormalizer::new(UnknownEvents::Drop);
        assert_eq!(events.push(Bytes::from_static(b"data: {\"a\":\"")), "");
        let chunk = Bytes::from("x".repeat(1 << 20));
        for _ in 0..17 {
            assert_eq!(events.push(chunk.clone()), "");
            assert!(events.held.len() <= HELD_LIMIT + chunk.len());
        }
        assert!(events.damaged().is_some_and(|event| event.damage() == Damage::TooLarge));
    }

    #[test]
    fn whole_events_in_one_chunk_are_not_copied() {
        let mut events = EventNormalizer::new(UnknownEvents::Drop);
        let chunk = Bytes::from([START, DELTA, &STOP[..10]].concat());
        let out = events.push(chunk.clone());
        assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), START.len() + DELTA.len()));
    }

    /// Returns the output for `stream` in one chunk, and the thinking in it.
    fn normalize_with_thinking(stream: &str) -> (Vec<u8>, Vec<Thinking>, StreamReport) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut events = EventNormalizer::new(UnknownEvents::Drop);
        events.set_on_thinking(move |thinking| sender.send(thinking).unwrap());
        let out = events.push(Bytes::copy_from_slice(stream.as_bytes())).to_vec();
        events.finish();
        let report = events.report().clone();
        drop(events);
        (out, receiver.iter().collect(), report)
    }

    #[test]
    fn a_delta_in_the_usual_form_is_treated_like_any_other() {
        let delta = |delta: &str| {
            format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":{delta}}}}}\n\n"
            )
        };
        let kinds = [
            ("text_delta", "text"),
            ("thinking_delta", "thinking"),
            ("input_json_delta", "partial_json"),
            ("signature_delta", "signature"),
        ];
        let texts = [
            "",
            "word",
            "thinking",
            "signature",
            "data",
            "redacted_thinking",
            "a\\/b\\\\",
            "\u{e9}",
            "\\x",
            "\t",
        ];
        let redacted =
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"data\":\"c2ln\"}\n\n";
        for (kind, member) in kinds {
            for text in texts {
                let usual = delta(&format!("\"{kind}\",\"{member}\":\"{text}\""));
                for stream in [format!("{usual}{redacted}"), format!("{START}{usual}{usual}{STOP}")] {
                    // A space after the data changes nothing but the form.
                    let other = stream.replace("}}\n\nevent", "}} \n\nevent");
                    let (found, expected) =
                        (normalize_with_thinking(&stream), normalize_with_thinking(&other));
                    assert_eq!(
                        found.0,
                        String::from_utf8(expected.0).unwrap().replace("}} \n", "}}\n").into_bytes()
                    );
                    assert_eq!((found.1, found.2), (expected.1, expected.2), "{stream}");
                }
            }
        }
        let invalid = delta(r#""text_delta","text":"a#""#).into_bytes();
        let invalid: Vec<_> =
            invalid.into_iter().map(|byte| if byte == b'#' { 0xff } else { byte }).collect();
        assert!(normalize(&[&invalid]).1.damaged().is_some());
    }

    proptest! {
        #[test]
        fn every_way_of_chunking_deltas_gives_the_same_events(
            parts in proptest::collection::vec(prop::sample::select(vec![
                "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"",
                "word", "\\n", "\"}}\n\n", "\"}}\r\n\r\n", "\"}}\r", "\n", "\r", "\"}} \n\n", "event: ping\ndata: {}\n\n",
            ]), 0..25),
            cut in 0_usize..1000,
        ) {
            let stream = parts.concat();
            let (a, b) = stream.as_bytes().split_at(cut.min(stream.len()));
            let single: Vec<_> = stream.as_bytes().chunks(1).collect();
            let (whole, cut, single) = (normalize(&[stream.as_bytes()]), normalize(&[a, b]), normalize(&single));
            prop_assert_eq!(&whole.0, &cut.0);
            prop_assert_eq!(&whole.0, &single.0);
            prop_assert_eq!(whole.1.report(), cut.1.report());
            prop_assert_eq!(whole.1.report(), single.1.report());
            prop_assert_eq!(whole.1.damaged(), single.1.damaged());
        }

        #[test]
        fn every_way_of_chunking_gives_the_same_events(
            parts in proptest::collection::vec(prop::sample::select(vec![
                "event: ", "message_stop", "odd", "\n", "\r", "\n\n", "data: ", "{\"type\":\"message_stop\"}", "{}", ":", "\u{feff}",
            ]), 0..25),
            cut in 0_usize..200,
        ) {
            let stream = parts.concat();
            let (a, b) = stream.as_bytes().split_at(cut.min(stream.len()));
            let (whole, cut) = (normalize(&[stream.as_bytes()]), normalize(&[a, b]));
            prop_assert_eq!(whole.0, cut.0);
            prop_assert_eq!(whole.1.damaged(), cut.1.damaged());
        }
    }
}
