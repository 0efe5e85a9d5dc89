//! Reads and compares JSON strings by their unescaped text.

use std::borrow::Cow;

/// Returns `true` if the unescaped text of `string`, a JSON string with its quotes, is `text`.
pub(super) fn is_string(string: &[u8], text: &str) -> bool {
    // The longest escape of one byte is `\u0061`.
    const LONGEST: usize = 6;
    let (written, text) = (&string[1..string.len() - 1], text.as_bytes());
    if written.len() <= text.len() {
        // An escape is longer than its character.
        return written == text && !written.contains(&b'\\');
    }
    let starts_alike = text.first() == written.first() || written.first() == Some(&b'\\');
    starts_alike
        && written.len() <= text.len() * LONGEST
        && written.contains(&b'\\')
        && unescaped(string).is_some_and(|found| found.as_bytes() == text)
}

/// Returns the unescaped text of `string`, a JSON string with its quotes. Returns `None` for halves of surrogate pairs.
pub(super) fn unescaped(string: &[u8]) -> Option<Cow<'_, str>> {
    match string.contains(&b'\\') {
        true => serde_json::from_slice::<String>(string).ok().map(Cow::Owned),
        false => std::str::from_utf8(&string[1..string.len() - 1]).ok().map(Cow::Borrowed),
    }
}
