//! The escapes of values.

use std::fmt::{self, Write};

use relay_config::is_invisible;

/// True for each byte that `Debug` never escapes in a string.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = !matches!(byte, b'"' | b'\\');
        byte += 1;
    }
    plain
};

/// Appends text with all control characters and all invisible characters escaped. A terminal would obey some of them, and a text of a
/// client or an upstream could begin a line of its own, or turn its direction, by others.
pub(super) struct Printable<'a>(pub(super) &'a mut String);

impl Write for Printable<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.0.push_str(text);
            return Ok(());
        }
        text.chars().try_for_each(|char| match char {
            '\n' => self.0.write_str("\\n"),
            '\r' => self.0.write_str("\\r"),
            '\t' => self.0.write_str("\\t"),
            '\0'..' ' | '\x7f' => write!(self.0, "\\x{:02x}", u32::from(char)),
            char if char.is_control() || is_invisible(char) => write!(self.0, "\\u{{{:x}}}", u32::from(char)),
            _ => self.0.write_char(char),
        })
    }
}

/// Appends `text` in quotes, as its `Debug` does.
pub(super) fn push_quoted(line: &mut String, text: &str) -> fmt::Result {
    if !text.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        return write!(line, "{text:?}");
    }
    line.push('"');
    line.push_str(text);
    line.push('"');
    Ok(())
}

/// Appends `number` in decimal, with zeros before it up to this number of digits.
pub(super) fn push_number(line: &mut String, number: u64, least_digits: u32) {
    if number >= 10 || least_digits > 1 {
        push_number(line, number / 10, least_digits.saturating_sub(1));
    }
    line.push(char::from(b'0' + (number % 10) as u8));
}

/// Appends the inside of a JSON string, escaped as serde_json does.
pub(super) struct InJson<'a>(pub(super) &'a mut String);

impl Write for InJson<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all values are plain. Without an end at the first special byte, the loop is vectorized.
        if !text.bytes().fold(false, |any, byte| any | is_special_json(byte)) {
            self.0.push_str(text);
            return Ok(());
        }
        let mut rest = text;
        while let Some(at) = rest.bytes().position(is_special_json) {
            let (plain, special) = rest.split_at(at);
            self.0.push_str(plain);
            self.push_escape(special.as_bytes()[0])?;
            rest = &special[1..];
        }
        self.0.push_str(rest);
        Ok(())
    }
}

/// Returns `true` for a byte that a JSON string escapes.
fn is_special_json(byte: u8) -> bool {
    matches!(byte, ..b' ' | b'"' | b'\\')
}

impl InJson<'_> {
    fn push_escape(&mut self, byte: u8) -> fmt::Result {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x0c => "\\f",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            _ => return write!(self.0, "\\u{byte:04x}"),
        };
        self.0.push_str(escape);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str) {
        let mut line = String::new();
        InJson(&mut line).write_str(text).unwrap();
        assert_eq!(format!("\"{line}\""), serde_json::to_string(text).unwrap());
    }

    #[test]
    fn each_byte_is_escaped_as_by_serde_json_at_each_place() {
        for char in ('\0'..='\u{ff}').chain(['…', '模']) {
            for at in 0..20 {
                let (before, after) = ("x".repeat(at), "y".repeat(19 - at));
                check(&format!("{before}{char}{after}"));
            }
        }
    }

    proptest! {
        #[test]
        fn texts_are_escaped_as_by_serde_json(text in "\\PC{0,40}|[ -~]{0,40}|[\\x00-\\x7f]{0,40}") {
            check(&text);
        }
    }
}
