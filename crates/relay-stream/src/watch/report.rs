//! The facts, and how an event adds to them.

use crate::json;

/// What has been learnt from a stream so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// Token counts; each from the last event that carried it.
    pub usage: Usage,
    /// The message's id, from `message_start`.
    pub id: Option<String>,
    /// The model that answered, as the upstream names it.
    pub model: Option<String>,
    /// Why generation ended, from `message_delta`.
    pub stop_reason: Option<String>,
    /// Content was seen: a `content_block_delta`, or the end of a block that has none. From here on the client has
    /// something that a repeated request would contradict; the start of a block says nothing yet.
    pub content: bool,
    /// How many `content_block_delta` events were seen: of an answer that breaks off, nobody tells the output tokens.
    pub deltas: u64,
    /// `message_stop` was seen.
    pub message_stop: bool,
    /// The answer is no stream but one JSON object, and that has ended.
    pub whole: bool,
    /// The first `error` event.
    pub error: Option<ErrorReport>,
}

/// Token counts of one answer. `None` is a count that no event carried, which is not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Input tokens neither read from a cache nor written to one.
    pub input_tokens: Option<u64>,
    /// Output tokens, cumulative.
    pub output_tokens: Option<u64>,
    /// Input tokens written to a cache, whatever its lifetime.
    pub cache_creation_input_tokens: Option<u64>,
    /// Of these, written for five minutes.
    pub ephemeral_5m_input_tokens: Option<u64>,
    /// Of these, written for one hour.
    pub ephemeral_1h_input_tokens: Option<u64>,
    /// Input tokens read from a cache.
    pub cache_read_input_tokens: Option<u64>,
}

/// An `error` event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorReport {
    /// The error's type, for example `overloaded_error`; empty if the event has none.
    pub kind: String,
    /// The error's message; empty if the event has none.
    pub message: String,
}

impl StreamReport {
    /// True once the answer said how it ended: by `message_stop`, by an `error` event, or by the end of its object.
    pub fn is_complete(&self) -> bool {
        self.message_stop || self.error.is_some() || self.whole
    }

    /// Adds the facts of one event, given by the JSON of its data.
    pub(crate) fn add(&mut self, data: &[u8]) {
        match json::get_string(data, "type").as_deref() {
            Some("message_start") => {
                let Some(message) = json::get(data, "message") else { return };
                self.add_message(message);
            }
            Some("message_delta") => {
                let reason =
                    json::get(data, "delta").and_then(|delta| json::get_string(delta, "stop_reason"));
                set(&mut self.stop_reason, reason);
                self.usage.add_from(data);
            }
            Some("message_stop") => {
                self.message_stop = true;
                self.usage.add_from(data);
            }
            Some("error") if self.error.is_none() => self.error = Some(ErrorReport::read(data)),
            Some("content_block_delta") => {
                self.content = true;
                self.deltas += 1;
            }
            Some("content_block_stop") => self.content = true,
            _ => {}
        }
    }

    /// Adds the facts of a message, or of some of its members.
    pub(crate) fn add_message(&mut self, message: &[u8]) {
        set(&mut self.id, json::get_string(message, "id"));
        set(&mut self.model, json::get_string(message, "model"));
        set(&mut self.stop_reason, json::get_string(message, "stop_reason"));
        self.usage.add_from(message);
    }
}

impl Usage {
    /// All input tokens, however they are billed. `None` if no event carried any of the three counts.
    pub fn total_input_tokens(&self) -> Option<u64> {
        [self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens]
            .into_iter()
            .flatten()
            .reduce(u64::saturating_add)
    }

    /// Takes over the counts in the `usage` member of `object`, each over an earlier one.
    fn add_from(&mut self, object: &[u8]) {
        let members = |object, key| json::get(object, key).and_then(json::Members::new).into_iter().flatten();
        let Some(usage) = json::get(object, "usage") else { return };
        for member in members(object, "usage") {
            let field = match member.key {
                b"input_tokens" => &mut self.input_tokens,
                b"output_tokens" => &mut self.output_tokens,
                b"cache_creation_input_tokens" => &mut self.cache_creation_input_tokens,
                b"cache_read_input_tokens" => &mut self.cache_read_input_tokens,
                _ => continue,
            };
            *field = count(&usage[member.value]).or(*field);
        }
        let Some(creation) = json::get(usage, "cache_creation") else { return };
        for member in members(usage, "cache_creation") {
            let field = match member.key {
                b"ephemeral_5m_input_tokens" => &mut self.ephemeral_5m_input_tokens,
                b"ephemeral_1h_input_tokens" => &mut self.ephemeral_1h_input_tokens,
                _ => continue,
            };
            *field = count(&creation[member.value]).or(*field);
        }
    }
}

impl ErrorReport {
    fn read(data: &[u8]) -> Self {
        let error = json::get(data, "error").unwrap_or_default();
        let text = |key| json::get_string(error, key).unwrap_or_default().into_owned();
        ErrorReport { kind: text("type"), message: text("message") }
    }
}

fn set(field: &mut Option<String>, value: Option<std::borrow::Cow<'_, str>>) {
    if let Some(value) = value {
        *field = Some(value.into_owned());
    }
}

/// A count, or `None` for `null` and anything else that is not a whole number.
fn count(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
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
    fn the_last_event_that_carries_a_count_wins() {
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
            }
        );
        assert_eq!(usage.total_input_tokens(), Some(24));
    }

    #[test]
    fn identity_and_ending_are_read() {
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
    fn the_start_of_a_block_is_no_content_yet() {
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
    fn foreign_and_malformed_events_say_nothing() {
        let foreign = r#"{"type":"vertex_event","usage":{"input_tokens":1}}"#;
        let odd = r#"{"type":"message_delta","usage":{"input_tokens":"3","output_tokens":-1}}"#;
        assert_eq!(report(&[foreign, odd, "", "[]", "{", r#"{"type":1}"#]), StreamReport::default());
    }
}
