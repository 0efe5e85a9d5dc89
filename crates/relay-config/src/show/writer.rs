//! A writer of YAML.

use std::fmt::Display;
use std::fmt::Write as _;
use std::time::Duration;

use crate::secret::Secret;
use crate::yaml::is_plain_text;

/// YAML in block style, which is written line by line.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) text: String,
    indent: usize,
    /// True if the next line starts a list item.
    item: bool,
}

impl Writer {
    fn line(&mut self, key: &str, value: &str) {
        let indent = if self.item { self.indent - 2 } else { self.indent };
        let dash = if std::mem::take(&mut self.item) { "- " } else { "" };
        let space = if value.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:indent$}{dash}{key}:{space}{value}", "");
    }

    /// Writes a comment on the lines above, which is not part of the configuration.
    pub(super) fn remark(&mut self, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:1$}# {text}", "", self.indent);
    }

    pub(super) fn plain(&mut self, key: &str, value: impl Display) {
        self.line(key, &value.to_string());
    }

    pub(super) fn millis(&mut self, key: &str, value: Duration) {
        self.plain(key, value.as_millis());
    }

    pub(super) fn string(&mut self, key: &str, value: impl Display) {
        self.line(key, &quoted(&value.to_string()));
    }

    pub(super) fn secret(&mut self, key: &str, value: &Secret) {
        self.string(key, value);
    }

    pub(super) fn strings<T: Display>(&mut self, key: &str, values: impl Iterator<Item = T>) {
        let values: Vec<_> = values.map(|value| quoted(&value.to_string())).collect();
        self.line(key, &format!("[{}]", values.join(", ")));
    }

    pub(super) fn table(&mut self, key: &str, rows: impl FnOnce(&mut Self)) {
        let before = self.text.len();
        self.line(key, "");
        let head = self.text.len();
        self.indent += 2;
        rows(self);
        self.indent -= 2;
        if self.text.len() == head {
            self.text.truncate(before);
            self.line(key, "{}");
        }
    }

    pub(super) fn list<T>(&mut self, key: &str, items: &[T], mut row: impl FnMut(&T, &mut Self)) {
        if items.is_empty() {
            return self.line(key, "[]");
        }
        self.line(key, "");
        self.indent += 4;
        for item in items {
            self.item = true;
            row(item, self);
        }
        self.indent -= 4;
    }
}

/// Returns `text` as a YAML scalar that is read back as the same string, also after expansion.
pub(super) fn quoted(text: &str) -> String {
    if is_plain_text(text) { text.to_owned() } else { escaped(text) }
}

/// Returns a double-quoted scalar. YAML has all escapes of JSON.
fn escaped(text: &str) -> String {
    serde_json::Value::from(text.replace("${", "$${")).to_string()
}
