//! Changes of tables.

use std::mem;

use relay_config::Document;

/// A table under construction.
pub(super) type Table = Vec<(String, Document)>;

/// Returns the entries of a table; none for any other value.
pub(super) fn into_table(document: Document) -> Table {
    match document {
        Document::Table(entries) => entries,
        _ => Table::new(),
    }
}

/// Removes a key and returns its value.
pub(super) fn take(table: &mut Table, key: &str) -> Option<Document> {
    let at = table.iter().position(|(known, _)| known == key)?;
    Some(table.remove(at).1)
}

/// Sets the value of a key, in the place of an earlier one.
pub(super) fn set(table: &mut Table, key: &str, value: impl Into<Document>) {
    let value = value.into();
    match table.iter_mut().find(|(known, _)| known == key) {
        Some((_, place)) => *place = value,
        None => table.push((key.to_owned(), value)),
    }
}

/// Sets a value unless the key has one.
pub(super) fn set_default(table: &mut Table, key: &str, value: impl Into<Document>) {
    if !table.iter().any(|(known, _)| known == key) {
        set(table, key, value);
    }
}

/// Changes the table at a key. It is added if it is absent, and replaces a value that is no table.
pub(super) fn edit(parent: &mut Table, key: &str, change: impl FnOnce(&mut Table)) {
    let place = parent.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value);
    let mut table = place.map(|value| into_table(mem::replace(value, Document::Null))).unwrap_or_default();
    change(&mut table);
    set(parent, key, Document::Table(table));
}

/// Returns the text of a key.
pub(super) fn text<'a>(table: &'a [(String, Document)], key: &str) -> Option<&'a str> {
    table.iter().find(|(known, _)| known == key).and_then(|(_, value)| value.as_str())
}

/// Returns a whole number, also one that is written as text.
pub(super) fn whole(value: &Document) -> Option<u64> {
    match value {
        Document::Number(text) | Document::Text(text) => text.parse().ok(),
        _ => None,
    }
}
