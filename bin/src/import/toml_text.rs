//! Writes a draft as TOML.

use std::fmt::Write as _;

use relay_config::Document;

use super::yaml_text::quoted;

/// Returns the document as TOML. A value that is absent is not written: TOML has none.
pub(super) fn write(document: &Document) -> String {
    let mut text = String::new();
    table(document, "", &mut text);
    text.trim_start().to_owned()
}

/// Writes the values of a table, and then the tables inside it: what follows a header belongs to it.
fn table(document: &Document, path: &str, text: &mut String) {
    let entries = document.entries().iter().filter(|(_, value)| *value != Document::Null);
    let (tables, values): (Vec<_>, Vec<_>) = entries.partition(|(_, value)| has_header(value));
    for (key, value) in values {
        let _ = writeln!(text, "{} = {}", bare(key), inline(value));
    }
    for (key, value) in tables {
        let path = if path.is_empty() { bare(key) } else { format!("{path}.{}", bare(key)) };
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

/// Returns `true` for a table, and for a list of tables.
fn has_header(value: &Document) -> bool {
    let is_table = |value: &Document| matches!(value, Document::Table(_));
    is_table(value) || (!value.items().is_empty() && value.items().iter().all(is_table))
}

/// Returns a value on one line.
fn inline(value: &Document) -> String {
    match value {
        Document::Null => quoted(""),
        Document::Bool(value) => value.to_string(),
        Document::Number(text) => text.clone(),
        Document::Text(text) => quoted(text),
        Document::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Document::Table(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{} = {}", bare(key), inline(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Returns a key, in quotes if TOML needs them.
fn bare(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { key.to_owned() } else { quoted(key) }
}
