//! A validator for JSON text, without recursion, allocation or a tree.

use std::ops::Range;

/// The deepest nesting of arrays and objects that is accepted. Events of the Messages API nest a few levels.
const MAX_DEPTH: usize = 512;

/// Returns `true` if `json` is one value of JSON in UTF-8, between white space.
///
/// # Source
/// RFC 8259. A `\u` escape needs four digits; surrogates need not be paired, since models send halves of pairs.
pub(crate) fn is_valid(json: &[u8]) -> bool {
    is_utf8(json)
        && (Delta::read(json).is_some_and(|delta| delta.len == json.len())
            || Validator::new(json).run().is_some())
}

/// Returns `true` if `text` is UTF-8. Most texts are ASCII, for which the check is faster.
#[inline]
pub(crate) fn is_utf8(text: &[u8]) -> bool {
    text.is_ascii() || std::str::from_utf8(text).is_ok()
}

/// Reads one object of JSON in UTF-8, between white space. Calls `member` with the key, as written, and the span of the value of each
/// member, until it returns `None`. Returns `None` if the text is no such object, or `member` has returned `None`.
pub(crate) fn read_object<'a>(
    json: &'a [u8],
    member: impl FnMut(&'a [u8], Range<usize>) -> Option<()>,
) -> Option<()> {
    if !is_utf8(json) {
        return None;
    }
    Validator::new(json).object(member)
}

/// The beginning of a delta in the compact form of the Messages API, up to its index.
const DELTA: &[u8] = br#"{"type":"content_block_delta","index":"#;
/// The kinds of deltas from their index up to the string that each of them carries.
const STRINGS: [(DeltaKind, &[u8]); 4] = [
    (DeltaKind::Text, br#","delta":{"type":"text_delta","text":""#),
    (DeltaKind::Thinking, br#","delta":{"type":"thinking_delta","thinking":""#),
    (DeltaKind::InputJson, br#","delta":{"type":"input_json_delta","partial_json":""#),
    (DeltaKind::Signature, br#","delta":{"type":"signature_delta","signature":""#),
];

/// A kind of delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeltaKind {
    Text,
    Thinking,
    InputJson,
    Signature,
}

/// A delta in the compact form. Nearly all events of a stream are, so that only the string of an event has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delta<'a> {
    pub(crate) kind: DeltaKind,
    /// The text between the quotes of its string, as written. It is not checked for UTF-8.
    pub(crate) text: &'a [u8],
    /// True only if `text` is ASCII.
    pub(crate) is_ascii: bool,
    /// The length of the whole object.
    pub(crate) len: usize,
}

impl<'a> Delta<'a> {
    /// Reads the delta with which `json` begins, if that is in the compact form.
    pub(crate) fn read(json: &'a [u8]) -> Option<Self> {
        let rest = json.strip_prefix(DELTA)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_number = digits == 1 || digits > 1 && rest[0] != b'0';
        let (kind, string) =
            STRINGS.iter().find_map(|(kind, start)| Some((*kind, rest[digits..].strip_prefix(*start)?)))?;
        let mut validator = Validator::new(string);
        validator.string()?;
        let (text, end) = (&string[..validator.at - 1], &string[validator.at..]);
        let len = json.len() - end.len() + 2;
        let is_ascii = validator.is_ascii();
        (is_number && end.starts_with(b"}}")).then_some(Self { kind, text, is_ascii, len })
    }

    /// The number of bytes that are output of the model. A signature is none.
    #[inline]
    pub(crate) fn output_bytes(&self) -> usize {
        if self.kind == DeltaKind::Signature { 0 } else { self.text.len() }
    }
}

struct Validator<'a> {
    json: &'a [u8],
    at: usize,
    open: Brackets,
    /// The bits of all bytes of the strings so far, eight bytes beside each other.
    bits: u64,
}

/// The open brackets: one bit each, set for an object.
#[derive(Default)]
struct Brackets {
    bits: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Brackets {
    #[inline]
    fn push(&mut self, is_object: bool) -> Option<()> {
        let word = self.bits.get_mut(self.depth / 64)?;
        let bit = 1 << (self.depth % 64);
        *word = if is_object { *word | bit } else { *word & !bit };
        self.depth += 1;
        Some(())
    }

    /// Returns `true` if the innermost bracket is that of an object.
    #[inline]
    fn in_object(&self) -> bool {
        let top = self.depth.wrapping_sub(1);
        self.bits.get(top / 64).is_some_and(|word| word >> (top % 64) & 1 == 1)
    }
}

/// Each step returns `None` if the text breaks the grammar.
impl<'a> Validator<'a> {
    fn new(json: &'a [u8]) -> Self {
        Self { json, at: 0, open: Brackets::default(), bits: 0 }
    }

    /// Returns `true` only if the strings so far are ASCII. `false` may also be due to the bytes after the last one.
    #[inline]
    fn is_ascii(&self) -> bool {
        self.bits & HIGH == 0
    }

    /// Reads a whole text: one value between white space.
    fn run(&mut self) -> Option<()> {
        self.whole_value()?;
        self.end()
    }

    /// Reads white space up to the end of the text.
    fn end(&mut self) -> Option<()> {
        self.skip_whitespace();
        (self.at == self.json.len()).then_some(())
    }

    /// Reads one value with all that is nested in it.
    fn whole_value(&mut self) -> Option<()> {
        let depth = self.open.depth;
        loop {
            if self.value()? {
                continue;
            }
            // A value has ended: close brackets up to the next comma or the end of the whole value.
            loop {
                if self.open.depth == depth {
                    return Some(());
                }
                self.skip_whitespace();
                match (self.take()?, self.open.in_object()) {
                    (b',', true) => {
                        self.key()?;
                        break;
                    }
                    (b',', false) => break,
                    (b'}', true) | (b']', false) => self.open.depth -= 1,
                    _ => return None,
                }
            }
        }
    }

    /// Reads a whole text: an object. Calls `member` with the key, as written, and the span of the value of each member, until it
    /// returns `None`.
    fn object(&mut self, mut member: impl FnMut(&'a [u8], Range<usize>) -> Option<()>) -> Option<()> {
        self.skip_whitespace();
        if self.take()? != b'{' {
            return None;
        }
        self.open.push(true)?;
        let mut has_member = self.unless_closed(b'}', |_| Some(()))?;
        while has_member {
            let key = self.key()?;
            self.skip_whitespace();
            let value = self.at;
            self.whole_value()?;
            member(key, value..self.at)?;
            self.skip_whitespace();
            has_member = match self.take()? {
                b',' => true,
                b'}' => false,
                _ => return None,
            };
        }
        self.end()
    }

    /// Reads a scalar or the opening of a bracket. Returns `true` if a value inside the bracket follows.
    #[inline]
    fn value(&mut self) -> Option<bool> {
        self.skip_whitespace();
        match self.take()? {
            b'"' => self.string()?,
            b'{' => {
                self.open.push(true)?;
                return self.unless_closed(b'}', |text| text.key().map(|_| ()));
            }
            b'[' => {
                self.open.push(false)?;
                return self.unless_closed(b']', |_| Some(()));
            }
            b't' => self.literal(b"rue")?,
            b'f' => self.literal(b"alse")?,
            b'n' => self.literal(b"ull")?,
            first @ (b'-' | b'0'..=b'9') => self.number(first)?,
            _ => return None,
        }
        Some(false)
    }

    fn unless_closed(&mut self, close: u8, before: fn(&mut Self) -> Option<()>) -> Option<bool> {
        self.skip_whitespace();
        if self.peek() == Some(close) {
            self.at += 1;
            self.open.depth -= 1;
            return Some(false);
        }
        before(self)?;
        Some(true)
    }

    /// Reads the key of a member and its colon. Returns the key without its quotes, as written.
    #[inline]
    fn key(&mut self) -> Option<&'a [u8]> {
        self.skip_whitespace();
        if self.take()? != b'"' {
            return None;
        }
        let start = self.at;
        self.string()?;
        let key = &self.json[start..self.at - 1];
        self.skip_whitespace();
        (self.take()? == b':').then_some(key)
    }

    /// Reads a string after its opening quote.
    #[inline]
    fn string(&mut self) -> Option<()> {
        loop {
            self.skip_plain();
            match self.take()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// Moves to the next quote, backslash or control character, or to the end. Most strings of an event are short and end
    /// within some words of eight bytes. Longer ones are read in chunks, whose check is vectorized.
    #[inline]
    fn skip_plain(&mut self) {
        while let Some(word) = self.next_chunk().map(u64::from_le_bytes) {
            self.bits |= word;
            match first_special(word) {
                8 => self.at += 8,
                plain => return self.at += plain,
            }
            while let Some(marks) = self.next_chunk().map(|chunk| marks(&chunk))
                && marks & 1 == 0
            {
                self.bits |= marks;
                self.at += 32;
            }
        }
        while let Some(byte) = self.peek().filter(|byte| !matches!(byte, b'"' | b'\\' | ..b' ')) {
            self.bits |= u64::from(byte);
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.take()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.json.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    fn number(&mut self, first: u8) -> Option<()> {
        let first = if first == b'-' { self.take()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// Reads one digit or more.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        self.skip_digits();
        (self.at > start).then_some(())
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn literal(&mut self, rest: &[u8]) -> Option<()> {
        self.json.get(self.at..)?.starts_with(rest).then(|| self.at += rest.len())
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn next_chunk<const N: usize>(&self) -> Option<[u8; N]> {
        self.json.get(self.at..)?.first_chunk().copied()
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    #[inline]
    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

/// The lowest bit of each byte.
const ONES: u64 = u64::from_le_bytes([1; 8]);
/// The highest bit of each byte.
const HIGH: u64 = ONES << 7;

/// Returns the number of bytes before the first quote, backslash or control character in `word`, at most 8. The first byte of
/// the text is the lowest.
#[inline]
fn first_special(word: u64) -> usize {
    // Sets the high bit of each byte below `limit`. Only bytes above the first of them may be marked wrongly, by a borrow.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let found = equal(b'"') | equal(b'\\') | below(word, b' ');
    found.trailing_zeros() as usize / 8
}

/// Returns the marks of a chunk: bit 0 if a byte is a quote, a backslash or a control character, and bit 7 if one is not ASCII.
#[inline]
fn marks(chunk: &[u8; 32]) -> u64 {
    let is_special = |byte: u8| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\');
    u64::from(chunk.iter().fold(0, |marks, &byte| marks | is_special(byte) | byte & 0x80))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn agree(text: &str) {
        let expected = serde_json::from_str::<serde_json::Value>(text).is_ok();
        assert_eq!(is_valid(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn the_grammar_is_that_of_serde_json() {
        for text in [
            "",
            " ",
            "{}",
            " { } ",
            "[]",
            "[1,]",
            "[,1]",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":}",
            "{\"a\":1 \"b\":2}",
            "[1 2]",
            "[}",
            "{]",
            "[[]",
            "{}}",
            "{} x",
            "null",
            "nul",
            "true",
            "false",
            "falsex",
            "0",
            "-0",
            "01",
            "-",
            "1.",
            ".5",
            "1.5e+3",
            "1e",
            "1E-9",
            "+1",
            "NaN",
            "\"\\u00e9\"",
            "\"\\u00g9\"",
            "\"\\x\"",
            "\"a\tb\"",
            "\"a\nb\"",
            "\"a",
            "\"a\\\"",
            "\"\\\\\"",
            "[{\"a\":[{\"b\":[]}]},{}]",
            "{\"a\":{},\"b\":[]}",
        ] {
            agree(text);
        }
    }

    #[test]
    fn a_delta_with_any_byte_changed_or_cut_off_is_judged_like_any_other_json() {
        for (kind, member) in [
            ("text_delta", "text"),
            ("thinking_delta", "thinking"),
            ("input_json_delta", "partial_json"),
            ("signature_delta", "signature"),
            ("other_delta", "text"),
        ] {
            for (index, value) in [
                ("0", " Hello, w\u{f6}rld of many, many, many bytes, more than two words and a chunk"),
                ("17", "a\\n\\\"b\\u00e9"),
                ("01", ""),
                ("", "x"),
            ] {
                let text = format!(
                    r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"{kind}","{member}":"{value}"}}}}"#
                );
                agree(&text);
                for at in 0..text.len() {
                    for byte in [b'"', b'\\', b'}', b'x', 0x1f, 0x7f, 0xff] {
                        let mut changed = text.clone().into_bytes();
                        changed[at] = byte;
                        let expected = serde_json::from_slice::<serde_json::Value>(&changed).is_ok();
                        assert_eq!(is_valid(&changed), expected, "{}", String::from_utf8_lossy(&changed));
                    }
                    let cut = &text.as_bytes()[..at];
                    assert!(!is_valid(cut), "{}", String::from_utf8_lossy(cut));
                }
            }
        }
    }

    #[test]
    fn the_text_of_a_delta_is_ascii_only_without_any_other_byte() {
        for length in 1..100 {
            for at in 0..length {
                let mut text = vec![b'x'; length];
                let delta = |text: &[u8]| {
                    let start =
                        br#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""#;
                    let json = [start, text, b"\"}}\n\nevent: ping"].concat();
                    Delta::read(&json).is_some_and(|delta| delta.text == text && delta.is_ascii)
                };
                assert!(delta(&text));
                for byte in [0x80, 0xff] {
                    text[at] = byte;
                    assert!(!delta(&text), "byte {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn unpaired_surrogates_are_accepted_and_other_encodings_are_not() {
        assert!(is_valid(br#""\ud83d""#));
        assert!(!is_valid(b"\"\xff\""));
        assert!(!is_valid(b"\"\x80abc\""));
    }

    #[test]
    fn nesting_is_bounded_without_recursion() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_valid(nested(MAX_DEPTH).as_bytes()));
        assert!(!is_valid(nested(MAX_DEPTH + 1).as_bytes()));
        assert!(!is_valid("[".repeat(1 << 20).as_bytes()));
    }

    proptest! {
        #[test]
        fn every_text_is_judged_like_serde_json(
            parts in proptest::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "\\", "1", "-2.5e3", "0", ".", "true", "null", " ", "\n", "é",
            ]), 0..12),
        ) {
            agree(&parts.concat());
        }
    }
}
