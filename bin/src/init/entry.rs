//! A provider of the file.

/// A provider with its comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The lines before the provider.
    pub(super) comments: Vec<String>,
    /// `false` if the provider is an example in a comment.
    pub(super) is_active: bool,
    /// The settings in the order of the file. The first one is the name.
    pub(super) settings: Vec<(&'static str, Value)>,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text without references to variables.
    Text(String),
    Number(i32),
    /// The only key, in the variable with this name.
    Key(String),
    /// Names and values.
    Map(Vec<(String, String)>),
}

impl Entry {
    pub(super) fn new(name: &str, kind: &str, is_active: bool) -> Self {
        let settings = vec![("name", Value::text(name)), ("type", Value::text(kind))];
        Self { comments: Vec::new(), is_active, settings }
    }

    #[must_use]
    pub(super) fn with_comment(mut self, line: impl Into<String>) -> Self {
        self.comments.push(line.into());
        self
    }

    #[must_use]
    pub(super) fn with(mut self, key: &'static str, value: Value) -> Self {
        self.settings.push((key, value));
        self
    }

    /// The name of the provider.
    pub(super) fn name(&self) -> &str {
        match self.settings.first() {
            Some((_, Value::Text(name))) => name,
            _ => "",
        }
    }
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}
