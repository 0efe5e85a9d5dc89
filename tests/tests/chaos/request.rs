//! Distinguishable requests, and their answers.

use bytes::Bytes;

/// The identity of a request: its number and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    number: u64,
    length: usize,
    pub(crate) is_stream: bool,
}

/// The model of most requests.
const MODEL: &str = "m";
const START: &str = r#"{"model":""#;
const NUMBER: &str = r#"","max_tokens":64,"metadata":{"user_id":"number-"#;
const PADDING: &str = r#""},"messages":[{"role":"user","content":""#;
const STREAM: &str = r#""}],"stream":true}"#;
const NO_STREAM: &str = r#""}]}"#;

impl Mark {
    /// Creates a request with this number and a body of about `length` bytes.
    pub(crate) fn new(number: u64, length: usize, is_stream: bool) -> (Self, Bytes) {
        Self::for_model(MODEL, number, length, is_stream)
    }

    /// Creates a request for `model`, with this number and a body of about `length` bytes.
    pub(crate) fn for_model(model: &str, number: u64, length: usize, is_stream: bool) -> (Self, Bytes) {
        let end = if is_stream { STREAM } else { NO_STREAM };
        let body = format!("{START}{model}{NUMBER}{number}{PADDING}{}{end}", "x".repeat(length));
        (Self { number, length: body.len(), is_stream }, body.into())
    }

    /// Reads the mark from the body that arrived. Checks start and end, so that bytes of two requests cannot be mixed.
    pub(crate) fn of(body: &[u8]) -> Self {
        let start = body.strip_prefix(START.as_bytes()).expect("the start of a request");
        let quote = start.iter().position(|byte| *byte == b'"').expect("a model");
        let digits = start[quote..].strip_prefix(NUMBER.as_bytes()).expect("the members before the number");
        let end = digits.iter().position(|byte| !byte.is_ascii_digit()).expect("more than digits");
        let number = std::str::from_utf8(&digits[..end]).ok().and_then(|digits| digits.parse().ok());
        let is_stream = body.ends_with(STREAM.as_bytes());
        assert!(is_stream || body.ends_with(NO_STREAM.as_bytes()), "the end of a request");
        Self { number: number.expect("a number"), length: body.len(), is_stream }
    }

    /// Returns the text that answers the request, of at least `length` bytes.
    pub(crate) fn answer(self, length: usize) -> String {
        let Self { number, length: body_length, .. } = self;
        let start = format!("{number}, of {body_length} bytes: ");
        let padding = length.saturating_sub(start.len());
        format!("{start}{}. End of {number}", "y".repeat(padding))
    }

    /// True if `text` is the complete answer to the request.
    pub(crate) fn is_answered_by(self, text: &str) -> bool {
        text == self.answer(200) || text == self.answer(300_000)
    }
}
