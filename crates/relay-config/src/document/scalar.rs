//! The text of a single value in YAML and in TOML: the rules of quoting for every file that the workspace writes.
//!
//! A text is written without quotes only if the parsers of YAML 1.1 and 1.2 read it as the same text. In quotes it has the escapes
//! that YAML, TOML and JSON share, so that one form suits both formats.

use std::fmt::Write as _;

use crate::interpolate::is_reference;

/// The words that YAML 1.1 reads as a boolean or as no value, in lower case. YAML 1.2 has fewer of them.
const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// Returns `text` as the loader has to read it for the value `text`: a `${` in it is no reference.
pub(crate) fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// Returns a text as a scalar of YAML in block style.
pub(crate) fn yaml(text: &str) -> String {
    if is_plain(text) || is_reference(text) { text.to_owned() } else { quoted(text) }
}

/// Returns a text as a scalar of YAML between brackets.
pub(crate) fn yaml_flow(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Returns a key of TOML.
pub(crate) fn toml_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// Returns a number of any format as a number of YAML.
pub(crate) fn yaml_number(text: &str) -> String {
    number(text, ".inf", ".nan", |_| true)
}

/// Returns a number of any format as a number of TOML, whose integers have 64 bits.
pub(crate) fn toml_number(text: &str) -> String {
    number(text, "inf", "nan", |whole| i64::try_from(*whole).is_ok())
}

/// Returns `true` for a text that YAML reads as text without quotes.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Returns a text in double quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut result = String::with_capacity(text.len() + 2);
    result.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => result.extend(['\\', c]),
            '\n' => result.push_str("\\n"),
            '\t' => result.push_str("\\t"),
            '\r' => result.push_str("\\r"),
            // The characters that YAML calls not printable, and its line breaks. None of them is above U+FFFF.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                // Writing to a string cannot fail.
                let _ = write!(result, "\\u{:04x}", u32::from(c));
            }
            c => result.push(c),
        }
    }
    result.push('"');
    result
}

/// Returns a number by its value. `fits` returns `true` for an integer that the format has. A text that is no number is a text.
fn number(text: &str, infinite: &str, undefined: &str, fits: impl Fn(&i128) -> bool) -> String {
    // TOML separates digits by `_`; YAML has a dot before `inf` and `nan`.
    let digits = text.replace('_', "").to_ascii_lowercase();
    if let Some(whole) = whole(&digits).filter(fits) {
        return whole.to_string();
    }
    match digits.replace(".inf", "inf").replace(".nan", "nan").parse::<f64>() {
        Ok(value) if value.is_nan() => undefined.to_owned(),
        Ok(value) if value.is_infinite() => format!("{}{infinite}", if value < 0.0 { "-" } else { "" }),
        // This form always has a point or an exponent.
        Ok(value) => format!("{value:?}"),
        Err(_) => quoted(text),
    }
}

/// Returns the value of an integer.
fn whole(digits: &str) -> Option<i128> {
    let radix = |(prefix, radix)| i128::from_str_radix(digits.strip_prefix(prefix)?, radix).ok();
    digits.parse().ok().or_else(|| [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find_map(radix))
}
