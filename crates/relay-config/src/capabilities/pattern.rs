//! Patterns of the names of models and betas.

use crate::names::{matches, split_once};

/// A pattern in which `*` matches any sequence of characters, including none, and `|` separates alternatives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// Takes the pattern as it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns `true` if `text` matches.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let mut further = self.0.as_str();
        while let Some((pattern, others)) = split_once(further, b'|') {
            if matches(pattern, text) {
                return true;
            }
            further = others;
        }
        matches(further, text)
    }

    /// Returns the pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if the pattern matches one text only.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.contains(['*', '|'])
    }

    /// Returns a key that sorts patterns from the least to the most specific. A pattern without `*` is the most
    /// specific.
    pub(super) fn weight(&self) -> (bool, usize, &str) {
        (!self.0.contains('*'), self.0.len(), &self.0)
    }
}
