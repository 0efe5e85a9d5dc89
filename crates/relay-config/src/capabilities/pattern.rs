//! Patterns of the names of models and betas.

use crate::names::matches;

/// A text in which `*` stands for any run of characters, none included, and `|` for "or".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// Takes over `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether `text` fits.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        self.0.split('|').any(|pattern| matches(pattern, text))
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Orders patterns from the one that says least to the one that says most, which is the one without `*`.
    pub(super) fn weight(&self) -> (bool, usize, &str) {
        (!self.0.contains('*'), self.0.len(), &self.0)
    }
}
