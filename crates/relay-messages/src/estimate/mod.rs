//! Estimates the number of tokens in a request, for upstreams that do not count them.
//!
//! ```text
//! system, messages, tools ─opaque─▶ text ─text::tokens─▶ tokens of text
//!                             └───▶ base64 ─media::tokens─▶ tokens of images and documents
//! ```
//! The exact estimate takes one pass over the bytes as they were sent, without parsing them. Routing uses the estimate from a
//! sample, which reads a few kilobytes of text from a body of any size.

mod media;
mod opaque;
mod sample;
mod text;

use std::ops::Range;

use bytes::Bytes;
use sample::Sample;
use smallvec::SmallVec;

use crate::body::MessagesBody;

/// Estimates the input tokens of `body`: its `system`, `messages` and `tools`. The estimate is good enough to
/// decide how full a context is and to reserve a share of a limit, but not for billing.
///
/// Compared with the last tokenizer that Anthropic has published (in `anthropic` 0.30 for Python), the error
/// is at most 10 % on prose, code and JSON of some kilobytes, and smaller on longer texts. Newer models count
/// up to a third more for the same text (platform.claude.com/docs, "Token counting"). An image counts as
/// width × height / 750 tokens, a page of a document as 2000 tokens. Signatures and encrypted content count
/// as zero.
#[must_use]
pub fn estimate_tokens(body: &MessagesBody) -> u64 {
    let of_text = |part: &Part| part.texts().map(text::thousandths).sum::<u64>().div_ceil(1000);
    parts(body).map(|part| part.tokens_of_media() + of_text(&part)).sum()
}

/// Estimates the input tokens of `body` as [`estimate_tokens`] does, from a sample of its text and the length of the rest.
///
/// At most 8 KiB of text are read, in pieces from all over the body. The estimate of a body with so little text is exact, to
/// two tokens, and that of a larger one is within a tenth of the exact one if the text is of one kind, or changes its kind
/// often. Images, documents and signatures count as in the exact estimate.
#[must_use]
pub fn estimate_tokens_by_sample(body: &MessagesBody) -> u64 {
    let parts: SmallVec<[Part; 3]> = parts(body).collect();
    let mut sample = Sample::new(parts.iter().flat_map(Part::texts).map(<[u8]>::len).sum());
    parts.iter().flat_map(Part::texts).for_each(|text| sample.add(text));
    parts.iter().map(Part::tokens_of_media).sum::<u64>() + sample.thousandths().div_ceil(1000)
}

/// A member with input tokens.
struct Part {
    json: Bytes,
    /// The values that are not text.
    opaque: Vec<Range<usize>>,
}

/// Returns the members of `body` that have input tokens.
fn parts(body: &MessagesBody) -> impl Iterator<Item = Part> {
    let members = [body.system(), body.messages(), body.tools()];
    members.into_iter().flatten().map(|json| Part { opaque: opaque::values(&json), json })
}

impl Part {
    fn tokens_of_media(&self) -> u64 {
        self.opaque.iter().map(|value| media::tokens(&self.json[value.clone()])).sum()
    }

    /// Iterates over the text between the values that are not text.
    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.opaque.iter().map(|value| value.end));
        let ends = self.opaque.iter().map(|value| value.start).chain([self.json.len()]);
        starts.zip(ends).map(|(start, end)| &self.json[start..end])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn estimate(body: &Value) -> u64 {
        estimate_tokens(&MessagesBody::parse(body.to_string().into()).unwrap())
    }

    /// Checks the estimate against `expected`, the count of the tokenizer in `anthropic` 0.30 for the sample
    /// alone.
    #[track_caller]
    fn check(body: &Value, expected: u64) {
        let (found, bound) = (estimate(body), expected / 10);
        assert!(found.abs_diff(expected) <= bound, "{found}, expected {expected} ± {bound}");
    }

    fn request(text: &str) -> Value {
        json!({"model": "m", "messages": [{"role": "user", "content": text}]})
    }

    #[test]
    fn the_samples_are_within_a_tenth_of_their_true_count() {
        check(&request(include_str!("../../testdata/estimate/prose.md")), 893);
        check(&request(include_str!("../../testdata/estimate/code.rs.txt")), 1216);
        let tools: Value = serde_json::from_str(include_str!("../../testdata/estimate/tools.json")).unwrap();
        check(&json!({"model": "m", "tools": tools}), 469);
    }

    #[test]
    fn fields_other_than_input_are_not_counted() {
        let text = "word ".repeat(1000);
        let one = estimate(&request("word"));
        let other = json!({
            "model": "m",
            "messages": [{"role": "user", "content": "word"}],
            "metadata": {"user_id": text},
        });
        assert_eq!(estimate(&other), one);
        assert_eq!(estimate(&json!({"model": "m"})), 0);
        assert!(estimate(&request(&text)).abs_diff(one + 1000) < 100);
    }

    #[test]
    fn a_sample_estimates_a_large_body_within_a_tenth_and_a_small_one_exactly() {
        #[track_caller]
        fn check(texts: &[&str]) {
            let signature = "Erk+".repeat(200);
            let messages: Vec<Value> = (0..60)
                .map(|turn| {
                    json!({"role": "assistant", "content": [
                        {"type": "thinking", "thinking": "short", "signature": signature},
                        {"type": "text", "text": texts[turn % texts.len()]},
                    ]})
                })
                .collect();
            for count in [1, 2, 5, 20, 60] {
                let body = json!({"model": "m", "messages": messages[..count]}).to_string();
                let body = MessagesBody::parse(body.into()).unwrap();
                let (exact, found) = (estimate_tokens(&body), estimate_tokens_by_sample(&body));
                let length = body.messages().map_or(0, |messages| messages.len());
                let bound = if length <= 8192 { 2 } else { exact / 10 };
                assert!(found.abs_diff(exact) <= bound, "{found} for {length} bytes, expected {exact}");
            }
        }
        let (prose, code) = (
            include_str!("../../testdata/estimate/prose.md"),
            include_str!("../../testdata/estimate/code.rs.txt"),
        );
        check(&["short"]);
        check(&[prose]);
        check(&[code]);
        check(&[prose, code, "short"]);
        check(&[&"Größe und 中文字符. ".repeat(200)]);
    }

    #[test]
    fn base64_is_not_counted_as_text() {
        let block = |block: Value| json!({"model": "m", "messages": [{"role": "user", "content": [block]}]});
        let source = |data: &str| json!({"type": "base64", "media_type": "image/png", "data": data});
        let image = |data: &str| estimate(&block(json!({"type": "image", "source": source(data)})));
        let frame = image("");

        // The header of a PNG of 1000 × 750 pixels, followed by arbitrary data.
        let png = format!("iVBORw0KGgoAAAANSUhEUgAAA+gAAALu{}", "QUJD".repeat(100_000));
        assert_eq!(image(&png) - frame, 1000);

        let thinking = |signature: &str| {
            estimate(&block(json!({"type": "thinking", "thinking": "short", "signature": signature})))
        };
        assert_eq!(thinking(&"Erk+".repeat(1000)), thinking(""));
        let redacted = |data: &str| estimate(&block(json!({"type": "redacted_thinking", "data": data})));
        assert_eq!(redacted(&"EmwK".repeat(1000)), redacted(""));

        // Text in the same place is text.
        let text = "a line of a document, ".repeat(100);
        assert!(image(&text) > frame + 300);
    }
}
