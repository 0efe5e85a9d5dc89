//! Writes a document as YAML in block style.

use std::fmt::Write as _;

use super::Document;
use super::scalar::{yaml, yaml_number};

/// The longest key that YAML accepts without a question mark before it, in characters.
/// # Source
/// YAML 1.2, section 7.4.2.
const KEY: usize = 1024;

/// Returns the document as YAML.
pub(super) fn write(document: &Document) -> String {
    let mut text = String::new();
    match document {
        Document::Table(entries) if !entries.is_empty() => table(entries, 0, &mut text),
        Document::List(items) if !items.is_empty() => list(items, 0, &mut text),
        value => line(&scalar(value), &mut text),
    }
    text
}

/// Writes the entries of a table. The place of the first one is that of the end of the text.
fn table(entries: &[(String, Document)], indent: usize, text: &mut String) {
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            pad(indent, text);
        }
        let key = yaml(key);
        if key.chars().count() > KEY {
            let _ = write!(text, "? {key}\n{:indent$}", "");
        } else {
            text.push_str(&key);
        }
        text.push(':');
        match value {
            Document::Table(entries) if !entries.is_empty() => {
                start_line(indent + 2, text);
                table(entries, indent + 2, text);
            }
            Document::List(items) if !items.is_empty() => {
                start_line(indent + 2, text);
                list(items, indent + 2, text);
            }
            value => {
                text.push(' ');
                line(&scalar(value), text);
            }
        }
    }
}

/// Writes the items of a list. The place of the first one is that of the end of the text.
fn list(items: &[Document], indent: usize, text: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            pad(indent, text);
        }
        text.push_str("- ");
        match item {
            Document::Table(entries) if !entries.is_empty() => table(entries, indent + 2, text),
            Document::List(items) if !items.is_empty() => list(items, indent + 2, text),
            value => line(&scalar(value), text),
        }
    }
}

fn start_line(indent: usize, text: &mut String) {
    text.push('\n');
    pad(indent, text);
}

fn pad(indent: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', indent));
}

fn line(value: &str, text: &mut String) {
    text.push_str(value);
    text.push('\n');
}

/// Returns a value on the line of its key or dash. A list and a table that have no line of their own are empty.
fn scalar(value: &Document) -> String {
    match value {
        Document::Null => "null".to_owned(),
        Document::Bool(value) => value.to_string(),
        Document::Number(text) => yaml_number(text),
        Document::Text(text) => yaml(text),
        Document::List(_) => "[]".to_owned(),
        Document::Table(_) => "{}".to_owned(),
    }
}
