//! The tokens of an answer that its upstream bills.

use relay_stream::watch::{IterationKind, StreamReport, Usage};

/// The bytes of output, as written in JSON, of two output tokens. Tokenizers of today make a token of 3 bytes of code to 4.5
/// bytes of English prose.
const BYTES_OF_TWO_TOKENS: u64 = 7;

/// The tokens of an answer that its upstream bills.
///
/// An answer that was cut before it reported its output has an estimate of it: one token for each 3.5 bytes of text, thinking
/// and tool input that arrived, or the count of `message_start` if that is larger. The true count may be higher, since some
/// upstreams bill the whole generation after the client has left, such as Bedrock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Billed {
    /// The counts that the answer reported, with those of compactions and of other models, and the estimate.
    pub usage: Usage,
    /// True if the output tokens are an estimate.
    pub is_estimated: bool,
    /// The parts of `usage` by model, each of which has prices of its own. The first part is that of the model that answered. Empty
    /// if the model that was sent has used all of it.
    pub by_model: Vec<ModelUsage>,
}

/// The tokens that a model has used within an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelUsage {
    /// The model, as the upstream names it; `None` for the one that was sent. Empty if the upstream does not name an advisor.
    pub model: Option<Box<str>>,
    /// The tokens.
    pub usage: Usage,
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
        let by_model = by_model(report, &mut usage);
        Some(Self { usage, is_estimated: !is_counted, by_model })
    }
}

/// Adds the iterations of `report` to `usage`, the counts of the answer, and returns its parts by model: none if there is no other
/// model.
///
/// # Source
/// Anthropic's documentation:
/// - Compaction: the counts of the answer do not include it, and the sum of all iterations is billed.
/// - Advisor tool: the counts of the answer are those of its own model alone, and may include the input of its first call only. An
///   `advisor_message` is billed at the prices of its own model.
/// - Refusals and fallback: each attempt is billed at the prices of the model that made it, and not at all if it declined before
///   any output. `fallback_message` is the last call of the model that answered. The counts of the answer are those of that model.
fn by_model(report: &StreamReport, usage: &mut Usage) -> Vec<ModelUsage> {
    let iterations = &report.iterations;
    let fallback = iterations.iter().rfind(|one| one.kind == IterationKind::Fallback);
    let last = || iterations.iter().rfind(|one| one.kind == IterationKind::Message && one.model.is_some());
    let answering = fallback.or_else(last).and_then(|one| one.model.as_deref());
    let (mut calls, mut compactions, mut others) = (Usage::default(), Usage::default(), Vec::new());
    for one in iterations {
        let is_own = one.model.is_none() || one.model.as_deref() == answering;
        match one.kind {
            IterationKind::Message | IterationKind::Fallback if is_own => calls.merge(&one.usage),
            IterationKind::Compaction => compactions.merge(&one.usage),
            IterationKind::Advisor => others.push((one.model.clone(), one.usage)),
            // Of a model that declined after some output.
            IterationKind::Message | IterationKind::Fallback if one.usage.output_tokens > Some(0) => {
                others.push((one.model.clone(), one.usage));
            }
            _ => {}
        }
    }
    usage.raise(&calls);
    usage.merge(&compactions);
    let fallback = fallback.and_then(|one| one.model.clone());
    if others.is_empty() && fallback.is_none() {
        return Vec::new();
    }
    let mut parts = vec![ModelUsage { model: fallback, usage: *usage }];
    for (model, mut part) in others {
        usage.merge(&part);
        // They are facts of the request, and an iteration does not repeat them.
        (part.service_tier, part.inference_geo) = (usage.service_tier, usage.inference_geo);
        parts.push(ModelUsage { model: Some(model.unwrap_or_default()), usage: part });
    }
    parts
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

    /// The parts of an answer with these iterations, as input and output tokens, once streamed and once whole.
    #[track_caller]
    fn check_models(usage: &str, total: (u64, u64), expected: &[(Option<&str>, u64, u64)]) {
        let delta = r#""delta":{"stop_reason":"end_turn"}"#;
        let usage = usage.replace('\n', "");
        let end = format!(r#"{{"type":"message_delta",{delta},"usage":{usage}}}"#);
        let mut normalizer = EventNormalizer::new(UnknownEvents::Drop);
        for event in [START, TEXT, &end, STOP] {
            normalizer.push(format!("data: {event}\n\n").into());
        }
        let mut watch = JsonWatch::new();
        watch.observe(format!(r#"{{"type":"message","model":"claude-x","usage":{usage}}}"#).as_bytes());
        for report in [normalizer.report(), watch.report()] {
            let billed = Billed::of(report).unwrap();
            let tokens = |usage: &Usage| (usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
            assert_eq!((tokens(&billed.usage), billed.is_estimated), (total, false), "{report:?}");
            let parts = billed.by_model.iter();
            let parts: Vec<_> = parts
                .map(|part| (part.model.as_deref(), tokens(&part.usage).0, tokens(&part.usage).1))
                .collect();
            assert_eq!(parts, expected, "{report:?}");
        }
    }

    #[test]
    fn the_tokens_of_an_advisor_are_a_part_of_their_own() {
        // The example of the documentation.
        let usage = r#"{"input_tokens":412,"cache_read_input_tokens":0,"cache_creation_input_tokens":0,"output_tokens":531,
            "iterations":[
            {"type":"message","input_tokens":412,"cache_read_input_tokens":0,"cache_creation_input_tokens":0,"output_tokens":89},
            {"type":"advisor_message","model":"claude-fable-5","input_tokens":823,"cache_read_input_tokens":0,
             "cache_creation_input_tokens":0,"output_tokens":1612},
            {"type":"message","input_tokens":1348,"cache_read_input_tokens":412,"cache_creation_input_tokens":0,"output_tokens":442}]}"#;
        check_models(usage, (2583, 2143), &[(None, 1760, 531), (Some("claude-fable-5"), 823, 1612)]);
        let nameless = r#"{"input_tokens":1,"output_tokens":2,"iterations":[{"type":"advisor_message","input_tokens":4,"output_tokens":8}]}"#;
        check_models(nameless, (5, 10), &[(None, 1, 2), (Some(""), 4, 8)]);
    }

    #[test]
    fn each_attempt_of_a_fallback_is_a_part_of_its_own_unless_it_declined_before_any_output() {
        let fallback = |declined: &str| {
            format!(
                r#"{{"input_tokens":412,"output_tokens":264,"iterations":[{declined},
                {{"type":"message","model":"claude-opus-5","input_tokens":12,"output_tokens":64}},
                {{"type":"fallback_message","model":"claude-opus-5","input_tokens":400,"output_tokens":200}}]}}"#
            )
        };
        let before = r#"{"type":"message","model":"claude-fable-5","input_tokens":408,"output_tokens":0}"#;
        check_models(&fallback(before), (412, 264), &[(Some("claude-opus-5"), 412, 264)]);
        let after = r#"{"type":"message","model":"claude-fable-5","input_tokens":408,"output_tokens":7}"#;
        let expected = [(Some("claude-opus-5"), 412, 264), (Some("claude-fable-5"), 408, 7)];
        check_models(&fallback(after), (820, 271), &expected);
    }

    #[test]
    fn the_iterations_of_the_last_event_count_unless_they_are_null() {
        let delta = |iterations: &str| {
            let usage = format!(r#"{{"output_tokens":7,"iterations":{iterations}}}"#);
            format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{usage}}}"#)
        };
        let advised = |tokens: u64| {
            delta(&format!(
                r#"[{{"type":"advisor_message","model":"a","input_tokens":{tokens},"output_tokens":1}}]"#
            ))
        };
        check(&[START, TEXT, &advised(100), &advised(200), &delta("null"), STOP], Some((203, 8, false)));
    }

    #[test]
    fn compactions_and_calls_of_the_same_model_are_no_parts() {
        let usage = r#"{"input_tokens":23000,"output_tokens":1000,"iterations":[
            {"type":"compaction","input_tokens":180000,"output_tokens":3500},
            {"type":"message","model":"claude-x","input_tokens":23000,"output_tokens":1000}]}"#;
        check_models(usage, (203_000, 4500), &[]);
        check_models(r#"{"input_tokens":5,"output_tokens":6,"iterations":[]}"#, (5, 6), &[]);
        check_models(r#"{"input_tokens":5,"output_tokens":6,"iterations":null}"#, (5, 6), &[]);
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
