//! One pass over a Messages body: is it JSON, and where are the fields that the relay reads?
//!
//! No tree is built and nothing is copied but the model's name. The pass checks the whole of RFC 8259's grammar, so
//! that what reaches an upstream parses there as it was read here.

use std::ops::Range;

use smallvec::SmallVec;

/// Arrays and objects may nest this deep. Upstreams stop at a few hundred levels; the bound keeps the stack of
/// open brackets at 128 bytes.
pub(super) const MAX_DEPTH: usize = 1024;

/// The top-level object may have this many members; the Messages API has about thirty.
pub(super) const MAX_MEMBERS: usize = 1024;

/// Where a value stands in the body.
pub(crate) type Span = Range<usize>;

/// Why a body is not a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// There is nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// RFC 8259 section 8.1 wants UTF-8.
    #[error("the body is not valid UTF-8 at byte {offset}")]
    Utf8 {
        /// The first byte that is not.
        offset: usize,
    },
    /// The text is JSON, but not an object.
    #[error("the body is a JSON {found}, expected an object")]
    NotAnObject {
        /// What it is instead.
        found: &'static str,
    },
    /// The text breaks the grammar.
    #[error(
        "the body is not valid JSON at line {line}, column {column} (byte {offset}): expected {expected}"
    )]
    Syntax {
        /// Counted from 0.
        offset: usize,
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// The text ends too early.
    #[error("the body ends at byte {offset} in the middle of a JSON {within}")]
    Truncated {
        /// The length of the body.
        offset: usize,
        /// What was left open.
        within: &'static str,
    },
    /// The object has more members than any request needs.
    #[error("the body has more than 1024 fields")]
    TooManyMembers,
    /// Arrays and objects nest deeper than 1024 levels.
    #[error("the body nests deeper than 1024 levels at byte {offset}")]
    TooDeep {
        /// Where the level too many begins.
        offset: usize,
    },
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// A member's value: what it is and where it stands, quotes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// A member of the top-level object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Where the key stands, quotes included.
    pub(crate) key: Span,
    pub(crate) value: Value,
}

/// The members of the top-level object, and those among them that the relay reads.
///
/// Of a key that stands more than once the last value counts, as in the parsers of Python, JavaScript and serde_json;
/// for `model` every occurrence is kept, so that an edit leaves no other name for an upstream to find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// All of them, in order.
    pub(crate) members: SmallVec<[Member; 16]>,
    pub(crate) model: SmallVec<[Value; 1]>,
    pub(crate) stream: Option<Value>,
    pub(crate) max_tokens: Option<Value>,
    /// `metadata.user_id`, of the last `metadata`.
    pub(crate) user_id: Option<Value>,
    pub(crate) system: Option<Value>,
    pub(crate) messages: Option<Value>,
    pub(crate) tools: Option<Value>,
}

/// Reads `body` once.
///
/// # Errors
/// [`ScanError`] for anything but one JSON object in UTF-8 with at most 1024 levels.
pub(crate) fn scan(body: &[u8]) -> Result<Fields, ScanError> {
    if simdutf8::basic::from_utf8(body).is_err() {
        let offset = simdutf8::compat::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
        return Err(ScanError::Utf8 { offset });
    }
    Scanner { body, at: 0 }.document()
}

struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<Fields, ScanError> {
        self.skip_whitespace();
        if self.at == self.body.len() {
            return Err(ScanError::Empty);
        }
        if self.peek() != Some(b'{') {
            let value = self.value(0)?;
            self.end()?;
            return Err(ScanError::NotAnObject { found: value.kind.name() });
        }
        let mut fields = Fields::default();
        self.members(|scanner, span, key| {
            let value = match key {
                b"metadata" => scanner.metadata(&mut fields.user_id)?,
                _ => scanner.value(1)?,
            };
            if fields.members.len() == MAX_MEMBERS {
                return Err(ScanError::TooManyMembers);
            }
            fields.members.push(Member { key: span, value: value.clone() });
            match key {
                b"model" => fields.model.push(value),
                b"stream" => fields.stream = Some(value),
                b"max_tokens" => fields.max_tokens = Some(value),
                b"system" => fields.system = Some(value),
                b"messages" => fields.messages = Some(value),
                b"tools" => fields.tools = Some(value),
                _ => {}
            }
            Ok(())
        })?;
        self.end()?;
        Ok(fields)
    }

    /// The value of `metadata`, with the `user_id` in it; of anything but an object there is none.
    fn metadata(&mut self, user_id: &mut Option<Value>) -> Result<Value, ScanError> {
        *user_id = None;
        if self.peek() != Some(b'{') {
            return self.value(1);
        }
        let start = self.at;
        self.members(|scanner, _, key| {
            let value = scanner.value(2)?;
            if key == b"user_id" {
                *user_id = Some(value);
            }
            Ok(())
        })?;
        Ok(Value { kind: Kind::Object, span: start..self.at })
    }

    /// The members of the object whose brace is next; `member` gets where each key stands, and the key unescaped, and
    /// reads its value.
    fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, Span, &[u8]) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.at += 1;
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let span = self.key()?;
            let inside = &self.body[span.start + 1..span.end - 1];
            if inside.contains(&b'\\') {
                let key: Option<String> = serde_json::from_slice(&self.body[span.clone()]).ok();
                // A key with half a surrogate pair is none of those that the relay reads.
                member(self, span, key.as_deref().unwrap_or_default().as_bytes())?;
            } else {
                member(self, span, inside)?;
            }
            self.skip_whitespace();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.unexpected("`,` or `}`", "object")),
            }
            self.skip_whitespace();
        }
    }

    /// A key and the colon behind it, up to the value; gives the key's span.
    fn key(&mut self) -> Result<Span, ScanError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes", "object"));
        }
        let start = self.at;
        self.string()?;
        let span = start..self.at;
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:`", "object"));
        }
        self.at += 1;
        self.skip_whitespace();
        Ok(span)
    }

    /// Skips one value of any kind; `depth` brackets are open around it.
    fn value(&mut self, depth: usize) -> Result<Value, ScanError> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            _ => {
                let kind = self.scalar()?;
                return Ok(Value { kind, span: start..self.at });
            }
        };
        let mut open = Brackets::new(depth);
        loop {
            // At the start of a value.
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    open.push(bracket == b'{').map_err(|TooDeep| ScanError::TooDeep { offset: self.at })?;
                    self.at += 1;
                    self.skip_whitespace();
                    match (bracket, self.peek()) {
                        (b'{', Some(b'}')) | (b'[', Some(b']')) => {}
                        (b'{', _) => {
                            self.key()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                _ => {
                    self.scalar()?;
                    self.skip_whitespace();
                }
            }
            // Behind a value, or in front of the bracket that closes an empty one.
            loop {
                match (self.peek(), open.innermost_is_object()) {
                    (Some(b','), true) => {
                        self.at += 1;
                        self.skip_whitespace();
                        self.key()?;
                        break;
                    }
                    (Some(b','), false) => {
                        self.at += 1;
                        self.skip_whitespace();
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        open.pop();
                        if open.is_empty() {
                            return Ok(Value { kind, span: start..self.at });
                        }
                        self.skip_whitespace();
                    }
                    (_, true) => return Err(self.unexpected("`,` or `}`", "object")),
                    (_, false) => return Err(self.unexpected("`,` or `]`", "array")),
                }
            }
        }
    }

    fn scalar(&mut self) -> Result<Kind, ScanError> {
        match self.peek() {
            Some(b'"') => self.string().map(|()| Kind::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Number),
            Some(b't') => self.literal(b"true").map(|()| Kind::Bool),
            Some(b'f') => self.literal(b"false").map(|()| Kind::Bool),
            Some(b'n') => self.literal(b"null").map(|()| Kind::Null),
            _ => Err(self.unexpected("a value", "object or array")),
        }
    }

    fn literal(&mut self, text: &'static [u8]) -> Result<(), ScanError> {
        for &byte in text {
            if self.peek() != Some(byte) {
                return Err(self.unexpected("`true`, `false` or `null`", "literal"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// RFC 8259 section 6: `-` int frac exp, no leading zeros.
    fn number(&mut self) -> Result<(), ScanError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let count = self.body[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.unexpected("a digit", "number"));
        }
        self.at += count;
        Ok(())
    }

    /// Skips a string; its opening quote is next.
    fn string(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        loop {
            self.at += plain_prefix(&self.body[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.unexpected("no control character inside a string", "string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.unexpected("four hexadecimal digits", "string"));
                    }
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(self.unexpected("an escape character", "string")),
        }
    }

    fn end(&mut self) -> Result<(), ScanError> {
        self.skip_whitespace();
        if self.at < self.body.len() {
            return Err(self.unexpected("nothing behind the JSON value", "body"));
        }
        Ok(())
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    #[cold]
    fn unexpected(&self, expected: &'static str, within: &'static str) -> ScanError {
        let offset = self.at;
        if offset >= self.body.len() {
            return ScanError::Truncated { offset, within };
        }
        let before = &self.body[..offset];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = offset - before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1) + 1;
        ScanError::Syntax { offset, line, column, expected }
    }
}

/// How many bytes at the start of `text` are neither a quote, a backslash nor a control character.
///
/// Eight bytes at a time: text in requests is full of escapes, so that runs are too short for a search that has to be
/// set up first.
fn plain_prefix(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    /// The high bit of every byte of `word` that is zero; bytes above the lowest such byte may be wrong.
    fn zero_bytes(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = zero_bytes(word ^ (ONES * u64::from(b'"')));
        let backslash = zero_bytes(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = quote | backslash | control;
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = tail.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    words.len() * 8 + special.unwrap_or(tail.len())
}

/// Which brackets are open, one bit each: set for an object, clear for an array.
struct Brackets {
    bits: [u64; MAX_DEPTH / 64],
    outside: usize,
    depth: usize,
}

struct TooDeep;

impl Brackets {
    /// `outside` brackets are open already; they count for the bound alone.
    fn new(outside: usize) -> Self {
        Self { bits: [0; MAX_DEPTH / 64], outside, depth: 0 }
    }

    fn push(&mut self, object: bool) -> Result<(), TooDeep> {
        if self.outside + self.depth == MAX_DEPTH {
            return Err(TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn is_empty(&self) -> bool {
        self.depth == 0
    }

    fn innermost_is_object(&self) -> bool {
        let last = self.depth - 1;
        self.bits[last / 64] >> (last % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    #[track_caller]
    fn check_error(body: impl AsRef<[u8]>, expected: &str) {
        assert_eq!(scan(body.as_ref()).unwrap_err().to_string(), expected);
    }

    #[track_caller]
    fn text<'a>(body: &'a str, value: Option<&Value>) -> &'a str {
        &body[value.expect("the field is found").span.clone()]
    }

    #[test]
    fn fields_are_found_wherever_they_stand() {
        let body = r#"{"messages":[{"role":"user","content":"\"model\":\"no\""}], "model" : "claude-opus-5-5",
            "system":[{"type":"text"}],"tools":[],"metadata":{"a":1,"user_id":"{\"session_id\":\"s\"}"},
            "max_tokens":128000,"thinking":{"model":"nested"},"stream":true}"#;
        let fields = scan(body.as_bytes()).unwrap();
        assert_eq!(fields.model.len(), 1);
        assert_eq!(text(body, fields.model.last()), r#""claude-opus-5-5""#);
        assert_eq!(text(body, fields.stream.as_ref()), "true");
        assert_eq!(text(body, fields.max_tokens.as_ref()), "128000");
        assert_eq!(text(body, fields.user_id.as_ref()), r#""{\"session_id\":\"s\"}""#);
        assert_eq!(text(body, fields.system.as_ref()), r#"[{"type":"text"}]"#);
        assert_eq!(text(body, fields.tools.as_ref()), "[]");
        assert!(text(body, fields.messages.as_ref()).starts_with(r#"[{"role""#));
    }

    #[test]
    fn every_occurrence_of_model_is_kept_and_the_last_of_the_others() {
        let body = r#"{"model":"a","stream":false,"mod\u0065l":7,"stream":true,"metadata":{"user_id":"x"},"metadata":3}"#;
        let fields = scan(body.as_bytes()).unwrap();
        assert_eq!(
            fields.model.iter().map(|value| value.kind).collect::<Vec<_>>(),
            [Kind::String, Kind::Number]
        );
        assert_eq!(text(body, fields.stream.as_ref()), "true");
        assert_eq!(fields.user_id, None);
    }

    #[test]
    fn what_is_not_an_object_is_refused_with_the_place() {
        check_error("", "the body is empty");
        check_error(" \n\t", "the body is empty");
        check_error("[1]", "the body is a JSON array, expected an object");
        check_error("\"x\"", "the body is a JSON string, expected an object");
        check_error("hello", "the body is not valid JSON at line 1, column 1 (byte 0): expected a value");
        check_error(b"{\"a\":\"\xff\"}", "the body is not valid UTF-8 at byte 6");
        check_error(
            "\u{feff}{}",
            "the body is not valid JSON at line 1, column 1 (byte 0): expected a value",
        );
        check_error("{\"a\":1", "the body ends at byte 6 in the middle of a JSON object");
        check_error("{\"a\":[1,", "the body ends at byte 8 in the middle of a JSON object or array");
        check_error("{\"a\":\"b", "the body ends at byte 7 in the middle of a JSON string");
        check_error(
            "{\n  \"a\": 1,\n}",
            "the body is not valid JSON at line 3, column 1 (byte 12): expected a key in double quotes",
        );
        check_error(
            "{} {}",
            "the body is not valid JSON at line 1, column 4 (byte 3): expected nothing behind the JSON value",
        );
        check_error(
            "{\"a\":\"x\ny\"}",
            "the body is not valid JSON at line 1, column 8 (byte 7): expected no control character inside a string",
        );
        check_error(
            "{\"a\":01}",
            "the body is not valid JSON at line 1, column 7 (byte 6): expected `,` or `}`",
        );
        check_error(
            "{\"a\":[1}",
            "the body is not valid JSON at line 1, column 8 (byte 7): expected `,` or `]`",
        );
    }

    #[test]
    fn nesting_has_a_bound_and_no_recursion() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(scan(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        let offset = 5 + MAX_DEPTH - 1;
        check_error(nested(MAX_DEPTH), &format!("the body nests deeper than 1024 levels at byte {offset}"));
        check_error(
            "[".repeat(1_000_000),
            &format!("the body nests deeper than 1024 levels at byte {MAX_DEPTH}"),
        );
    }

    #[test]
    fn the_members_of_an_object_have_a_bound() {
        let members = |count: usize| format!("{{{}}}", vec!["\"a\":1"; count].join(","));
        assert_eq!(scan(members(MAX_MEMBERS).as_bytes()).unwrap().members.len(), MAX_MEMBERS);
        check_error(members(MAX_MEMBERS + 1), "the body has more than 1024 fields");
    }

    #[test]
    fn a_plain_prefix_ends_at_the_first_special_byte() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for length in 0..40 {
                for tail in 0..20 {
                    let mut text = vec![b'x'; length];
                    text.push(special);
                    text.extend(std::iter::repeat_n(b'"', tail));
                    assert_eq!(plain_prefix(&text), length, "{special} after {length}");
                }
            }
        }
        let plain = "übergrößen\u{7f} plain text \u{1f980}";
        assert_eq!(plain_prefix(plain.as_bytes()), plain.len());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_json_object_is_accepted(value in prop::collection::hash_map(any::<String>(), json(), 0..8), pretty: bool) {
            let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            prop_assert!(scan(&text).is_ok());
        }

        #[test]
        fn any_bytes_are_accepted_exactly_where_a_parser_accepts_them(
            value in prop::collection::hash_map("[a-z\"\\\\]{0,8}", json(), 0..4), at: prop::sample::Index, byte: u8,
        ) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            // Ignoring values keeps the parser from judging more than the grammar: 1e999 is a number.
            let parsed = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&text);
            let valid = parsed.is_ok() && std::str::from_utf8(&text).is_ok();
            // It also refuses halves of surrogate pairs in a key, which the grammar allows.
            if !String::from_utf8_lossy(&text).contains("\\u") {
                prop_assert_eq!(scan(&text).is_ok(), valid, "{:?}", String::from_utf8_lossy(&text));
            }
        }
    }
}
