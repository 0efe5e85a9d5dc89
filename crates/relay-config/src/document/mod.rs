//! The values of a YAML, TOML or JSON text, for a program that reads or writes the files of others.

pub(crate) mod scalar;
#[cfg(test)]
mod tests;
mod text;
mod toml;
mod yaml;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::LoadError;
use crate::interpolate;
use crate::load::Format;
use crate::report::Report;
use crate::tree::{Node, Value};

/// The values of a text, in its order. No value is interpreted: `${NAME}` is text.
///
/// ```
/// use relay_config::{Document, Format};
///
/// let document = Document::read("litellm.yaml", Format::Yaml, "model_list: [{ model_name: sonnet }]")?;
/// let first = &document.get("model_list").unwrap().items()[0];
/// assert_eq!(first.get("model_name").and_then(Document::as_str), Some("sonnet"));
/// # Ok::<(), relay_config::LoadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// No value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A string. A date or time of TOML is a string too.
    Text(String),
    /// A list.
    List(Vec<Document>),
    /// Keys with their values. A text that is read has each key once, except in JSON.
    Table(Vec<(String, Document)>),
}

impl Document {
    /// Reads a text. `name` is its name in messages.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] with the place of the mistake if the text is not well-formed.
    pub fn read(name: impl Into<Arc<str>>, format: Format, text: &str) -> Result<Self, LoadError> {
        let (name, mut report) = (name.into(), Report::default());
        let root = match format {
            Format::Yaml => crate::yaml::parse(&name, text, &mut report),
            Format::Toml => crate::toml::parse(&name, text, &mut report),
        };
        let (problems, _) = report.finish();
        match root {
            Some(root) if problems.is_empty() => Ok(Self::of(root)),
            _ => Err(LoadError::Invalid { problems }),
        }
    }

    /// Returns a text of which the loader takes nothing for a reference to a variable.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self::Text(scalar::literal(text))
    }

    /// Returns the variables without a default that the texts below this value refer to.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.each_text(&mut |text| names.extend(interpolate::required(text).map(str::to_owned)));
        names
    }

    fn each_text(&self, visit: &mut impl FnMut(&str)) {
        match self {
            Self::Text(text) => visit(text),
            Self::List(items) => items.iter().for_each(|item| item.each_text(visit)),
            Self::Table(entries) => entries.iter().for_each(|(_, value)| value.each_text(visit)),
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
        }
    }

    fn of(node: Node) -> Self {
        match node.value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number.text),
            Value::Date(text) | Value::Text(text) | Value::Loose(text) => Self::Text(text),
            Value::List(items) => Self::List(items.into_iter().map(Self::of).collect()),
            Value::Map(entries) => {
                Self::Table(entries.into_iter().map(|entry| (entry.key, Self::of(entry.node))).collect())
            }
        }
    }

    /// Returns the value of a key; `None` if this is no table or has no such key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// Returns the keys and values of a table; none for any other value.
    #[must_use]
    pub fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Table(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the items of a list; none for any other value.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<'de> Deserialize<'de> for Document {
    /// Reads a value whose lists and tables are nested as deeply as those of [`Document::read`] may be.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Values { depth: 0 }.deserialize(deserializer)
    }
}

/// Builds a document from the values of a deserializer, in their order.
#[derive(Clone, Copy)]
struct Values {
    /// The number of lists and tables around the value.
    depth: usize,
}

impl Values {
    /// Returns the seed of the values inside of a list or table.
    fn inside<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        match depth > crate::yaml::DEPTH_LIMIT {
            true => Err(E::custom("nesting this deep is not supported here; no setting needs it")),
            false => Ok(Self { depth }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Values {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Document, E> {
        Ok(Document::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Document, E> {
        Ok(Document::Number(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Document, E> {
        Ok(Document::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Document, E> {
        Ok(Document::Number(value.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Document, E> {
        Ok(text.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let (inside, mut list) = (self.inside()?, Vec::new());
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(Document::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let (inside, mut table) = (self.inside()?, Vec::new());
        while let Some(key) = entries.next_key()? {
            table.push((key, entries.next_value_seed(inside)?));
        }
        Ok(Document::Table(table))
    }
}
