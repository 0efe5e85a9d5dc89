//! The byte spans of the members of a JSON object, found without building a tree.
//!
//! The scan skips strings with `memchr` and counts brackets in a loop, so its cost is linear and its memory
//! constant for any nesting. It finds positions and does not validate: on malformed text it ends early. A
//! caller that needs a value parses its span.

use std::borrow::Cow;
use std::ops::Range;

use crate::lexer::find_quote_or_backslash;

/// One member of an object: the positions of its key and its value in the scanned text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// The key without its quotes, with its escapes as written.
    pub(crate) key: &'a [u8],
    /// The span from the opening quote of the key to the end of the value.
    pub(crate) span: Range<usize>,
    /// The span of the value, including quotes or brackets.
    pub(crate) value: Range<usize>,
}

/// Iterates over the members of an object in order. Ends at the closing brace or at the first malformed byte.
#[derive(Debug, Clone)]
pub(crate) struct Members<'a> {
    json: &'a [u8],
    /// The position of the next key, or the length of `json` after the last member.
    at: usize,
}

impl<'a> Members<'a> {
    /// Iterates over the object in `json`. Returns `None` if `json` is not an object.
    pub(crate) fn new(json: &'a [u8]) -> Option<Self> {
        let at = skip_whitespace(json, 0);
        (json.get(at) == Some(&b'{')).then(|| Members { json, at: skip_whitespace(json, at + 1) })
    }

    fn member(&mut self) -> Option<Member<'a>> {
        let start = self.at;
        let key_end = string_end(self.json, start)?;
        let colon = skip_whitespace(self.json, key_end);
        if self.json.get(colon) != Some(&b':') {
            return None;
        }
        let value = skip_whitespace(self.json, colon + 1);
        let end = value_end(self.json, value)?;
        self.at = skip_whitespace(self.json, end);
        if self.json.get(self.at) == Some(&b',') {
            self.at = skip_whitespace(self.json, self.at + 1);
        } else {
            self.at = self.json.len();
        }
        Some(Member { key: &self.json[start + 1..key_end - 1], span: start..end, value: value..end })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    #[inline]
    fn next(&mut self) -> Option<Member<'a>> {
        let member = self.member();
        if member.is_none() {
            self.at = self.json.len();
        }
        member
    }
}

/// Iterates over the elements of an array, as written. Ends at the closing bracket or at the first malformed byte.
pub(crate) fn elements(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let start = skip_whitespace(json, 0);
    // Of another value, there is no element.
    let mut at = if json.get(start) == Some(&b'[') { skip_whitespace(json, start + 1) } else { json.len() };
    std::iter::from_fn(move || {
        let (value, end) = (at, value_end(json, at)?);
        let next = skip_whitespace(json, end);
        at = if json.get(next) == Some(&b',') { skip_whitespace(json, next + 1) } else { json.len() };
        Some(&json[value..end])
    })
}

/// Returns the key of the first member of the text between the braces of an object, and the text from its value on. `None` if
/// `is_wanted` does not accept the key.
#[inline]
pub(crate) fn first_member(inner: &[u8], is_wanted: impl FnOnce(&[u8]) -> bool) -> Option<(&[u8], &[u8])> {
    let start = skip_whitespace(inner, 0);
    let end = string_end(inner, start)?;
    let key = &inner[start + 1..end - 1];
    if !is_wanted(key) {
        return None;
    }
    let colon = skip_whitespace(inner, end);
    if inner.get(colon) != Some(&b':') {
        return None;
    }
    Some((key, &inner[skip_whitespace(inner, colon + 1)..]))
}

/// Decodes the string with which `text` begins. Returns `None` for any other value.
pub(crate) fn first_string(text: &[u8]) -> Option<Cow<'_, str>> {
    string(&text[..string_end(text, 0)?])
}

/// Returns the key of the first member of the text between the braces of an object, once it is complete. If the text does not
/// begin with a key, it is empty.
pub(crate) fn first_key(inner: &[u8]) -> Option<&[u8]> {
    let start = skip_whitespace(inner, 0);
    match inner.get(start)? {
        b'"' => string_end(inner, start).map(|end| &inner[start + 1..end - 1]),
        _ => Some(b""),
    }
}

/// Returns the span of the value at `key` in the object in `json`. If the key is repeated, it is the span of
/// the first.
#[inline]
pub(crate) fn span(json: &[u8], key: &str) -> Option<Range<usize>> {
    Members::new(json)?.find(|member| member.key == key.as_bytes()).map(|member| member.value)
}

/// Returns the text of the value at `key`, as written.
#[inline]
pub(crate) fn get<'a>(json: &'a [u8], key: &str) -> Option<&'a [u8]> {
    span(json, key).map(|value| &json[value])
}

/// Decodes `value`, a JSON string with its quotes. Returns `None` for any other value.
pub(crate) fn string(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.iter().all(|&b| b != b'\\' && b >= b' ') {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice(value).ok().map(Cow::Owned)
}

/// Decodes the string at `key`. Returns `None` if the member is missing or not a string.
pub(crate) fn get_string<'a>(json: &'a [u8], key: &str) -> Option<Cow<'a, str>> {
    get(json, key).and_then(string)
}

/// Encodes `text` as a JSON string with its quotes.
pub(crate) fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| unreachable!("every string has a form in JSON"))
}

#[inline]
fn skip_whitespace(json: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = json.get(at) {
        at += 1;
    }
    at
}

/// Returns the position after the string that starts at `start`.
#[inline]
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    if json.get(start) != Some(&b'"') {
        return None;
    }
    let mut at = start + 1;
    loop {
        at += find_quote_or_backslash(json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Returns the position after the value that starts at `start`.
fn value_end(json: &[u8], start: usize) -> Option<usize> {
    match json.get(start)? {
        b'"' => string_end(json, start),
        b'{' | b'[' => container_end(json, start),
        _ => {
            let rest = &json[start..];
            let is_end = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            let len = rest.iter().position(is_end).unwrap_or(rest.len());
            (len > 0).then_some(start + len)
        }
    }
}

/// Returns the position after the object or array that starts at `start`. Brackets are counted; an opening
/// bracket is not compared with its closing one.
fn container_end(json: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match json.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at = string_end(json, at)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &[(&str, &str)]) {
        let members = Members::new(json.as_bytes()).into_iter().flatten();
        let found: Vec<_> = members
            .map(|m| (String::from_utf8_lossy(m.key), String::from_utf8_lossy(&json.as_bytes()[m.value])))
            .collect();
        let found: Vec<_> = found.iter().map(|(k, v)| (k.as_ref(), v.as_ref())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn members_are_found_with_any_white_space_and_nesting() {
        check("", &[]);
        check("[1]", &[]);
        check("{}", &[]);
        check(" { } ", &[]);
        check(r#"{"a":1}"#, &[("a", "1")]);
        check("\n{ \"a\" :\t-1.5e3 ,\r\"b\":null}", &[("a", "-1.5e3"), ("b", "null")]);
        check(
            r#"{"a":"x\"}\\","b":{"c":["}",{"d":"]"}]},"e":[]}"#,
            &[("a", r#""x\"}\\""#), ("b", r#"{"c":["}",{"d":"]"}]}"#), ("e", "[]")],
        );
        check(r#"{"a\"b":1}"#, &[(r#"a\"b"#, "1")]);
    }

    #[test]
    fn elements_are_found_with_any_white_space_and_nesting() {
        for (json, expected) in [
            ("", &[][..]),
            ("{}", &[]),
            ("[]", &[]),
            ("[ ]", &[]),
            ("[1]", &["1"]),
            (" [ {\"a\":[1,2]} , \"],\" ,null\n] ", &["{\"a\":[1,2]}", "\"],\"", "null"]),
            ("[1,", &["1"]),
            ("[{\"a\":1", &[]),
            ("[1 2]", &["1"]),
            ("[,1]", &[]),
        ] {
            let found: Vec<_> = elements(json.as_bytes()).map(String::from_utf8_lossy).collect();
            assert_eq!(found, expected, "{json}");
        }
    }

    #[test]
    fn malformed_text_ends_the_scan() {
        check(r#"{"a"#, &[]);
        check(r#"{"a"}"#, &[]);
        check(r#"{"a":}"#, &[]);
        check(r#"{"a":"b"#, &[]);
        check(r#"{"a":"b\"#, &[]);
        check(r#"{"a":[1,2}"#, &[("a", "[1,2}")]);
        check(r#"{"a":{"b":1"#, &[]);
        check(r#"{"a":1 "b":2}"#, &[("a", "1")]);
        check(r#"{"a":1,"#, &[("a", "1")]);
        check(r#"{a:1}"#, &[]);
    }

    #[test]
    fn nesting_of_any_depth_is_skipped_without_recursion() {
        let deep = format!(r#"{{"a":{}1{},"b":2}}"#, "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(get(deep.as_bytes(), "b"), Some(&b"2"[..]));
    }

    #[test]
    fn strings_are_decoded_and_other_values_are_none() {
        assert_eq!(string(br#""plain""#).as_deref(), Some("plain"));
        assert_eq!(string(br#""a\n\u00e9\"""#).as_deref(), Some("a\n\u{e9}\""));
        assert_eq!(string(b"12"), None);
        assert_eq!(string(b"null"), None);
        assert_eq!(string(b"\""), None);
        assert_eq!(string(b"\"\xff\""), None);
        assert_eq!(quote("a\"\n"), r#""a\"\n""#);
    }
}
