//! The failure of a parser and its explanation.

/// The explanation of a mistake. Line and column count from 1, the column in characters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl Explained {
    /// Moves a place after the last line to the end of the text. The parsers begin a line there that the file does not have.
    pub(super) fn within(self, lines: &[&str]) -> Self {
        match lines.last() {
            Some(last) if self.line > lines.len() => {
                Self { line: lines.len(), column: last.chars().count() + 1, ..self }
            }
            _ => self,
        }
    }
}

/// The failure of a parser: its place and its words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure<'a> {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) words: &'a str,
}

impl Failure<'_> {
    pub(super) fn explained(&self, message: impl Into<String>) -> Explained {
        Explained { line: self.line, column: self.column, message: message.into() }
    }

    pub(super) fn mentions(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.words.contains(part))
    }
}
