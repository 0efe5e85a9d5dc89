//! Writes a draft as YAML.

use std::fmt::Write as _;

use relay_config::Document;

/// Returns the document as YAML in block style.
pub(super) fn write(document: &Document) -> String {
    let mut text = String::new();
    value(document, 0, &mut text);
    text
}

/// Writes a table or a list in lines of this indentation.
fn value(document: &Document, indent: usize, text: &mut String) {
    match document {
        Document::Table(entries) => {
            for (key, value) in entries {
                let _ = write!(text, "{:indent$}{}:", "", scalar(&Document::Text(key.clone())));
                nested(value, indent + 2, text);
            }
        }
        Document::List(items) => {
            for item in items {
                let mut inner = String::new();
                nested(item, indent + 2, &mut inner);
                // The first line of an item is on the line of its dash.
                let inner =
                    inner.strip_prefix('\n').map_or(inner.as_str(), |lines| lines.trim_start_matches(' '));
                let _ = writeln!(text, "{:indent$}- {}", "", inner.trim_start().trim_end());
            }
        }
        scalar_value => {
            let _ = writeln!(text, "{:indent$}{}", "", scalar(scalar_value));
        }
    }
}

/// Writes a value after a key or a dash.
fn nested(document: &Document, indent: usize, text: &mut String) {
    let is_empty = document.entries().is_empty() && document.items().is_empty();
    match document {
        Document::Table(_) | Document::List(_) if !is_empty => {
            text.push('\n');
            value(document, indent, text);
        }
        Document::Table(_) => text.push_str(" {}\n"),
        Document::List(_) => text.push_str(" []\n"),
        scalar_value => {
            let _ = writeln!(text, " {}", scalar(scalar_value));
        }
    }
}

fn scalar(document: &Document) -> String {
    match document {
        Document::Bool(value) => value.to_string(),
        Document::Number(text) => text.clone(),
        Document::Text(text) if is_plain(text) => text.clone(),
        Document::Text(text) => quoted(text),
        _ => "null".to_owned(),
    }
}

/// Returns `true` for a text that YAML and other readers take for itself without quotes.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_word)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Returns a text in double quotes, in the escapes that YAML, TOML and JSON share.
pub(super) fn quoted(text: &str) -> String {
    let mut result = String::with_capacity(text.len() + 2);
    result.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => result.extend(['\\', c]),
            '\n' => result.push_str("\\n"),
            '\t' => result.push_str("\\t"),
            '\r' => result.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                let _ = write!(result, "\\u{:04x}", u32::from(c));
            }
            c => result.push(c),
        }
    }
    result.push('"');
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use relay_config::Format;

    use super::super::toml_text;
    use super::*;

    fn documents() -> impl Strategy<Value = Document> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Document::Bool),
            any::<i32>().prop_map(|number| Document::Number(number.to_string())),
            "\\PC{0,12}|[a-z${}:#'\"\\\\\\n\\t -]{0,12}".prop_map(Document::Text),
        ];
        let key = "[a-zA-Z0-9_.*: -]{1,8}";
        let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
            let table = prop::collection::btree_map(key, inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Document::List),
                table.prop_map(|entries| Document::Table(entries.into_iter().collect())),
            ]
        });
        prop::collection::btree_map(key, tree, 1..4)
            .prop_map(|entries| Document::Table(entries.into_iter().collect()))
    }

    /// The same values, with tables in the order of their keys: TOML has its own order.
    fn sorted(document: Document) -> Document {
        match document {
            Document::Table(entries) => {
                let mut entries: Vec<_> =
                    entries.into_iter().map(|(key, value)| (key, sorted(value))).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Document::Table(entries)
            }
            Document::List(items) => Document::List(items.into_iter().map(sorted).collect()),
            value => value,
        }
    }

    proptest! {
        #[test]
        fn a_document_is_the_same_after_it_was_written_and_read(document in documents()) {
            let text = write(&document);
            prop_assert_eq!(&Document::read("t.yaml", Format::Yaml, &text).unwrap(), &document, "{}", text);
            let text = toml_text::write(&document);
            let read = Document::read("t.toml", Format::Toml, &text).unwrap();
            prop_assert_eq!(sorted(read), sorted(document), "{}", text);
        }
    }
}
