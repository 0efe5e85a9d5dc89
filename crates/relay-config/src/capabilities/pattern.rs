//! Patterns of the names of models and betas.

use crate::names::{matches, split_once};

/// A pattern in which `*` matches any sequence of characters, including none, and `|` separates alternatives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    text: String,
    /// The offset of the first `*` or `|`.
    special: Option<usize>,
}

impl Pattern {
    /// Takes the pattern as it is written.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { special: text.find(['*', '|']), text }
    }

    /// Returns `true` if `text` matches.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        // Most patterns are one name, or the start of one.
        match self.special {
            None => self.text == text,
            Some(at) if &self.text[at..] == "*" => text.starts_with(&self.text[..at]),
            Some(_) => self.fits_any(text),
        }
    }

    /// Returns `true` if `text` matches one of the alternatives.
    fn fits_any(&self, text: &str) -> bool {
        let mut further = self.text.as_str();
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
        &self.text
    }

    /// Returns `true` if the pattern matches one text only.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.special.is_none()
    }

    /// Returns a key that sorts patterns from the least to the most specific. A pattern without `*` is the most
    /// specific.
    pub(super) fn weight(&self) -> (bool, usize, &str) {
        (!self.text.contains('*'), self.text.len(), &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_one_of_its_alternatives_matches() {
        let texts = ["", "a", "ab", "ab-1", "ba", "b", "a|b", "*"];
        for pattern in
            ["", "a", "ab", "a*", "ab-*", "*", "*b", "a*b", "a|b", "a|b*", "a*|b", "|", "|*", "**", "*|"]
        {
            let fits = Pattern::new(pattern);
            for text in texts {
                let expected = pattern.split('|').any(|alternative| matches(alternative, text));
                assert_eq!(fits.fits(text), expected, "{pattern:?} {text:?}");
            }
        }
    }
}
