//! Mistakes in TOML.

use super::failure::{Explained, Failure};
use super::lines::{bare, odd};
use super::yaml::backslash;

pub(super) fn explain(lines: &[&str], failure: Failure<'_>) -> Explained {
    let line = lines.get(failure.line - 1).copied().unwrap_or_default();
    if let Some(odd) = odd(line) {
        return Explained { line: failure.line, column: odd.at + 1, message: odd.message() };
    }
    let rest: String = line.chars().skip(failure.column - 1).collect();
    if failure.mentions(&["escape", "unicode"]) {
        return bad_escape(line, failure);
    }
    if failure.mentions(&["basic string", "literal string"]) && !failure.mentions(&["must be quoted"]) {
        return open_quote(line, failure);
    }
    if failure.mentions(&["duplicate"]) {
        return failure.explained(duplicate(lines, failure));
    }
    let message = by_words(line, &rest, failure)
        .unwrap_or("this cannot be read; TOML has `key = value` lines, and text values need quotes");
    failure.explained(message)
}

fn bad_escape(line: &str, failure: Failure<'_>) -> Explained {
    // The failure is at the backslash or in the escape after it.
    let before: Vec<_> = line.chars().take(failure.column + 1).collect();
    let column = before.iter().rposition(|&char| char == '\\').map_or(failure.column, |at| at + 1);
    Explained { line: failure.line, column, message: backslash("a string in double quotes") }
}

/// Explains a string without its closing quote, at its opening one.
fn open_quote(line: &str, failure: Failure<'_>) -> Explained {
    let quote = if failure.mentions(&["literal"]) { '\'' } else { '"' };
    let value = line.find('=').unwrap_or(0);
    let column =
        line[value..].find(quote).map_or(failure.column, |at| line[..value + at].chars().count() + 1);
    let message = "the quote that begins here is not closed; close it in the same line".to_owned();
    Explained { line: failure.line, column, message }
}

/// Names the line in which the key or the table has been set before.
fn duplicate(lines: &[&str], failure: Failure<'_>) -> String {
    let line = lines.get(failure.line - 1).copied().unwrap_or_default();
    let above = &lines[..(failure.line - 1).min(lines.len())];
    let first = if line.trim_start().starts_with('[') {
        let name = line.trim().trim_matches(['[', ']']).trim();
        above.iter().position(|line| {
            let line = line.trim();
            line.trim_matches(['[', ']']).trim() == name || key(line) == Some(name)
        })
    } else {
        let table = above.iter().rposition(|line| line.trim_start().starts_with('[')).map_or(0, |at| at + 1);
        above[table..].iter().position(|other| key(other) == key(line)).map(|at| table + at)
    };
    match first {
        Some(at) => format!("this is already set in line {}; keep one of the two", at + 1),
        None => "this is already set above; keep one of the two".to_owned(),
    }
}

fn key(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim())
}

/// Explains a mistake by the words of the parser. `rest` begins at the failure.
fn by_words(line: &str, rest: &str, failure: Failure<'_>) -> Option<&'static str> {
    let value = rest.trim_start();
    Some(if failure.column == 1 && value.starts_with('{') {
        "this is JSON; give the file a name that ends in .yaml, which includes JSON"
    } else if failure.mentions(&["carriage return"]) {
        "this line ends with a lone CR; save the file with LF or CRLF line ends"
    } else if failure.mentions(&["printable", "control"]) {
        "this is a control character; remove it"
    } else if bare(line).contains("${") {
        "a reference needs quotes: \"${NAME}\""
    } else if failure.mentions(&["no value"]) && bare(line).trim_start().contains(':') {
        "TOML writes `key = value`; for a file in YAML, give it a name that ends in .yaml"
    } else if failure.mentions(&["no value"]) {
        "a key needs a value: write `key = value`"
    } else if failure.mentions(&["boolean"]) {
        "write true or false in lower case"
    } else if failure.mentions(&["must be quoted"]) && value.is_empty() {
        "a value is missing after `=`"
    } else if failure.mentions(&["must be quoted", "leading zero", "opening quote"]) {
        "this is no number, no true or false, and no text in quotes; put text in quotes: key = \"value\""
    } else if failure.mentions(&["unclosed table", "unclosed array table"]) {
        "the header of a table is not closed; write [name], or [[name]] for an item of a list"
    } else if failure.mentions(&["unclosed"]) {
        "a bracket is not closed; add the closing `]` or `}`"
    } else if failure.mentions(&["comma"]) {
        "a comma is missing before this"
    } else if failure.mentions(&["unquoted key"]) {
        "a key with other characters than letters, digits, `-` and `_` needs quotes, as in \"claude-*\" = \"model\""
    } else if failure.mentions(&["unexpected key or value"]) {
        "a line has one key and one value; begin a new line before this, or put the value in quotes"
    } else {
        return None;
    })
}
