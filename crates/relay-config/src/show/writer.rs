//! A writer of YAML.

use std::fmt::Display;
use std::fmt::Write as _;
use std::time::Duration;

use crate::document::scalar;
use crate::secret::Secret;

/// YAML in block style, which is written line by line, and the settings in it.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) text: String,
    /// The settings in the order of the lines.
    pub(super) settings: Vec<Setting>,
    /// The path of the table or the list item that is being written.
    path: String,
    indent: usize,
    /// True if the next line starts a list item.
    item: bool,
}

/// One setting of a configuration, or an item of a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// The path, such as `providers[zai].keys[team].weight`. An item of a list has a name, or its index.
    pub(crate) path: String,
    pub(crate) value: SettingValue,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SettingValue {
    /// An item of a list, whose settings follow.
    Item,
    /// A scalar or a list of scalars, as YAML.
    Text(String),
    Secret(Secret),
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

    /// Writes a line, and adds its setting.
    fn setting(&mut self, key: &str, text: String) {
        self.line(key, &text);
        self.add(key, SettingValue::Text(text));
    }

    fn add(&mut self, key: &str, value: SettingValue) {
        let path = joined(&self.path, key);
        self.settings.push(Setting { path, value });
    }

    pub(super) fn plain(&mut self, key: &str, value: impl Display) {
        self.setting(key, value.to_string());
    }

    pub(super) fn millis(&mut self, key: &str, value: Duration) {
        self.plain(key, value.as_millis());
    }

    pub(super) fn string(&mut self, key: &str, value: impl Display) {
        self.setting(key, quoted(&value.to_string()));
    }

    pub(super) fn secret(&mut self, key: &str, value: &Secret) {
        self.line(key, &quoted(&value.to_string()));
        self.add(key, SettingValue::Secret(value.clone()));
    }

    pub(super) fn strings<T: Display>(&mut self, key: &str, values: impl Iterator<Item = T>) {
        let values: Vec<_> = values.map(|value| quoted(&value.to_string())).collect();
        self.setting(key, format!("[{}]", values.join(", ")));
    }

    pub(super) fn table(&mut self, key: &str, rows: impl FnOnce(&mut Self)) {
        let before = self.text.len();
        self.line(key, "");
        let head = self.text.len();
        let outer = joined(&self.path, key);
        let outer = std::mem::replace(&mut self.path, outer);
        self.indent += 2;
        rows(self);
        self.indent -= 2;
        self.path = outer;
        if self.text.len() == head {
            self.text.truncate(before);
            self.line(key, "{}");
        }
    }

    /// Writes a list of tables. `name` returns the name of an item in the paths of its settings; without one, the item has its
    /// index.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        items: &[T],
        name: impl Fn(&T) -> Option<String>,
        mut row: impl FnMut(&T, &mut Self),
    ) {
        if items.is_empty() {
            return self.line(key, "[]");
        }
        self.line(key, "");
        self.indent += 4;
        for (index, item) in items.iter().enumerate() {
            self.item = true;
            let name = name(item).unwrap_or_else(|| index.to_string());
            self.add(&format!("{key}[{name}]"), SettingValue::Item);
            let inner = joined(&self.path, &format!("{key}[{name}]"));
            let outer = std::mem::replace(&mut self.path, inner);
            row(item, self);
            self.path = outer;
        }
        self.indent -= 4;
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Returns a key of a map. References in keys are not expanded.
pub(super) fn map_key(text: &str) -> String {
    scalar::yaml_flow(text)
}

/// Returns `text` as a YAML scalar that is read back as the same string, also after expansion.
fn quoted(text: &str) -> String {
    scalar::yaml_flow(&scalar::literal(text))
}
