//! Replaces the name of the model in a message in one piece.

use std::ops::Range;

use bytes::Bytes;

use crate::json;
use crate::json_valid::read_object;
use crate::message_start::splice;

/// The longest name that is replaced, in bytes.
const NAME_MAX: usize = 256;

/// Replaces the name of the model in `message` by `model`: in one object of JSON in UTF-8 whose only member `model` is a name of 1 to
/// 256 bytes. Every other byte is unchanged.
///
/// `None` means no more than that a parser has to decide: the text has another form, `model` is missing, repeated or no such name, or a
/// key or the name has an escape.
/// ```
/// use relay_stream::rename_model;
///
/// let message = br#"{"type":"message", "model":"glm-5.3", "content":[{"model":"x"}]}"#;
/// let renamed = rename_model(message, "claude-sonnet-4-5").expect("a message");
/// assert_eq!(renamed, r#"{"type":"message", "model":"claude-sonnet-4-5", "content":[{"model":"x"}]}"#);
///
/// assert!(rename_model(br#"{"model":"a","model":"b"}"#, "c").is_none());
/// assert!(rename_model(br#"{"model":"a""#, "c").is_none());
/// ```
#[must_use]
pub fn rename_model(message: &[u8], model: &str) -> Option<Bytes> {
    let mut name: Option<Range<usize>> = None;
    read_object(message, |key, value| match key {
        b"model" if name.is_some() || !is_name(&message[value.clone()]) => None,
        b"model" => {
            name = Some(value);
            Some(())
        }
        _ => (!key.contains(&b'\\')).then_some(()),
    })?;
    Some(splice(message, name?, &json::quote(model)))
}

/// Returns `true` if `value`, a value of JSON, is a name without an escape.
fn is_name(value: &[u8]) -> bool {
    let inside = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    inside.is_some_and(|name| (1..=NAME_MAX).contains(&name.len()) && !name.contains(&b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: Option<&str>) {
        let renamed = rename_model(message.as_bytes(), "a\"b");
        assert_eq!(renamed.as_deref(), expected.map(str::as_bytes), "{message}");
    }

    #[test]
    fn only_the_name_of_a_message_in_the_usual_form_is_replaced() {
        check(r#"{"model":"m"}"#, Some(r#"{"model":"a\"b"}"#));
        check(
            " { \"x\" : 1.50 , \"model\" :\"m\", \"y\": [\"model\", {\"model\":7}] }\n",
            Some(" { \"x\" : 1.50 , \"model\" :\"a\\\"b\", \"y\": [\"model\", {\"model\":7}] }\n"),
        );
        for other in [
            "",
            "null",
            "{}",
            r#"["model"]"#,
            r#"{"x":{"model":"m"}}"#,
            r#"{"model":7}"#,
            r#"{"model":""}"#,
            r#"{"model":"m","model":"m"}"#,
            r#"{"model":"m","mod\u0065l":"m"}"#,
            r#"{"model":"\ud800"}"#,
            r#"{"model":"m"} {}"#,
            r#"{"model":"m",}"#,
            &format!(r#"{{"model":"{}"}}"#, "x".repeat(257)),
        ] {
            check(other, None);
        }
    }
}
