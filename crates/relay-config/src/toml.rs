//! The TOML parser: from text to a tree with places.

use std::ops::Range;
use std::sync::Arc;

use toml_edit::{Document, InlineTable, Item, Table, TomlError, Value as TomlValue};

use crate::error::{Fault, Place};
use crate::report::Report;
use crate::syntax::{Explained, Failure, explain_toml};
use crate::tree::{Entry, KeyPath, Node, Number, Value};

/// Parses `text`. Returns `None` if it is not well-formed and the report has the problem.
pub(crate) fn parse(name: &Arc<str>, text: &str, report: &mut Report) -> Option<Node> {
    let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let reader = Reader { name, text, line_starts };
    match Document::parse(text) {
        Ok(document) => Some(reader.table(document.as_table(), reader.place(Some(0..0)))),
        Err(error) => {
            let (place, fault) = reader.explain(&error);
            report.problem(place, &KeyPath::default(), fault);
            None
        }
    }
}

struct Reader<'a> {
    name: &'a Arc<str>,
    text: &'a str,
    /// The byte offset of each line.
    line_starts: Vec<usize>,
}

impl Reader<'_> {
    fn item(&self, item: &Item, around: &Place) -> Node {
        match item {
            Item::None => Node::new(around.clone(), Value::Map(Vec::new())),
            Item::Value(value) => self.value(value),
            Item::Table(table) => self.table(table, self.place_or(table.span(), around)),
            Item::ArrayOfTables(tables) => {
                let items = tables.iter().map(|table| self.table(table, self.place_or(table.span(), around)));
                Node::new(self.place_or(tables.span(), around), Value::List(items.collect()))
            }
        }
    }

    fn value(&self, value: &TomlValue) -> Node {
        let written = || value.span().and_then(|span| self.text.get(span)).unwrap_or_default().to_owned();
        let node = match value {
            TomlValue::String(text) => Value::Text(text.value().clone()),
            TomlValue::Integer(number) => {
                Value::Number(Number { text: written(), whole: Some(i128::from(*number.value())) })
            }
            TomlValue::Float(_) => Value::Number(Number { text: written(), whole: None }),
            TomlValue::Boolean(value) => Value::Bool(*value.value()),
            TomlValue::Datetime(_) => Value::Date(written()),
            TomlValue::Array(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            TomlValue::InlineTable(table) => Value::Map(self.inline(table)),
        };
        Node::new(self.place(value.span()), node)
    }

    fn table(&self, table: &Table, at: Place) -> Node {
        let entries = table.iter().map(|(key, item)| {
            let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
            let at = self.place_or(span, &at);
            Entry { key: key.to_owned(), node: self.item(item, &at), at }
        });
        let entries = entries.collect();
        Node::new(at, Value::Map(entries))
    }

    fn inline(&self, table: &InlineTable) -> Vec<Entry> {
        let entry = |(key, value): (&str, &TomlValue)| {
            let span = table.key(key).and_then(toml_edit::Key::span).or_else(|| value.span());
            Entry { key: key.to_owned(), at: self.place(span), node: self.value(value) }
        };
        table.iter().map(entry).collect()
    }

    fn place_or(&self, span: Option<Range<usize>>, around: &Place) -> Place {
        if span.is_some() { self.place(span) } else { around.clone() }
    }

    fn explain(&self, error: &TomlError) -> (Place, Fault) {
        let (line, column) = self.position(error.span());
        let explained = explain_toml(self.text, Failure { line, column, words: error.message() });
        let Explained { line, column, message } = explained;
        (Place::File { name: self.name.clone(), line, column }, Fault::Syntax { format: "TOML", message })
    }

    fn place(&self, span: Option<Range<usize>>) -> Place {
        let (line, column) = self.position(span);
        Place::File { name: self.name.clone(), line, column }
    }

    /// Returns the line and column of a byte offset.
    fn position(&self, span: Option<Range<usize>>) -> (usize, usize) {
        let offset = span.map_or(0, |span| span.start.min(self.text.len()));
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = self.text.get(start..offset).unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}
