//! A scanner for the grammar of JSON (RFC 8259), without recursion and without a tree.

use std::ops::Range;

use super::index::Record;
use super::{steps, strings};

/// The maximum nesting depth of arrays and objects. Upstreams accept a few hundred levels; the limit keeps
/// the stack of open brackets at 128 bytes.
pub(super) const MAX_DEPTH: usize = 1024;

/// The byte range of a value in the body.
pub(crate) type Span = Range<usize>;

/// The reason that a body is not a JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The body is empty or only white space.
    #[error("the body is empty")]
    Empty,
    /// The body is not UTF-8, which RFC 8259 section 8.1 requires.
    #[error("the body is not valid UTF-8 at byte {offset}")]
    Utf8 {
        /// The offset of the first invalid byte.
        offset: usize,
    },
    /// The text is JSON, but not an object.
    #[error("the body is a JSON {found}, expected an object")]
    NotAnObject {
        /// The kind of the JSON value.
        found: &'static str,
    },
    /// The text breaks the grammar.
    #[error(
        "the body is not valid JSON at line {line}, column {column} (byte {offset}): expected {expected}"
    )]
    Syntax {
        /// The byte offset of the error, counted from 0.
        offset: usize,
        /// The line of the error, counted from 1.
        line: usize,
        /// The column of the error in bytes, counted from 1.
        column: usize,
        /// The token that the grammar expects at this offset.
        expected: &'static str,
    },
    /// The text ends inside a value.
    #[error("the body ends at byte {offset} in the middle of a JSON {within}")]
    Truncated {
        /// The length of the body.
        offset: usize,
        /// The kind of the incomplete value.
        within: &'static str,
    },
    /// The object has more than 1024 members, far more than any request needs.
    #[error("the body has more than 1024 fields")]
    TooManyMembers,
    /// Arrays and objects nest deeper than 1024 levels.
    #[error("the body nests deeper than 1024 levels at byte {offset}")]
    TooDeep {
        /// The byte offset of the first bracket beyond the limit.
        offset: usize,
    },
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl JsonKind {
    /// Returns the kind of a value that starts with `byte`.
    pub(super) fn of(byte: u8) -> Self {
        match byte {
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'"' => Self::String,
            b't' | b'f' => Self::Bool,
            b'n' => Self::Null,
            _ => Self::Number,
        }
    }

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

/// The kind and the span of a member's value. The span of a string includes the quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: JsonKind,
    pub(crate) span: Span,
}

/// The progress of a value that is skipped in turns.
pub(super) struct Skip {
    start: usize,
    /// The start of the string inside which the next byte is.
    string: Option<usize>,
    open: Brackets,
}

/// The end of a turn of a scan.
pub(super) trait TurnEnd: Copy {
    /// Returns `true` if the turn ends before the byte `at`.
    fn is_reached(self, at: usize) -> bool;
    /// Returns the part of `text` before the end.
    fn before(self, text: &[u8]) -> &[u8];
}

/// A turn that reads the whole text. Its scan compares no positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndOfText;

impl TurnEnd for EndOfText {
    fn is_reached(self, _: usize) -> bool {
        false
    }

    fn before(self, text: &[u8]) -> &[u8] {
        text
    }
}

/// A turn that ends before the first value, or the first byte of a string, at this position or after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndAt(pub(super) usize);

impl TurnEnd for EndAt {
    fn is_reached(self, at: usize) -> bool {
        at >= self.0
    }

    fn before(self, text: &[u8]) -> &[u8] {
        text.get(..self.0).unwrap_or(text)
    }
}

/// Reads values in place, without copying them.
pub(super) struct Scanner<'a, R = ()> {
    body: &'a [u8],
    at: usize,
    /// Receives the values that are skipped.
    pub(super) recorder: R,
}

impl<'a> Scanner<'a> {
    /// A scanner at byte `at` of `body`, which has been scanned before.
    pub(super) fn at(body: &'a [u8], at: usize) -> Self {
        Self { body, at, recorder: () }
    }
}

impl<'a, R: Record> Scanner<'a, R> {
    /// A scanner at the start of `body`, which is UTF-8. It passes the values that it skips to `recorder`.
    pub(super) fn new(body: &'a [u8], recorder: R) -> Self {
        Self { body, at: 0, recorder }
    }

    /// The number of bytes that have been read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Reads a key and the colon after it, up to the value. Returns the span of the key.
    pub(super) fn key(&mut self) -> Result<Span, ScanError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes", "object"));
        }
        let start = self.at;
        self.string()?;
        let span = start..self.at;
        steps::add(span.len());
        self.recorder.key(start, &self.body[span.clone()]);
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("`:`", "object"));
        }
        self.at += 1;
        self.skip_whitespace();
        Ok(span)
    }

    /// Reads a key and the colon after it, as [`key`](Self::key) does, in a text that has been scanned before.
    #[inline]
    pub(super) fn known_key(&mut self) -> Option<Span> {
        let start = self.at;
        self.at += 1;
        self.end_of_string(EndOfText).ok()?;
        let span = start..self.at;
        steps::add(span.len());
        self.skip_whitespace();
        self.separator();
        Some(span)
    }

    /// Skips a value in a text that has been scanned before, so that no part of it breaks the grammar or nests too deep. Returns its
    /// kind.
    #[inline]
    pub(super) fn known_value(&mut self) -> Option<JsonKind> {
        let start = self.at;
        if self.peek()? != b'"' {
            return self.value(0).ok().map(|value| value.kind);
        }
        self.string().ok()?;
        steps::add(self.at - start);
        Some(JsonKind::String)
    }

    /// Skips one value of any kind; `depth` brackets are open around it.
    pub(super) fn value(&mut self, depth: usize) -> Result<Value, ScanError> {
        let start = self.at;
        if let Some(kind) = self.short_value()? {
            steps::add(self.at - start);
            return Ok(Value { kind, span: start..self.at });
        }
        let mut skip = self.begin(depth);
        loop {
            // The first call reads the whole value.
            if let Some(value) = self.skip(&mut skip, EndOfText)? {
                return Ok(value);
            }
        }
    }

    /// Skips a value that is neither an object nor an array. Returns `None`, and skips nothing, for these two.
    fn short_value(&mut self) -> Result<Option<JsonKind>, ScanError> {
        match self.peek() {
            Some(b'{' | b'[') => Ok(None),
            _ => self.scalar().map(Some),
        }
    }

    /// Begins to skip the next value; `depth` brackets are open around it.
    pub(super) fn begin(&self, depth: usize) -> Skip {
        Skip { start: self.at, string: None, open: Brackets::new(depth) }
    }

    /// Goes on to skip a value. Returns `None` if the turn ends before the value does: the next call goes on from there. Keys, and
    /// the white space between two values, are not interrupted.
    pub(super) fn skip(&mut self, skip: &mut Skip, end: impl TurnEnd) -> Result<Option<Value>, ScanError> {
        if let Some(start) = skip.string.take() {
            if !self.rest_of_string(start, skip, end)? {
                return Ok(None);
            }
            if !self.next_value(&mut skip.open)? {
                return Ok(Some(self.skipped(skip.start)));
            }
        }
        loop {
            if end.is_reached(self.at) {
                return Ok(None);
            }
            match self.peek() {
                Some(b'"') => {
                    let start = self.at;
                    self.at += 1;
                    if !self.rest_of_string(start, skip, end)? {
                        return Ok(None);
                    }
                }
                Some(bracket @ (b'{' | b'[')) => {
                    if self.first_value(bracket, &mut skip.open)? {
                        continue;
                    }
                }
                _ => {
                    self.scalar()?;
                }
            }
            if !self.next_value(&mut skip.open)? {
                return Ok(Some(self.skipped(skip.start)));
            }
        }
    }

    /// Skips and records the string that starts at `start`, from a byte inside it. Returns `false` if the turn ends before.
    #[inline(always)]
    fn rest_of_string(
        &mut self,
        start: usize,
        skip: &mut Skip,
        end: impl TurnEnd,
    ) -> Result<bool, ScanError> {
        let has_ended = self.end_of_string(end)?;
        match has_ended {
            true => self.recorder.string(start, self.at),
            false => skip.string = Some(start),
        }
        Ok(has_ended)
    }

    /// Reads `bracket`, which is next, up to the first value in it. Returns `false`, before the closing bracket, if it is empty.
    #[inline(always)]
    fn first_value(&mut self, bracket: u8, open: &mut Brackets) -> Result<bool, ScanError> {
        open.push(bracket == b'{').map_err(|TooDeep| ScanError::TooDeep { offset: self.at })?;
        self.recorder.open(self.at);
        self.separator();
        match (bracket, self.peek()) {
            (b'{', Some(b'}')) | (b'[', Some(b']')) => return Ok(false),
            (b'{', _) => {
                self.key()?;
            }
            _ => {}
        }
        Ok(true)
    }

    /// Reads the bytes after a value up to the next one. Returns `false` if no bracket of `open` is left.
    #[inline(always)]
    fn next_value(&mut self, open: &mut Brackets) -> Result<bool, ScanError> {
        while !open.is_empty() {
            self.skip_whitespace();
            match (self.peek(), open.innermost_is_object()) {
                (Some(b','), true) => {
                    self.separator();
                    self.key()?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.separator();
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    self.recorder.close(self.at);
                    open.pop();
                }
                (_, true) => return Err(self.unexpected("`,` or `}`", "object")),
                (_, false) => return Err(self.unexpected("`,` or `]`", "array")),
            }
        }
        Ok(false)
    }

    /// Returns the value from `start` to the current position.
    fn skipped(&self, start: usize) -> Value {
        steps::add(self.at - start);
        Value { kind: JsonKind::of(self.body[start]), span: start..self.at }
    }

    fn scalar(&mut self) -> Result<JsonKind, ScanError> {
        match self.peek() {
            Some(b'"') => self.recorded_string(),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| JsonKind::Number),
            Some(b't') => self.literal(b"true").map(|()| JsonKind::Bool),
            Some(b'f') => self.literal(b"false").map(|()| JsonKind::Bool),
            Some(b'n') => self.literal(b"null").map(|()| JsonKind::Null),
            _ => Err(self.unexpected("a value", "object or array")),
        }
    }

    fn recorded_string(&mut self) -> Result<JsonKind, ScanError> {
        let start = self.at;
        self.string()?;
        self.recorder.string(start, self.at);
        Ok(JsonKind::String)
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

    /// Reads a number by RFC 8259 section 6: `-` int frac exp, no leading zeros.
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
    #[inline(always)]
    fn string(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        self.end_of_string(EndOfText).map(drop)
    }

    /// Skips a string from a byte inside it. Returns `false` if the turn ends before: the next call goes on from there.
    #[inline(always)]
    fn end_of_string(&mut self, end: impl TurnEnd) -> Result<bool, ScanError> {
        match strings::short(end.before(self.body).get(self.at..).unwrap_or_default()) {
            Some(text) => {
                self.at += text.len() + 1;
                Ok(true)
            }
            None => self.end_of_long_string(end),
        }
    }

    /// Skips a string of any length, as [`end_of_string`](Self::end_of_string) does.
    fn end_of_long_string(&mut self, end: impl TurnEnd) -> Result<bool, ScanError> {
        loop {
            self.at += strings::prefix(end.before(self.body).get(self.at..).unwrap_or_default());
            if end.is_reached(self.at) {
                return Ok(false);
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(true);
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

    /// Checks that only white space is left.
    pub(super) fn end(&mut self) -> Result<(), ScanError> {
        self.skip_whitespace();
        if self.at < self.body.len() {
            return Err(self.unexpected("nothing after the JSON value", "body"));
        }
        Ok(())
    }

    /// Skips a comma or a colon, which must be the next byte, and the white space after it.
    pub(super) fn separator(&mut self) {
        self.at += 1;
        self.skip_whitespace();
    }

    pub(super) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The next byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    #[cold]
    pub(super) fn unexpected(&self, expected: &'static str, within: &'static str) -> ScanError {
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

/// The stack of open brackets, one bit each: set for an object, clear for an array.
struct Brackets {
    bits: [u64; MAX_DEPTH / 64],
    outside: usize,
    depth: usize,
}

struct TooDeep;

impl Brackets {
    /// Creates an empty stack. `outside` brackets are already open; they only count towards the depth limit.
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
