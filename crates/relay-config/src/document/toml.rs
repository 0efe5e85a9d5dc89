//! Writes a document as TOML.

use std::fmt::Write as _;

use super::Document;
use super::scalar::{quoted, toml_key, toml_number};

/// Returns the entries of a table as TOML.
pub(super) fn write(document: &Document) -> String {
    let mut text = String::new();
    table(document, "", &mut text);
    text.trim_start().to_owned()
}

/// Writes the values of a table, and then the tables inside of it: the lines below a header belong to that header.
fn table(document: &Document, path: &str, text: &mut String) {
    let (tables, values): (Vec<_>, Vec<_>) = present(document).partition(|(_, value)| has_header(value));
    for (key, value) in values {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} = {}", toml_key(key), inline(value));
    }
    for (key, value) in tables {
        let key = toml_key(key);
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        match value {
            Document::List(items) => {
                for item in items {
                    let _ = writeln!(text, "\n[[{path}]]");
                    table(item, &path, text);
                }
            }
            value => {
                let _ = writeln!(text, "\n[{path}]");
                table(value, &path, text);
            }
        }
    }
}

/// Returns the entries of a table that have a value: TOML has no other.
fn present(document: &Document) -> impl Iterator<Item = &(String, Document)> {
    document.entries().iter().filter(|(_, value)| *value != Document::Null)
}

/// Returns `true` for a table, and for a list of tables.
fn has_header(value: &Document) -> bool {
    let is_table = |value: &Document| matches!(value, Document::Table(_));
    is_table(value) || (!value.items().is_empty() && value.items().iter().all(is_table))
}

/// Returns a value on one line.
pub(super) fn inline(value: &Document) -> String {
    match value {
        Document::Null => quoted(""),
        Document::Bool(value) => value.to_string(),
        Document::Number(text) => toml_number(text),
        Document::Text(text) => quoted(text),
        Document::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Document::Table(_) => {
            let entries = present(value).map(|(key, value)| format!("{} = {}", toml_key(key), inline(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}
