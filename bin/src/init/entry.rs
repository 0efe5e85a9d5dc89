//! A provider of the file.

use relay_config::Document;

/// A provider with its comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The lines before the provider.
    pub(super) comments: Vec<String>,
    /// `false` if the provider is an example in a comment.
    pub(super) is_active: bool,
    /// The settings in the order of the file. The first one is the name.
    pub(super) settings: Vec<(String, Document)>,
}

impl Entry {
    pub(super) fn new(name: &str, kind: &str, is_active: bool) -> Self {
        let entry = Self { comments: Vec::new(), is_active, settings: Vec::new() };
        entry.with_text("name", name).with_text("type", kind)
    }

    #[must_use]
    pub(super) fn with_comment(mut self, line: impl Into<String>) -> Self {
        self.comments.push(line.into());
        self
    }

    #[must_use]
    pub(super) fn with(mut self, key: &str, value: Document) -> Self {
        self.settings.push((key.to_owned(), value));
        self
    }

    /// Adds a setting whose text has no references to variables.
    #[must_use]
    pub(super) fn with_text(self, key: &str, text: impl AsRef<str>) -> Self {
        self.with(key, Document::literal(text.as_ref()))
    }

    /// Adds the only key, which the variable holds.
    #[must_use]
    pub(super) fn with_key_of(self, variable: &str) -> Self {
        let key = Document::Table(vec![("key".to_owned(), format!("${{{variable}}}").into())]);
        self.with("keys", Document::List(vec![key]))
    }

    /// Adds a mapping of model names; none if it is empty.
    #[must_use]
    pub(super) fn with_mapping(self, names: impl IntoIterator<Item = (String, String)>) -> Self {
        let targets = names.into_iter().map(|(name, target)| (name, Document::literal(&target)));
        match targets.collect::<Vec<_>>() {
            targets if targets.is_empty() => self,
            targets => self.with("model_mapping", Document::Table(targets)),
        }
    }

    /// The name of the provider.
    pub(super) fn name(&self) -> &str {
        self.settings.first().and_then(|(_, name)| name.as_str()).unwrap_or_default()
    }
}
