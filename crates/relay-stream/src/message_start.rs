//! What `message_start` says: its model name, and what an upstream leaves out of it.
//!
//! ```
//! use bytes::Bytes;
//! use relay_stream::MessageStartEditor;
//!
//! let mut rewriter = MessageStartEditor::rename("claude-sonnet-4-5");
//! let event = Bytes::from("data: {\"type\":\"message_start\", \"message\": {\"id\":\"m\", \"model\":\"glm-5.3\"}}\n\n");
//! let out = rewriter.push(event);
//! assert!(out.ends_with(b"\"message\": {\"id\":\"m\", \"model\":\"claude-sonnet-4-5\"}}\n\n"));
//! let event = Bytes::from("data: {\"type\":\"content_block_delta\"");
//! assert_eq!(rewriter.push(event.clone()), event, "from here on every byte passes at once");
//! ```

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::json;
use crate::sse::{Boundary, SseEvent, data_lines, without_bom};

/// Bytes of the stream's start that are held back at most while its `message_start` is incomplete.
const HELD_LIMIT: usize = 64 << 10;

/// Edits the first `message_start` of an SSE stream: replaces the value of `message.model`, or adds what Anthropic's has
/// and this one has not. Every other byte passes as it came.
///
/// Only an event that a chunk cuts off before the end of `message_start` is held back, until the rest of it comes or
/// 64 KiB are held; then, and after the first `message_start`, every byte passes at once and unread. A stream whose
/// first message event is another one, or whose `message_start` has no model, passes unchanged.
#[derive(Debug)]
pub struct MessageStartEditor {
    /// What is still to be done.
    task: Option<Task>,
    boundary: Boundary,
    held: BytesMut,
    /// No block has ended yet: a byte order mark may come.
    first: bool,
}

#[derive(Debug)]
enum Task {
    /// Give the model this name, a JSON string.
    Rename(String),
    /// Add the members that are missing.
    Complete,
}

/// What a message has at its start, and the value of what an upstream leaves out.
const MEMBERS: [(&str, &str); 4] = [
    ("content", "[]"),
    ("stop_reason", "null"),
    ("stop_sequence", "null"),
    ("usage", "{\"input_tokens\":0,\"output_tokens\":0}"),
];

impl MessageStartEditor {
    /// An editor at the start of a stream that puts `model` in the place of the model's name.
    pub fn rename(model: &str) -> Self {
        Self::new(Task::Rename(json::quote(model)))
    }

    /// An editor at the start of a stream that adds `content`, `stop_reason`, `stop_sequence` and `usage` where they are
    /// missing: empty, `null` and zero, as in a `message_start` of Anthropic's.
    pub fn complete() -> Self {
        Self::new(Task::Complete)
    }

    fn new(task: Task) -> Self {
        MessageStartEditor { task: Some(task), boundary: Boundary::new(), held: BytesMut::new(), first: true }
    }

    /// Takes in the next bytes and returns those that may go on; empty if all of them have to wait.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        let Some(task) = &self.task else { return chunk };
        let seen = self.held.len();
        let (all, mut end) = if seen == 0 {
            let end = self.boundary.find_end(&chunk);
            (chunk, end)
        } else {
            self.held.extend_from_slice(&chunk);
            let end = self.boundary.find_end(&self.held[seen..]).map(|len| seen + len);
            if end.is_none() && self.held.len() <= HELD_LIMIT {
                return Bytes::new();
            }
            (self.held.split().freeze(), end)
        };
        let mut block = 0;
        while let Some(block_end) = end {
            if std::mem::take(&mut self.first) {
                block = all.len() - without_bom(&all).len();
            }
            match decide(&all[block..block_end], task) {
                Decision::Edit(span, text) => {
                    self.task = None;
                    return splice(&all, block + span.start..block + span.end, &text);
                }
                Decision::Nothing => {
                    self.task = None;
                    return all;
                }
                Decision::NotYet => block = block_end,
            }
            end = self.boundary.find_end(&all[block..]).map(|len| block + len);
        }
        if all.len() - block > HELD_LIMIT {
            self.task = None;
            return all;
        }
        self.held.extend_from_slice(&all[block..]);
        all.slice(..block)
    }

    /// The bytes that are still held back when the stream ends or fails.
    pub fn finish(&mut self) -> Bytes {
        self.task = None;
        self.held.split().freeze()
    }

    /// True while bytes are held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// True once every further byte passes at once.
    pub fn is_done(&self) -> bool {
        self.task.is_none()
    }
}

/// What there is to do in a block.
enum Decision {
    /// Put the text in the place of this range of the block.
    Edit(Range<usize>, String),
    /// `message_start` may still come.
    NotYet,
    /// Nothing, here or further on.
    Nothing,
}

fn decide(block: &[u8], task: &Task) -> Decision {
    let Some(event) = SseEvent::from_block(block) else {
        return Decision::NotYet;
    };
    match json::get_string(&event.data, "type").as_deref() {
        Some("message_start") => {
            let edit = match task {
                Task::Rename(model) => model_span(&event.data).map(|span| (span, model.clone())),
                Task::Complete => missing_members(&event.data),
            };
            let edit = edit.and_then(|(span, text)| Some((span_in_block(block, span)?, text)));
            edit.map_or(Decision::Nothing, |(span, text)| Decision::Edit(span, text))
        }
        Some(kind) if is_after_start(kind) => Decision::Nothing,
        _ => Decision::NotYet,
    }
}

/// Events that by the grammar come after `message_start`; pings and unknown ones may come before it.
fn is_after_start(kind: &str) -> bool {
    kind.starts_with("content_block") || matches!(kind, "message_delta" | "message_stop" | "error")
}

/// Where the string `message.model` lies in the event's JSON.
fn model_span(data: &[u8]) -> Option<Range<usize>> {
    let message = json::span(data, "message")?;
    let model = json::span(&data[message.clone()], "model")?;
    let span = message.start + model.start..message.start + model.end;
    json::string(&data[span.clone()]).is_some().then_some(span)
}

/// What `message` lacks, and where to put it: in front of its closing brace.
fn missing_members(data: &[u8]) -> Option<(Range<usize>, String)> {
    let message = json::span(data, "message")?;
    let text = &data[message.clone()];
    if !text.ends_with(b"}") || json::Members::new(text)?.next().is_none() {
        return None;
    }
    let missing = MEMBERS.iter().filter(|(name, _)| json::span(text, name).is_none());
    let members: String = missing.map(|(name, value)| format!(",\"{name}\":{value}")).collect();
    let end = message.end - 1;
    (!members.is_empty()).then_some((end..end, members))
}

/// Where a span of the joined data lies in the block. `None` if it is not within one line.
fn span_in_block(block: &[u8], span: Range<usize>) -> Option<Range<usize>> {
    let mut line_start = 0;
    for line in data_lines(block) {
        let line_end = line_start + line.len();
        if span.start >= line_start && span.end <= line_end {
            let start = line.start + (span.start - line_start);
            return Some(start..start + span.len());
        }
        line_start = line_end + 1;
    }
    None
}

fn splice(bytes: &[u8], span: Range<usize>, with: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len() + with.len());
    out.extend_from_slice(&bytes[..span.start]);
    out.extend_from_slice(with.as_bytes());
    out.extend_from_slice(&bytes[span.end..]);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
    const BEFORE: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[{\"model\":\"x\"}],\"model\": ";
    const AFTER: &str = ",\"usage\":{\"input_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"model\":\"glm\"}\n\n";

    fn rewrite(chunks: &[&[u8]]) -> Vec<u8> {
        let mut rewriter = MessageStartEditor::rename("new \"name\"");
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&rewriter.push(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&rewriter.finish());
        out
    }

    #[track_caller]
    fn check(input: &str, expected: &str) {
        for cut in 0..=input.len() {
            let (a, b) = input.as_bytes().split_at(cut);
            assert_eq!(String::from_utf8_lossy(&rewrite(&[a, b])), expected, "cut at {cut}");
        }
        let bytes: Vec<_> = input.as_bytes().chunks(1).collect();
        assert_eq!(String::from_utf8_lossy(&rewrite(&bytes)), expected);
    }

    #[test]
    fn the_model_of_the_first_message_start_is_replaced_and_nothing_else() {
        let input = format!(": hi\n\n{PING}{BEFORE}\"glm\"{AFTER}{BEFORE}\"glm\"{AFTER}");
        let output = format!(": hi\n\n{PING}{BEFORE}\"new \\\"name\\\"\"{AFTER}{BEFORE}\"glm\"{AFTER}");
        check(&input, &output);
        check(&input.replace('\n', "\r\n"), &output.replace('\n', "\r\n"));
        check(&input.replace('\n', "\r"), &output.replace('\n', "\r"));
        check(&format!("\u{feff}{input}"), &format!("\u{feff}{output}"));
        let (input, output) = (input.replace("[{", "[\ndata: {"), output.replace("[{", "[\ndata: {"));
        check(&input, &output);
    }

    #[test]
    fn a_stream_without_a_model_to_replace_passes_unchanged() {
        for text in [
            "",
            "data: {\"type\":\"message_start\"",
            "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n",
            "data: {\"type\":\"message_start\",\"message\":{\"model\":null}}\n\n",
            "data: {\"type\":\"message_start\",\"message\":{\"model\":\"a}}\n\n",
            "not an event at all",
        ] {
            check(text, text);
        }
        let late = format!("data: {{\"type\":\"error\"}}\n\n{BEFORE}\"glm\"{AFTER}");
        check(&late, &late);
    }

    #[test]
    fn what_a_message_lacks_at_its_start_is_added() {
        #[track_caller]
        fn check(before: &str, after: &str) {
            let event = |message: &str| {
                format!(
                    "{PING}event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{message}}}\n\nrest"
                )
            };
            let input = event(before);
            for cut in 0..=input.len() {
                let mut editor = MessageStartEditor::complete();
                let (a, b) = input.split_at(cut);
                let out = [a, b].map(|chunk| editor.push(Bytes::from(chunk.to_owned())));
                let out = [out.concat(), editor.finish().to_vec()].concat();
                assert_eq!(String::from_utf8_lossy(&out), event(after), "cut at {cut}");
            }
        }
        let rest = r#","stop_reason":null,"stop_sequence":null"#;
        check(
            r#"{"id":"m","content":[],"usage":{"input_tokens":9}}"#,
            &format!(r#"{{"id":"m","content":[],"usage":{{"input_tokens":9}}{rest}}}"#),
        );
        check(
            r#"{"id":"m" }"#,
            &format!(r#"{{"id":"m" ,"content":[]{rest},"usage":{{"input_tokens":0,"output_tokens":0}}}}"#),
        );
        for whole in [r#"{"content":1,"stop_reason":1,"stop_sequence":1,"usage":1}"#, "{}", "null", "[]"] {
            check(whole, whole);
        }
    }

    #[test]
    fn nothing_is_held_back_but_the_start_of_an_event() {
        let mut rewriter = MessageStartEditor::rename("x");
        assert_eq!(rewriter.push(Bytes::from(format!("{PING}event: mess"))), PING);
        assert_eq!(rewriter.push(Bytes::from_static(b"age_start\n")), "");
        let rest = "data: {\"type\":\"message_start\",\"message\":{\"model\":\"y\"}}\n\nevent: con";
        let out = rewriter.push(Bytes::from_static(rest.as_bytes()));
        assert!(out.starts_with(b"event: message_start\n") && out.ends_with(b"\"x\"}}\n\nevent: con"));
        assert!(rewriter.is_done());
        let chunk = Bytes::from(b"tent".to_vec());
        assert_eq!(rewriter.push(chunk.clone()).as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn an_event_larger_than_the_bound_passes_unchanged() {
        let mut rewriter = MessageStartEditor::rename("x");
        let padding = " ".repeat(HELD_LIMIT - 10);
        assert_eq!(rewriter.push(Bytes::from(format!("data: {padding}"))), "");
        let rest = format!("{padding}{{\"type\":\"message_start\",\"message\":{{\"model\":\"y\"}}");
        assert_eq!(rewriter.push(Bytes::from(rest.clone())), format!("data: {padding}{rest}"));
        assert!(rewriter.is_done());
        assert_eq!(rewriter.finish(), "");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_rewriter_panic_or_depend_on_the_cut(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), any::<u8>()], 0..200),
            cut in 0_usize..200,
        ) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(rewrite(&[a, b]), bytes);
        }
    }
}
