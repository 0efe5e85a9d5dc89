//! Mistakes in YAML.

use super::failure::{Explained, Failure};
use super::lines::{bare, missing_blank, odd, window};

/// The escapes of a double-quoted string, and the number of hexadecimal digits that follow.
///
/// # Source
/// YAML 1.2, section 5.7.
const ESCAPES: [(&str, usize); 4] = [("0abt\tnvfre \"/\\N_LP", 0), ("x", 2), ("u", 4), ("U", 8)];

const TAB: &str = "this is a tab, which YAML does not accept here; write spaces";
const REFERENCE: &str = "`*` and `&` begin references to other parts of the file, and this one has no target; put a text that begins \
                         with them in quotes, as in '*'";

pub(super) fn explain(lines: &[&str], failure: Failure<'_>) -> Explained {
    let by_line =
        || window(lines, failure.line).into_iter().find_map(|number| by_line(lines, number, failure));
    toml_header(lines)
        .or_else(|| bad_escape(lines, failure))
        .or_else(|| tab_in_next_line(lines, failure))
        .or_else(by_line)
        .or_else(|| by_words(lines, failure))
        .unwrap_or_else(|| by_structure(lines, failure))
}

/// Recognises a file in TOML by its first line with content.
fn toml_header(lines: &[&str]) -> Option<Explained> {
    let (at, line) = lines.iter().enumerate().find(|(_, line)| !bare(line).trim().is_empty())?;
    let name = line.trim().strip_prefix('[')?.trim_start_matches('[');
    let name = name.split(']').next().filter(|_| name.contains(']'))?;
    let is_name =
        !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || "._- ".contains(char));
    let message = "this is TOML; give the file a name that ends in .toml".to_owned();
    (is_name && lines.len() > at + 1).then_some(Explained { line: at + 1, column: 1, message })
}

/// Finds the backslash that begins no escape, in the string that begins at the failure.
fn bad_escape(lines: &[&str], failure: Failure<'_>) -> Option<Explained> {
    if !failure.mentions(&["escape", "hexadecimal", "quoted scalar, found invalid Unicode"]) {
        return None;
    }
    for (line, text) in lines.iter().enumerate().skip(failure.line - 1) {
        let skipped = if line + 1 == failure.line { failure.column } else { 0 };
        let mut chars = text.chars().enumerate().skip(skipped);
        while let Some((at, char)) = chars.next() {
            if char != '\\' {
                continue;
            }
            let escape = chars.next().map_or(' ', |(_, escape)| escape);
            let digits =
                ESCAPES.iter().find(|(escapes, _)| escapes.contains(escape)).map(|(_, digits)| *digits);
            let found = chars
                .clone()
                .take(digits.unwrap_or(0))
                .filter(|(_, digit)| digit.is_ascii_hexdigit())
                .count();
            if digits != Some(found) {
                return Some(Explained {
                    line: line + 1,
                    column: at + 1,
                    message: backslash("a string in double quotes"),
                });
            }
        }
    }
    Some(failure.explained(backslash("a string in double quotes")))
}

/// Finds the tab that indents the line after the failure: the parser reports it at the end of the line above.
fn tab_in_next_line(lines: &[&str], failure: Failure<'_>) -> Option<Explained> {
    let here = bare(lines.get(failure.line - 1).unwrap_or(&""));
    let next = lines.get(failure.line).filter(|line| {
        failure.mentions(&["tab"]) && !here.contains('\t') && line.trim_start_matches(' ').starts_with('\t')
    })?;
    let column = next.chars().position(|char| char == '\t')? + 1;
    Some(Explained { line: failure.line + 1, column, message: TAB.to_owned() })
}

/// The explanation of a backslash that begins no escape in `place`.
pub(super) fn backslash(place: &str) -> String {
    format!(
        "this backslash begins no known escape in {place}; write a Windows path in single quotes, as in 'C:\\Users\\me', or \
         double each backslash"
    )
}

/// Explains a mistake that a line shows by itself.
fn by_line(lines: &[&str], number: usize, failure: Failure<'_>) -> Option<Explained> {
    let line = lines[number - 1];
    let at = |at: usize, message: String| Some(Explained { line: number, column: at + 1, message });
    if let Some(odd) = odd(line) {
        return at(odd.at, odd.message());
    }
    let is_tab = failure.mentions(&["tab", "whitespace", "indentation", "expected", "not allowed"]);
    if let Some(column) = bare(line).chars().position(|char| char == '\t').filter(|_| is_tab) {
        return at(column, TAB.to_owned());
    }
    if failure.mentions(&["quoted scalar"]) {
        return None;
    }
    if failure.mentions(&["simple key", "mapping values"]) && line.trim_start().starts_with('*') {
        return at(first_column(line) - 1, REFERENCE.to_owned());
    }
    let (column, key) = missing_blank(line)?;
    at(column, format!("a space is missing after the colon; write `{key}: ` before the value"))
}

/// Explains a mistake by the words of the parser.
fn by_words(lines: &[&str], failure: Failure<'_>) -> Option<Explained> {
    let here = lines.get(failure.line - 1).and_then(|line| line.chars().nth(failure.column - 1));
    let message = if failure.mentions(&["anchor", "alphabetic or numeric"]) {
        REFERENCE.to_owned()
    } else if failure.mentions(&["unexpected character"]) {
        format!("a value without quotes cannot begin with `{}`; put it in quotes", here.unwrap_or(' '))
    } else if failure.mentions(&["unprintable"]) {
        "this is a control character; remove it".to_owned()
    } else if failure.mentions(&["trailing content after"]) {
        "text follows the closing quote; put the whole value in one pair of quotes".to_owned()
    } else if failure.mentions(&["quoted scalar"]) {
        "the quote that begins here is not closed; close it in the same line".to_owned()
    } else if failure.mentions(&["block sequence entries"]) {
        "a list with `- ` begins in a line of its own; move it to the next line".to_owned()
    } else if failure.mentions(&["flow"]) {
        return Some(in_brackets(lines, failure));
    } else {
        return None;
    };
    Some(failure.explained(message))
}

/// Explains a mistake inside of `{ }` or `[ ]`.
fn in_brackets(lines: &[&str], failure: Failure<'_>) -> Explained {
    for number in window(lines, failure.line) {
        let line = bare(lines[number - 1]);
        if let Some(at) = line.find("${") {
            let column = line[..at].chars().count() + 1;
            let message = "inside of { } and [ ], a reference needs quotes: '${NAME}'".to_owned();
            return Explained { line: number, column, message };
        }
    }
    let rest: String = lines.iter().skip(failure.line - 1).copied().collect();
    failure.explained(match rest.chars().nth(failure.column - 1) {
        None => "the text ends inside of a bracket; add the closing `]` or `}`",
        Some(_) => "a comma or a closing bracket is missing before this; a value with `,`, `:`, `{` or `[` needs quotes",
    })
}

/// Explains a mistake by the shape of the line and of the line above it.
fn by_structure(lines: &[&str], failure: Failure<'_>) -> Explained {
    let window = window(lines, failure.line);
    let text = |index: usize| window.get(index).map_or("", |number| lines[number - 1]);
    let (here, above) = (bare(text(0)), bare(text(1)));
    let has_key = |line: &str| line.contains(": ") || line.trim_end().ends_with(':') || line.trim() == "-";
    let line_above = window.get(1).copied().unwrap_or(failure.line);
    if failure.mentions(&["mapping values", "simple key"]) {
        if here.matches(": ").count() > 1 {
            return failure.explained(
                "a line has one key; put a value that contains `: ` in quotes, or begin a new line",
            );
        }
        if !has_key(&here) {
            let line = window.first().copied().unwrap_or(failure.line);
            let message = "this line has no colon after its key; write `key: value`".to_owned();
            return Explained { line, column: first_column(text(0)), message };
        }
        if !has_key(&above) {
            let message =
                "this line has no colon after its key; write `key: value`, or `key:` before a table"
                    .to_owned();
            return Explained { line: line_above, column: first_column(text(1)), message };
        }
        return failure.explained(
            "this line is indented deeper than the line above it; begin the keys of one table in one column",
        );
    }
    if failure.mentions(&["did not find expected", "indentation", "indented"]) {
        return failure.explained(
            "the indentation of this line fits none of the lines above; begin the keys of one table, and the `-` of one list, in \
             one column",
        );
    }
    failure.explained(
        "this cannot be read; check the indentation, the quotes and the brackets, here and in the line above",
    )
}

fn first_column(line: &str) -> usize {
    line.chars().take_while(|char| char.is_whitespace()).count() + 1
}
