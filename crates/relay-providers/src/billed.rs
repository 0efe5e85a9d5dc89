//! The tokens of an answer that its upstream bills.

use relay_stream::watch::{StreamReport, Usage};

/// The bytes of output, as written in JSON, of two output tokens. Tokenizers of today make a token of 3 bytes of code to 4.5
/// bytes of English prose.
const BYTES_OF_TWO_TOKENS: u64 = 7;

/// The tokens of an answer that its upstream bills.
///
/// An answer that was cut before it reported its output has an estimate of it: one token for each 3.5 bytes of text, thinking
/// and tool input that arrived, or the count of `message_start` if that is larger. The true count may be higher, since some
/// upstreams bill the whole generation after the client has left, such as Bedrock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Billed {
    /// The counts that the answer reported, with those of compactions, and the estimate.
    pub usage: Usage,
    /// True if the output tokens are an estimate.
    pub is_estimated: bool,
}

impl Billed {
    /// Reads the billed tokens from the report of an answer with a status of success. Returns `None` if it reported no counts,
    /// and for a refusal before any output, which is not billed.
    ///
    /// # Source
    /// Anthropic's documentation, "Refusals and fallback": a refusal before any output is not charged, though its usage shows
    /// counts.
    #[must_use]
    pub fn of(report: &StreamReport) -> Option<Self> {
        if report.usage == Usage::default() || is_refused_at_once(report) {
            return None;
        }
        let is_counted = report.output_counted || report.message_stop || report.whole;
        let mut usage = report.usage;
        if !is_counted {
            let estimate = report.delta_bytes.saturating_mul(2).div_ceil(BYTES_OF_TWO_TOKENS);
            usage.output_tokens = usage.output_tokens.max(Some(estimate));
        }
        Some(Self { usage: usage.with_compaction(), is_estimated: !is_counted })
    }
}

/// Returns `true` for a refusal before any output.
fn is_refused_at_once(report: &StreamReport) -> bool {
    let has_output = match report.whole {
        true => report.usage.output_tokens.is_some_and(|tokens| tokens > 0),
        false => report.content,
    };
    report.stop_reason.as_deref() == Some("refusal") && !has_output
}

#[cfg(test)]
mod tests {
    use relay_stream::watch::JsonWatch;

    use super::*;
    use relay_stream::events::{EventNormalizer, UnknownEvents};

    const START: &str =
        r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}"#;
    const TEXT: &str =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"0123456789abcdef"}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;
    const ERROR: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;

    fn end(stop_reason: &str, output_tokens: u64) -> String {
        let delta = format!(r#"{{"stop_reason":"{stop_reason}"}}"#);
        format!(r#"{{"type":"message_delta","delta":{delta},"usage":{{"output_tokens":{output_tokens}}}}}"#)
    }

    /// The billed tokens of a stream of these events: input, output, and whether the output is an estimate.
    #[track_caller]
    fn check(events: &[&str], expected: Option<(u64, u64, bool)>) {
        let mut normalizer = EventNormalizer::new(UnknownEvents::Drop);
        for event in events {
            normalizer.push(format!("data: {event}\n\n").into());
        }
        let billed = Billed::of(normalizer.report()).map(|billed| {
            let tokens = |count: Option<u64>| count.unwrap_or_default();
            (tokens(billed.usage.input_tokens), tokens(billed.usage.output_tokens), billed.is_estimated)
        });
        assert_eq!(billed, expected, "{events:?}");
    }

    #[test]
    fn the_output_of_a_stream_is_its_count_or_else_an_estimate() {
        let end = end("end_turn", 40);
        check(&[START, TEXT, &end, STOP], Some((3, 40, false)));
        check(&[START, TEXT, &end], Some((3, 40, false)));
        check(&[START, TEXT], Some((3, 5, true)));
        check(&[START, TEXT, TEXT, ERROR], Some((3, 10, true)));
        check(&[START], Some((3, 1, true)));
        check(&[START, ERROR], Some((3, 1, true)));
        check(&[TEXT], None);
        check(&[ERROR], None);
        check(&[], None);
    }

    #[test]
    fn a_refusal_is_billed_only_if_there_was_output() {
        let refusal = end("refusal", 2);
        check(&[START, &refusal, STOP], None);
        check(&[START, TEXT, &refusal, STOP], Some((3, 2, false)));
        for (output_tokens, is_billed) in [(0, false), (5, true)] {
            let mut watch = JsonWatch::new();
            let usage = format!(r#"{{"input_tokens":3,"output_tokens":{output_tokens}}}"#);
            watch.observe(format!(r#"{{"stop_reason":"refusal","content":[],"usage":{usage}}}"#).as_bytes());
            assert_eq!(Billed::of(watch.report()).is_some(), is_billed);
        }
    }
}
