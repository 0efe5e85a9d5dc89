//! Descriptions of values and schema rules, for messages.

use crate::schema::{self, Rule};
use crate::tree::{Node, Number, Value};

/// Returns a description of the values that a rule accepts.
pub(crate) fn expected(rule: &Rule) -> String {
    let choices = schema::choices(rule);
    if !choices.is_empty() {
        let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        return match choices.as_slice() {
            [only] => only.clone(),
            _ => format!("one of {}", choices.join(", ")),
        };
    }
    match schema::type_of(rule) {
        Some("object") => "a table of keys and values".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => match bounds(rule) {
            (min, max) if max == i128::from(i64::MAX) => format!("a whole number, {min} or more"),
            (min, max) => format!("a whole number from {min} to {max}"),
        },
        Some("number") => {
            let (min, max) = range(rule);
            format!("a number from {min} to {max}")
        }
        _ if schema::is_expiry(rule) => schema::EXPIRY.to_owned(),
        _ => "a string".to_owned(),
    }
}

/// Returns the smallest and the largest number with a fraction that a rule accepts.
pub(crate) fn range(rule: &Rule) -> (f64, f64) {
    let bound = |key: &str| rule.get(key).and_then(serde_json::Value::as_f64);
    (bound("minimum").unwrap_or(f64::MIN), bound("maximum").unwrap_or(f64::MAX))
}

/// Returns the smallest and the largest whole number that a rule accepts.
pub(crate) fn bounds(rule: &Rule) -> (i128, i128) {
    let bound = |key: &str| rule.get(key).and_then(serde_json::Value::as_i64).map(i128::from);
    (bound("minimum").unwrap_or(i128::from(i64::MIN)), bound("maximum").unwrap_or(i128::from(i64::MAX)))
}

/// Returns a description of a node, without the value of a secret.
pub(crate) fn describe(node: &Node, is_secret: bool) -> String {
    /// The number of characters that are shown of a long value.
    const SHOWN: usize = 60;
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Text(text) | Value::Loose(text) if text.trim().is_empty() => "an empty string".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Date(_) if is_secret => {
            "a value without quotes".to_owned()
        }
        Value::Text(_) | Value::Loose(_) if is_secret => "a string".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(Number { text, .. }) => format!("the number {text}"),
        Value::Date(text) => format!("the date {text}"),
        Value::Text(text) | Value::Loose(text) if looks_secret(text) => "a string".to_owned(),
        Value::Text(text) | Value::Loose(text) => match text.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{:?}…", &text[..at]),
            None => format!("{text:?}"),
        },
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a table".to_owned(),
    }
}

/// Returns the parts of a URL that a message can show: no user name, no password, no query and no fragment, which may hold a
/// secret. `None` if they cannot be separated, as in a password with `?`.
#[must_use]
pub fn shown_url(text: &str) -> Option<String> {
    let (shown, rest) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    if rest.contains('@') {
        return None;
    }
    let Some((before, after)) = shown.rsplit_once('@') else { return Some(shown.to_owned()) };
    let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://"));
    Some(scheme.unwrap_or_default() + after)
}

/// Returns `true` if `text` may be a credential in the wrong place, such as one that came from a mistaken variable.
pub(crate) fn looks_secret(text: &str) -> bool {
    /// A length that no model name in use reaches.
    const WORD: usize = 32;
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    text.starts_with("sk-") || text.starts_with("eyJ") || (text.len() > WORD && text.bytes().all(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_contains_no_secret() {
        for (text, expected) in [
            ("https://host:1/path", Some("https://host:1/path")),
            ("https://host/?key=secret#secret", Some("https://host/")),
            ("https://user:secret@host/path?secret", Some("https://host/path")),
            ("user:sec/ret@host", Some("host")),
            ("https://u:secret@x@host", Some("https://host")),
            ("https://u:sec?ret@host", None),
            ("https://u:sec#ret@host", None),
            ("", Some("")),
        ] {
            assert_eq!(shown_url(text).as_deref(), expected, "{text}");
        }
    }
}
