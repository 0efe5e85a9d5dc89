//! The reason that a settings file cannot be edited, with its place.

use relay_messages::JsonKind;

/// A defect of a settings file. Claude Code ignores the whole file in each of these cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub(crate) struct Invalid {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The column in characters, counted from 1.
    pub(crate) column: usize,
    pub(crate) fault: Fault,
}

/// The kind of a defect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the text is not valid UTF-8")]
    Utf8,
    #[error("found a comment, which JSON does not allow")]
    Comment,
    #[error("found a comma before a closing bracket, which JSON does not allow")]
    TrailingComma,
    #[error("not valid JSON: {0}")]
    Syntax(String),
    #[error("found {0}, expected an object with the settings")]
    NotAnObject(&'static str),
    #[error("found {0} as `env`, expected an object of names and values")]
    Env(&'static str),
}

impl Invalid {
    /// A defect at a byte offset of `text`.
    pub(super) fn at(text: &[u8], offset: usize, fault: Fault) -> Self {
        let before = &text[..offset.min(text.len())];
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Self { line, column, fault }
    }

    /// The defect of `text`, which is UTF-8 and not JSON.
    pub(super) fn syntax(text: &[u8]) -> Self {
        let Err(error) = serde_json::from_slice::<serde_json::Value>(text) else {
            return Self::at(text, 0, Fault::Syntax("arrays and objects nest too deep".to_owned()));
        };
        let offset = match error.is_eof() {
            true => text.trim_ascii_end().len(),
            false => offset_of(text, error.line(), error.column()),
        };
        // The parser may report the place after the first byte of the comment.
        let is_comment = |at: usize| text[at..].starts_with(b"//") || text[at..].starts_with(b"/*");
        if let Some(at) = [offset, offset.saturating_sub(1)].into_iter().find(|at| is_comment(*at)) {
            return Self::at(text, at, Fault::Comment);
        }
        let before = text[..offset].trim_ascii_end();
        let closes = text.get(offset).is_some_and(|byte| matches!(byte, b'}' | b']'));
        if closes && before.ends_with(b",") {
            return Self::at(text, before.len() - 1, Fault::TrailingComma);
        }
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        Self::at(text, offset, Fault::Syntax(message))
    }
}

/// Returns the offset of a line and a column in bytes, both counted from 1. serde_json counts them so.
fn offset_of(text: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        text.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// Returns the kind of a value in words.
pub(super) fn kind_name(kind: JsonKind) -> &'static str {
    match kind {
        JsonKind::Null => "null",
        JsonKind::Bool => "a boolean",
        JsonKind::Number => "a number",
        JsonKind::String => "a string",
        JsonKind::Array => "an array",
        JsonKind::Object => "an object",
    }
}
