//! The facts about an answer, and the parsing of the events that carry them.

use std::borrow::Cow;
use std::sync::Arc;

use super::iterations::{self, Iteration, IterationKind};
use super::usage::Usage;
use crate::events::EventKind;
use crate::json;
use crate::json_valid::Delta;

/// The facts about an answer that its bytes have shown up to now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// The token counts, each from the last event that carries it.
    pub usage: Usage,
    /// The parts of the answer by kind and model, from the last event that carries them: calls of the model, compactions, and calls
    /// of other models. Empty if the upstream reports none.
    pub iterations: Vec<Iteration>,
    /// The id of the message, from `message_start`.
    pub id: Option<String>,
    /// The model of the message, as the upstream names it. After a fallback within the upstream it is the one that answered.
    pub model: Option<Arc<str>>,
    /// The reason for the end of the message, from `message_delta`.
    pub stop_reason: Option<Arc<str>>,
    /// True after the first content: a `content_block_delta`, or the end of a block without deltas. From then
    /// on the client has content that another answer would contradict. The start of a block is no content.
    pub content: bool,
    /// True after the first event of the message: any of its events, but no ping and no error.
    pub begun: bool,
    /// The number of `content_block_delta` events. It allows an estimate of the output tokens of an answer
    /// that broke off before it reported them.
    pub deltas: u64,
    /// The bytes of text, thinking and tool input in the `content_block_delta` events, as written in JSON. They allow a better
    /// estimate than the number of events. An [`SseWatch`](super::SseWatch) skips the events, and counts none.
    pub delta_bytes: u64,
    /// True after a `message_delta` with a count of output tokens. Before that, the count in `usage` is the one of
    /// `message_start`, which takes the place of a number that the upstream does not know yet.
    pub output_counted: bool,
    /// True after `message_stop`.
    pub message_stop: bool,
    /// True if the answer is a JSON object that has ended. Always false for a stream.
    pub whole: bool,
    /// The first `error` event.
    pub error: Option<ErrorReport>,
}

/// An `error` event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorReport {
    /// The type of the error, for example `overloaded_error`. Empty if the event has none.
    pub kind: String,
    /// The message of the error. Empty if the event has none.
    pub message: String,
}

impl StreamReport {
    /// Returns `true` once the answer has announced its end: by `message_stop`, by an `error` event, or by
    /// the end of its JSON object.
    pub fn is_complete(&self) -> bool {
        self.message_stop || self.error.is_some() || self.whole
    }

    /// Adds the facts of one event of any type. `data` is its JSON.
    pub(crate) fn add(&mut self, data: &[u8]) {
        if let Some(kind) = json::get_string(data, "type").and_then(|kind| EventKind::of(&kind)) {
            self.add_event(kind, data);
        }
    }

    /// Adds the facts of an event of this kind. `data` is its JSON.
    #[inline]
    pub(crate) fn add_event(&mut self, kind: EventKind, data: &[u8]) {
        self.begun |= !matches!(kind, EventKind::Ping | EventKind::Error);
        match kind {
            EventKind::ContentBlockDelta => self.add_delta(output_bytes(data)),
            EventKind::ContentBlockStop => self.content = true,
            EventKind::ContentBlockStart | EventKind::Ping => {}
            EventKind::MessageStart => {
                if let Some(message) = json::get(data, "message") {
                    self.add_message(message);
                }
            }
            EventKind::MessageDelta => self.add_message_delta(data),
            EventKind::MessageStop => {
                self.message_stop = true;
                self.add_usage_of(data);
            }
            EventKind::Error => {
                self.error.get_or_insert_with(|| ErrorReport::read(data));
            }
        }
    }

    /// Adds a `content_block_delta` with this number of bytes of output.
    #[inline]
    pub(crate) fn add_delta(&mut self, bytes: usize) {
        self.begun = true;
        self.content = true;
        self.deltas += 1;
        self.delta_bytes += bytes as u64;
    }

    fn add_message_delta(&mut self, data: &[u8]) {
        let reason = json::get(data, "delta").and_then(|delta| json::get_string(delta, "stop_reason"));
        set(&mut self.stop_reason, reason);
        let started = self.usage.output_tokens.take();
        self.add_usage_of(data);
        self.output_counted |= self.usage.output_tokens.is_some();
        self.usage.output_tokens = self.usage.output_tokens.or(started);
    }

    /// Adds the facts of a message. If a member is repeated, its first value counts.
    fn add_message(&mut self, message: &[u8]) {
        set(&mut self.id, json::get_string(message, "id"));
        set(&mut self.model, json::get_string(message, "model"));
        set(&mut self.stop_reason, json::get_string(message, "stop_reason"));
        self.add_usage_of(message);
    }

    /// Adds the facts of the member `usage` of `object`.
    fn add_usage_of(&mut self, object: &[u8]) {
        if let Some(usage) = json::get(object, "usage") {
            self.add_usage(usage);
        }
    }

    /// Adds the facts of the value of a member `usage`.
    fn add_usage(&mut self, usage: &[u8]) {
        let Some(read) = self.usage.add(usage).and_then(iterations::read) else { return };
        let fallback = read.iter().rfind(|iteration| iteration.kind == IterationKind::Fallback);
        set(&mut self.model, fallback.and_then(|fallback| fallback.model.as_deref()).map(Into::into));
        self.iterations = read;
    }

    /// Adds the facts of a member of a message. `value` begins with its value. If a member is repeated, its last value counts.
    pub(crate) fn add_member(&mut self, key: &[u8], value: &[u8]) {
        match key {
            b"id" => set(&mut self.id, json::first_string(value)),
            b"model" => set(&mut self.model, json::first_string(value)),
            b"stop_reason" => set(&mut self.stop_reason, json::first_string(value)),
            b"usage" => self.add_usage(value),
            _ => {}
        }
    }

    /// Returns `true` for the key of a member of a message that carries facts.
    #[inline]
    pub(crate) fn reads(key: &[u8]) -> bool {
        matches!(key, b"id" | b"model" | b"stop_reason" | b"usage")
    }
}

impl ErrorReport {
    fn read(data: &[u8]) -> Self {
        let error = json::get(data, "error").unwrap_or_default();
        let text = |key| json::get_string(error, key).unwrap_or_default().into_owned();
        ErrorReport { kind: text("type"), message: text("message") }
    }
}

/// The members of a delta that are output of the model.
const OUTPUT: [&str; 3] = ["text", "thinking", "partial_json"];

/// Returns the number of bytes of text, thinking or tool input in a delta, between the quotes of its string as written.
fn output_bytes(data: &[u8]) -> usize {
    if let Some(delta) = Delta::read(data) {
        return delta.output_bytes();
    }
    let text = json::get(data, "delta").and_then(|delta| OUTPUT.iter().find_map(|key| json::get(delta, key)));
    text.map_or(0, |text| text.len().saturating_sub(2))
}

fn set<'a, T: From<Cow<'a, str>>>(field: &mut Option<T>, value: Option<Cow<'a, str>>) {
    if let Some(value) = value {
        *field = Some(value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(events: &[&str]) -> StreamReport {
        let mut report = StreamReport::default();
        events.iter().for_each(|event| report.add(event.as_bytes()));
        report
    }

    #[test]
    fn a_count_is_that_of_the_last_event_that_carries_it() {
        let usage = report(&[
            r#"{"type":"message_start","message":{"usage":{"input_tokens":0,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
            r#"{"type":"message_delta","delta":{},"usage":{"input_tokens":12,"output_tokens":9,"cache_read_input_tokens":null}}"#,
            r#"{"type":"message_stop","usage":{"cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":4,"ephemeral_1h_input_tokens":3}}}"#,
        ])
        .usage;
        assert_eq!(
            usage,
            Usage {
                input_tokens: Some(12),
                output_tokens: Some(9),
                cache_creation_input_tokens: Some(7),
                ephemeral_5m_input_tokens: Some(4),
                ephemeral_1h_input_tokens: Some(3),
                cache_read_input_tokens: Some(5),
                ..Usage::default()
            }
        );
        assert_eq!(usage.total_input_tokens(), Some(24));
    }

    #[test]
    fn id_model_and_stop_reason_are_read() {
        let report = report(&[
            r#"{"type":"message_start","message":{"id":"msg_1","model":"claude-x","stop_reason":null}}"#,
            r#"{"type":"content_block_start","index":0}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
            r#"{"type":"message_stop"}"#,
        ]);
        assert_eq!(report.id.as_deref(), Some("msg_1"));
        assert_eq!(report.model.as_deref(), Some("claude-x"));
        assert_eq!(report.stop_reason.as_deref(), Some("tool_use"));
        assert!(report.content && report.message_stop && report.is_complete());
        assert_eq!(report.usage, Usage::default());
        assert_eq!(report.usage.total_input_tokens(), None);
    }

    #[test]
    fn a_ping_and_an_error_do_not_begin_a_message() {
        for kind in ["message_start", "content_block_start", "content_block_delta", "message_stop"] {
            assert!(report(&[&format!(r#"{{"type":"{kind}"}}"#)]).begun, "{kind}");
        }
        for kind in ["ping", "error", "vertex_event"] {
            assert!(!report(&[&format!(r#"{{"type":"{kind}"}}"#)]).begun, "{kind}");
        }
    }

    #[test]
    fn the_start_of_a_block_is_no_content() {
        let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        assert!(!report(&[start]).content);
        for kind in ["content_block_delta", "content_block_stop"] {
            assert!(report(&[start, &format!(r#"{{"type":"{kind}","index":0}}"#)]).content);
        }
    }

    #[test]
    fn the_first_error_is_kept_and_completes_the_stream() {
        let report = report(&[
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Over\nloaded"}}"#,
            r#"{"type":"error","error":{"type":"api_error","message":"later"}}"#,
        ]);
        let expected = ErrorReport { kind: "overloaded_error".into(), message: "Over\nloaded".into() };
        assert_eq!(report.error, Some(expected));
        assert!(report.is_complete());
    }

    #[test]
    fn the_count_of_message_start_is_no_count_of_the_output() {
        let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}"#;
        let empty = r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":null}}"#;
        let delta =
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#;
        #[track_caller]
        fn check(events: &[&str], output_tokens: u64, output_counted: bool) {
            let report = report(events);
            assert_eq!(
                (report.usage.output_tokens, report.output_counted),
                (Some(output_tokens), output_counted)
            );
        }
        check(&[start], 1, false);
        check(&[start, empty], 1, false);
        check(&[start, empty, delta], 9, true);
        check(&[start, delta, empty], 9, true);
    }

    #[test]
    fn the_bytes_of_the_output_are_counted_in_every_form_of_a_delta() {
        for (delta, bytes) in [
            (r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#, 5),
            (
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"so"}}"#,
                2,
            ),
            (
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\""}}"#,
                3,
            ),
            (
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"AbCd"}}"#,
                0,
            ),
            (r#"{ "delta": {"text": "Hello", "type": "text_delta"}, "type": "content_block_delta" }"#, 5),
            (
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{}}}"#,
                0,
            ),
            (r#"{"type":"content_block_delta"}"#, 0),
        ] {
            assert_eq!(report(&[delta]).delta_bytes, bytes, "{delta}");
        }
    }

    #[test]
    fn foreign_and_malformed_events_are_ignored() {
        let foreign = r#"{"type":"vertex_event","usage":{"input_tokens":1}}"#;
        let odd = r#"{"type":"message_delta","usage":{"input_tokens":"3","output_tokens":-1}}"#;
        let expected = StreamReport { begun: true, ..StreamReport::default() };
        assert_eq!(report(&[foreign, odd, "", "[]", "{", r#"{"type":1}"#]), expected);
    }
}
