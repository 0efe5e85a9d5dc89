//! The text of a document.

use super::{Document, toml, yaml};
use crate::load::Format;

impl Document {
    /// Returns the document as a text that [`read`](Self::read) turns into the same document. A number keeps its value, not its
    /// form.
    ///
    /// TOML has tables only at the root: another value there becomes an empty text. A value that is absent is dropped from its
    /// table, and becomes an empty text in a list. The tables of a table come after its other values.
    #[must_use]
    pub fn to_text(&self, format: Format) -> String {
        match format {
            Format::Yaml => yaml::write(self),
            Format::Toml => toml::write(self),
        }
    }

    /// Returns the value as TOML on one line, as it stands after a key.
    #[must_use]
    pub fn to_toml_value(&self) -> String {
        toml::inline(self)
    }
}
