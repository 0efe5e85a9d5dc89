//! Estimates the number of tokens in a request, for upstreams that do not count them.
//!
//! ```text
//! system, messages, tools ─opaque─▶ text ─text::tokens─▶ tokens of text
//!                             └───▶ base64 ─media::tokens─▶ tokens of images and documents
//! ```
//! The exact estimate takes one pass over the bytes as they were sent, without parsing them. Routing uses the estimate from the
//! length of the text, which is not read.

mod media;
mod opaque;
mod text;

use std::ops::Range;

use bytes::Bytes;

use crate::body::MessagesBody;

/// The bytes of JSON text for each token: 3 to 4 in prose and code, and up to 6 in the definitions of tools.
const BYTES_PER_TOKEN: u64 = 4;

/// The types of content, of tools and of JSON Schemas whose values are text, except the seals of thinking, and the roles.
const PLAIN_TYPES: [&[u8]; 22] = [
    b"user",
    b"assistant",
    b"system",
    b"text",
    b"thinking",
    b"redacted_thinking",
    b"tool_use",
    b"tool_result",
    b"ephemeral",
    b"custom",
    b"auto",
    b"any",
    b"enabled",
    b"adaptive",
    b"disabled",
    b"object",
    b"array",
    b"string",
    b"integer",
    b"number",
    b"boolean",
    b"null",
];

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

/// Estimates the input tokens of `body` by the length of its text. Images, documents and signatures count as in
/// [`estimate_tokens`].
///
/// The text itself is not read, so that the estimate may be off by a third. A caller that knows the counts of earlier requests
/// corrects it by their ratio.
#[must_use]
pub fn estimate_tokens_by_length(body: &MessagesBody) -> u64 {
    let is_plain = !body.types().may_be(|kind| !PLAIN_TYPES.contains(&kind));
    if let (true, Some(sealed)) = (is_plain, body.seals().length()) {
        let length: u64 = members(body).map(|json| json.len() as u64).sum();
        return length.saturating_sub(sealed).div_ceil(BYTES_PER_TOKEN);
    }
    let (mut length, mut media) = (0, 0);
    for part in parts(body) {
        length += part.texts().map(|text| text.len() as u64).sum::<u64>();
        media += part.tokens_of_media();
    }
    media + length.div_ceil(BYTES_PER_TOKEN)
}

/// A member with input tokens.
struct Part {
    json: Bytes,
    /// The values that are not text.
    opaque: Vec<Range<usize>>,
}

/// Returns the JSON of the members of `body` that have input tokens.
fn members(body: &MessagesBody) -> impl Iterator<Item = Bytes> {
    [body.system(), body.messages(), body.tools()].into_iter().flatten()
}

/// Returns these members with the places of their values that are not text.
fn parts(body: &MessagesBody) -> impl Iterator<Item = Part> {
    members(body).map(|json| Part { opaque: opaque::values(&json), json })
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
    fn the_length_estimates_text_within_a_third_of_its_tokens() {
        #[track_caller]
        fn check(text: &str) {
            let signature = "Erk+".repeat(200);
            for count in [1, 5, 60] {
                let message = json!({"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "short", "signature": signature},
                    {"type": "text", "text": text},
                ]});
                let body = json!({"model": "m", "messages": vec![message; count]}).to_string();
                let body = MessagesBody::parse(body.into()).unwrap();
                let (exact, found) = (estimate_tokens(&body), estimate_tokens_by_length(&body));
                assert!(found.abs_diff(exact) <= exact / 3, "{found}, expected about {exact}");
            }
        }
        check(include_str!("../../testdata/estimate/prose.md"));
        check(include_str!("../../testdata/estimate/code.rs.txt"));
    }

    #[test]
    fn only_text_has_a_length() {
        #[track_caller]
        fn check(block: Value, expected: u64) {
            let body = json!({"model": "m", "messages": [{"role": "user", "content": [block]}]}).to_string();
            let body = MessagesBody::parse(body.into()).unwrap();
            let found = estimate_tokens_by_length(&body);
            assert!(found.abs_diff(expected) <= 40, "{found}, expected about {expected}");
        }
        let (base64, text) = ("QUJD".repeat(10_000), "word".repeat(10_000));
        // The header of a PNG of 1000 × 750 pixels, followed by arbitrary data.
        let png = format!("iVBORw0KGgoAAAANSUhEUgAAA+gAAALu{base64}");
        check(
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png}}),
            1000,
        );
        check(json!({"type": "thinking", "thinking": "t", "signature": base64}), 0);
        check(json!({"type": "thinking", "thinking": text, "signature": base64}), 10_000);
        check(json!({"type": "redacted_thinking", "data": base64}), 0);
        check(
            json!({"type": "thinking", "thinking": "t", "signature": base64, "source": {"type": "base64", "data": base64}}),
            0,
        );
        check(json!({"type": "web_search_result", "encrypted_content": base64}), 0);
        check(json!({"type": "a_type_of_the_future", "encrypted_content": base64}), 0);
        check(json!({"type": "text", "text": text}), 10_000);
        check(json!({"type": "tool_use", "name": "t", "input": {"data": text}}), 10_000);
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
