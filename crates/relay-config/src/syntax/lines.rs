//! The lines of a text, as far as explanations need them.

use super::characters::{OddCharacter, odd_character};

/// Splits `text` into its lines, which end with LF, CRLF or CR.
pub(super) fn split(text: &str) -> Vec<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).collect()
}

/// Returns the numbers of the line `at`, counted from 1, and of the nearest line above it that is not blank and no comment.
/// Both exist; a failure at the end of the text begins with its last line.
pub(super) fn window(lines: &[&str], at: usize) -> Vec<usize> {
    let has_content = |number: &usize| {
        let line = lines.get(number - 1).map_or("", |line| line.trim());
        !line.is_empty() && !line.starts_with('#')
    };
    (1..=at.min(lines.len())).rev().filter(has_content).take(2).collect()
}

/// Replaces the quoted parts and the comment of a line by blanks, so that positions stay the same.
pub(super) fn bare(line: &str) -> String {
    let (mut quote, mut before, mut escaped) = (None, ' ', false);
    let mut out = String::with_capacity(line.len());
    for (at, char) in line.char_indices() {
        match quote {
            Some(open) => {
                if char == open && !escaped {
                    quote = None;
                }
                escaped = open == '"' && char == '\\' && !escaped;
                out.push(' ');
            }
            None if char == '#' && before.is_whitespace() => {
                out.extend(line[at..].chars().map(|_| ' '));
                break;
            }
            None if matches!(char, '"' | '\'') && (before.is_whitespace() || "[{,:=(".contains(before)) => {
                quote = Some(char);
                out.push(' ');
            }
            None => out.push(char),
        }
        before = char;
    }
    out
}

/// Returns the first odd character of a line outside of quotes and comments.
pub(super) fn odd(line: &str) -> Option<OddCharacter> {
    odd_character(&bare(line))
}

/// Returns the position in characters of the value in `key:value`, if a line begins with a key and its colon is not followed by a
/// blank, and the key.
pub(crate) fn missing_blank(line: &str) -> Option<(usize, &str)> {
    let start = line.len() - line.trim_start_matches([' ', '\t', '-', '{', '[']).len();
    let rest = &line[start..];
    let length =
        rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').filter(|&length| length > 0)?;
    let (key, value) = (&rest[..length], rest[length..].strip_prefix(':')?);
    let is_pair = !value.is_empty() && !value.starts_with([' ', '\t', ':']) && !value.starts_with("//");
    is_pair.then(|| (line[..start].chars().count() + key.chars().count() + 1, key))
}
