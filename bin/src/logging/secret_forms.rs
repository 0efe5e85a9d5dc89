//! The forms in which a secret may be written in a line of the log.

/// The digits of base64, and those that differ in its form for URLs.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The least number of digits of a secret in base64. A shorter text would be found by chance.
const LEAST_DIGITS: usize = 8;

/// Returns `secret` as it is, escaped in JSON once and twice, escaped by `Debug`, percent-encoded, and as a part of a longer text
/// in base64. Forms that are equal occur once or more.
pub(super) fn forms(secret: &str) -> Vec<String> {
    let json = in_json(secret);
    let debug = inside(&format!("{secret:?}"));
    // The `Debug` of a header escapes nothing else.
    let header = secret.replace('"', "\\\"");
    let mut forms = vec![
        secret.to_owned(),
        in_json(&json),
        inside(&format!("{json:?}")),
        in_json(&debug),
        in_json(&header),
        inside(&format!("{header:?}")),
        header,
        json,
        debug,
        percent_encoded(secret, "0123456789ABCDEF"),
        percent_encoded(secret, "0123456789abcdef"),
    ];
    for before in 0..3 {
        let digits = base64_after(secret.as_bytes(), before);
        if digits.len() >= LEAST_DIGITS {
            forms.push(digits.replace('+', "-").replace('/', "_"));
            forms.push(digits.replace('/', "\\/"));
            forms.push(digits);
        }
    }
    forms
}

/// Returns `text` as it is written between the quotes of a string of JSON.
fn in_json(text: &str) -> String {
    inside(&serde_json::Value::from(text).to_string())
}

/// Removes the quotes around `quoted`.
fn inside(quoted: &str) -> String {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// Encodes every byte that is reserved in a URL.
fn percent_encoded(text: &str, digits: &str) -> String {
    let digit = |number: u8| char::from(digits.as_bytes()[usize::from(number)]);
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    encoded
}

/// Returns the digits of base64 that `bytes` alone determine, `before` bytes after the start of a group of three.
fn base64_after(bytes: &[u8], before: usize) -> String {
    let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
    let mut digits = String::with_capacity(padded.len() * 4 / 3);
    for group in padded.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        // The last digit of an incomplete group depends on the bytes after it.
        for digit in 0..group.len() * 8 / 6 {
            digits.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    // The digits of the padding, with the one that it shares with the first byte.
    digits.drain(..(before * 8).div_ceil(6).min(digits.len()));
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_any_text_around_a_secret_has_one_of_its_forms() {
        let secret = "sk-secret?/>of<a relay";
        let forms = forms(secret);
        // Of `printf … | base64`, with zero to three bytes before the secret.
        for encoded in [
            "c2stc2VjcmV0Py8+b2Y8YSByZWxheQ==",
            "OnNrLXNlY3JldD8vPm9mPGEgcmVsYXk6eA==",
            "YTpzay1zZWNyZXQ/Lz5vZjxhIHJlbGF5",
            "dXM6c2stc2VjcmV0Py8+b2Y8YSByZWxheTo=",
        ] {
            assert!(forms.iter().any(|form| encoded.contains(form)), "{encoded}: {forms:?}");
        }
    }

    #[test]
    fn a_secret_is_found_in_urls_and_strings() {
        let forms = forms("a\"b/\u{e9} c");
        for text in
            ["a\"b/\u{e9} c", r#"a\"b/é c"#, r#"a\\\"b/é c"#, "a%22b%2F%C3%A9%20c", "a%22b%2f%c3%a9%20c"]
        {
            assert!(forms.iter().any(|form| form == text), "{text}: {forms:?}");
        }
    }
}
