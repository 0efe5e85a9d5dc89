//! Edits the `message_start` event of a stream: replaces its model name, or adds missing members.
//!
//! ```text
//! bytes ─push─▶ MessageStartEditor ─▶ the same bytes, message_start edited
//! any chunks
//! ```

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::json;
use crate::sse::{Boundary, SseEvent, data_lines, without_bom};

/// The largest number of bytes that are buffered while `message_start` is incomplete.
const HELD_LIMIT: usize = 64 << 10;

/// Edits the first `message_start` of an SSE stream: replaces the value of `message.model`, or adds members
/// that the event has at Anthropic and lacks here. Every other byte is unchanged.
///
/// An incomplete event at the end of a chunk is buffered until it is complete, up to 64 KiB. After the first
/// `message_start`, or once the limit is exceeded, every byte is forwarded unread and without delay. A stream
/// that starts with another event of a message, or with a `message_start` without a model, is unchanged.
/// ```
/// use bytes::Bytes;
/// use relay_stream::MessageStartEditor;
///
/// let mut editor = MessageStartEditor::rename("claude-sonnet-4-5");
/// let event = Bytes::from("data: {\"type\":\"message_start\", \"message\": {\"id\":\"m\", \"model\":\"glm-5.3\"}}\n\n");
/// let out = editor.push(event);
/// assert!(out.ends_with(b"\"message\": {\"id\":\"m\", \"model\":\"claude-sonnet-4-5\"}}\n\n"));
/// let event = Bytes::from("data: {\"type\":\"content_block_delta\"");
/// assert_eq!(editor.push(event.clone()), event, "every later byte is forwarded without delay");
/// ```
#[derive(Debug)]
pub struct MessageStartEditor {
    /// The edit that remains to be done. `None` once the editor is done.
    task: Option<Task>,
    boundary: Boundary,
    held: BytesMut,
    /// True until the first block has ended, which may start with a byte order mark.
    first: bool,
}

#[derive(Debug)]
enum Task {
    /// Replaces the model name by this JSON string.
    Rename(String),
    /// Adds the missing members.
    Complete,
}

/// The members of a message at its start, each with the value that is added if the member is missing.
const MEMBERS: [(&str, &str); 4] = [
    ("content", "[]"),
    ("stop_reason", "null"),
    ("stop_sequence", "null"),
    ("usage", "{\"input_tokens\":0,\"output_tokens\":0}"),
];

impl MessageStartEditor {
    /// Creates an editor at the start of a stream that replaces the model name by `model`.
    pub fn rename(model: &str) -> Self {
        Self::new(Task::Rename(json::quote(model)))
    }

    /// Creates an editor at the start of a stream that adds `content`, `stop_reason`, `stop_sequence` and
    /// `usage` if they are missing. Their values are empty, `null` and zero, as in a `message_start` of
    /// Anthropic.
    pub fn complete() -> Self {
        Self::new(Task::Complete)
    }

    fn new(task: Task) -> Self {
        MessageStartEditor { task: Some(task), boundary: Boundary::new(), held: BytesMut::new(), first: true }
    }

    /// Reads the next bytes and returns the bytes to forward. The result is empty if all of them are
    /// buffered.
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

    /// Returns the buffered bytes at the end or failure of the stream.
    pub fn finish(&mut self) -> Bytes {
        self.task = None;
        self.held.split().freeze()
    }

    /// Returns `true` while bytes are buffered.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns `true` once every further byte is forwarded unread.
    pub fn is_done(&self) -> bool {
        self.task.is_none()
    }
}

/// The decision about one block.
enum Decision {
    /// Replace this range of the block by the text.
    Edit(Range<usize>, String),
    /// Leave the block unchanged: `message_start` may follow.
    NotYet,
    /// Leave this block and all later ones unchanged.
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

/// Returns `true` for an event that follows `message_start` by the grammar of the stream. Pings and unknown
/// events may precede it.
fn is_after_start(kind: &str) -> bool {
    kind.starts_with("content_block") || matches!(kind, "message_delta" | "message_stop" | "error")
}

/// Returns the span of the string `message.model` in the JSON of the event.
fn model_span(data: &[u8]) -> Option<Range<usize>> {
    let message = json::span(data, "message")?;
    let model = json::span(&data[message.clone()], "model")?;
    let span = message.start + model.start..message.start + model.end;
    json::string(&data[span.clone()]).is_some().then_some(span)
}

/// Returns the members that `message` lacks and the position to insert them: directly before its closing
/// brace.
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

/// Converts a span of the joined data into a span of the block. Returns `None` if it is not inside one line.
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

/// Returns `bytes` with the text `with` in the place of `span`.
pub(crate) fn splice(bytes: &[u8], span: Range<usize>, with: &str) -> Bytes {
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

    fn edit(chunks: &[&[u8]]) -> Vec<u8> {
        let mut editor = MessageStartEditor::rename("new \"name\"");
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&editor.push(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&editor.finish());
        out
    }

    #[track_caller]
    fn check(input: &str, expected: &str) {
        for cut in 0..=input.len() {
            let (a, b) = input.as_bytes().split_at(cut);
            assert_eq!(String::from_utf8_lossy(&edit(&[a, b])), expected, "cut at {cut}");
        }
        let bytes: Vec<_> = input.as_bytes().chunks(1).collect();
        assert_eq!(String::from_utf8_lossy(&edit(&bytes)), expected);
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
    fn a_stream_without_a_model_to_replace_is_unchanged() {
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
    fn members_that_message_start_lacks_are_added() {
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
    fn only_the_start_of_an_incomplete_event_is_buffered() {
        let mut editor = MessageStartEditor::rename("x");
        assert_eq!(editor.push(Bytes::from(format!("{PING}event: mess"))), PING);
        assert_eq!(editor.push(Bytes::from_static(b"age_start\n")), "");
        let rest = "data: {\"type\":\"message_start\",\"message\":{\"model\":\"y\"}}\n\nevent: con";
        let out = editor.push(Bytes::from_static(rest.as_bytes()));
        assert!(out.starts_with(b"event: message_start\n") && out.ends_with(b"\"x\"}}\n\nevent: con"));
        assert!(editor.is_done());
        let chunk = Bytes::from(b"tent".to_vec());
        assert_eq!(editor.push(chunk.clone()).as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn an_event_larger_than_the_limit_is_unchanged() {
        let mut editor = MessageStartEditor::rename("x");
        let padding = " ".repeat(HELD_LIMIT - 10);
        assert_eq!(editor.push(Bytes::from(format!("data: {padding}"))), "");
        let rest = format!("{padding}{{\"type\":\"message_start\",\"message\":{{\"model\":\"y\"}}");
        assert_eq!(editor.push(Bytes::from(rest.clone())), format!("data: {padding}{rest}"));
        assert!(editor.is_done());
        assert_eq!(editor.finish(), "");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_editor_panic_or_depend_on_the_cut(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), any::<u8>()], 0..200),
            cut in 0_usize..200,
        ) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(edit(&[a, b]), bytes);
        }
    }
}
