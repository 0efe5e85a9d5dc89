//! Finds values that are not text: base64 of images, documents, signatures and encrypted content.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The keys of members that may hold such a value. They cannot occur inside a JSON string, where each
/// quotation mark has a backslash before it.
static KEYS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [&b"\"data\""[..], b"\"signature\"", b"\"encrypted_content\""].map(Finder::new));

/// The number of bytes that are checked at the start of a value. Shorter values always count as text.
const LOOKED_AT: usize = 64;

/// Returns the byte ranges of such values in `json`, in order, without their quotation marks.
pub(super) fn values(json: &[u8]) -> Vec<Range<usize>> {
    let mut values: Vec<_> = KEYS
        .iter()
        .flat_map(|key| key.find_iter(json).filter_map(|at| value(json, at + key.needle().len())))
        .collect();
    values.sort_unstable_by_key(|value| value.start);
    // Two values can only overlap in malformed JSON.
    values.dedup_by(|next, before| next.start < before.end);
    values
}

/// Returns the range of the value of the member whose key ends at `at`, if it is a string of base64.
fn value(json: &[u8], at: usize) -> Option<Range<usize>> {
    let after = |at: usize, mark: u8| {
        let space = json.get(at..)?.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        (json.get(at + space) == Some(&mark)).then_some(at + space + 1)
    };
    let start = after(after(at, b':')?, b'"')?;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    if !json.get(start..start + LOOKED_AT)?.iter().all(is_base64) {
        return None;
    }
    Some(start..start + memchr::memchr2(b'"', b'\\', &json[start..])?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_long_strings_of_base64_are_found() {
        let long = "Ab9+".repeat(20);
        #[track_caller]
        fn check(json: &str, expected: &[&str]) {
            let found: Vec<_> = values(json.as_bytes()).into_iter().map(|value| &json[value]).collect();
            assert_eq!(found, expected);
        }
        check(&format!(r#"{{"data":"{long}","x":1}}"#), &[&long]);
        check(&format!(r#"{{"signature" : "{long}", "data": "{long}=="}}"#), &[&long, &format!("{long}==")]);
        check(r#"{"data":"Ab9+","signature":""}"#, &[]);
        check(&format!(r#"{{"data":"fn signature(a: u32) {long}"}}"#), &[]);
        check(&format!(r#"{{"text":"{{\"data\":\"{long}\"}}"}}"#), &[]);
        check(&format!(r#"{{"data":["{long}"],"text":"{long}"}}"#), &[]);
        check(&format!(r#"{{"data":"{long}"#), &[]);
    }

    proptest! {
        #[test]
        fn values_are_in_order_and_do_not_overlap(json in "(\"(data|signature)\"[: ]{0,2}\"[a-z]{60,70}\"?){0,4}.{0,50}") {
            let mut end = 0;
            for value in values(json.as_bytes()) {
                prop_assert!(end <= value.start && value.start <= value.end && value.end <= json.len());
                end = value.end;
            }
        }
    }
}
