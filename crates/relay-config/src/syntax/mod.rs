//! Explanations of text that is not well-formed: the place of the mistake, and its fix.
//!
//! A parser reports the place at which its grammar fails, in the words of the grammar. The mistake is often in the line above,
//! and often a character that looks like another one. An explanation never contains a value, which may be a secret.

mod characters;
mod lines;
mod toml;
mod yaml;

pub(crate) use characters::{odd_character, odd_in_value};
pub(crate) use lines::missing_blank;

/// The explanation of a mistake. Line and column count from 1, the column in characters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

/// The failure of a parser: its place and its words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure<'a> {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) words: &'a str,
}

impl Failure<'_> {
    fn explained(&self, message: impl Into<String>) -> Explained {
        Explained { line: self.line, column: self.column, message: message.into() }
    }

    fn mentions(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.words.contains(part))
    }
}

/// Explains the failure of the YAML parser in `text`.
pub(crate) fn explain_yaml(text: &str, failure: Failure<'_>) -> Explained {
    yaml::explain(&lines::split(text), failure)
}

/// Explains the failure of the TOML parser in `text`.
pub(crate) fn explain_toml(text: &str, failure: Failure<'_>) -> Explained {
    toml::explain(&lines::split(text), failure)
}
