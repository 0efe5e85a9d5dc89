//! A configuration as it was written, each value with its place.
//!
//! Files, environment and command line all become a [`Node`], so that later steps handle one form.

use std::fmt;

use crate::error::Place;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
}

/// A value in a configuration.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// No value: nothing after the key, `null` or `~`. YAML only.
    Null,
    Bool(bool),
    Number(Number),
    /// A TOML date or time, as written. Only the end of a key accepts one.
    Date(String),
    /// A string as written.
    Text(String),
    /// A string from `${}`, the environment or the command line. It becomes a number or a boolean if the schema
    /// requires one.
    Loose(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A number: its text, for messages, and its value if it is an integer.
#[derive(Debug, Clone)]
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) whole: Option<i128>,
}

impl Number {
    /// Returns the value, which need not be an integer, or `None` if the text is not a decimal number.
    pub(crate) fn float(&self) -> Option<f64> {
        match self.whole {
            #[expect(clippy::cast_precision_loss, reason = "no setting has more than 15 digits")]
            Some(whole) => Some(whole as f64),
            // TOML separates digits by `_`.
            None => self.text.replace('_', "").parse().ok(),
        }
    }
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// The place of the key.
    pub(crate) at: Place,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(at: Place, value: Value) -> Self {
        Self { at, value }
    }

    /// Returns the entries of a map; none for any other value.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the entries of a map, mutably.
    pub(crate) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the items of a list; none for any other value.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the items of a list, mutably; none for any other value.
    pub(crate) fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.value {
            Value::List(items) => items,
            _ => &mut [],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries_mut()?.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// Returns the place of the value at `path`, otherwise of the nearest enclosing key, with the number of
    /// segments that were found.
    pub(crate) fn place_of(&self, path: &KeyPath) -> (usize, &Place) {
        let (mut node, mut around) = (self, &self.at);
        for (depth, step) in path.0.iter().enumerate() {
            let next = match step {
                Segment::Key(key) => node.entry(key).map(|entry| (&entry.at, &entry.node)),
                Segment::Index(index) => node.items().get(*index).map(|item| (&item.at, item)),
            };
            match next {
                Some(next) => (around, node) = next,
                None => return (depth, around),
            }
        }
        (path.len(), &node.at)
    }
}

/// The path from the root to a value: `providers[2].keys[0].key`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl KeyPath {
    /// Parses a path that consists of keys only, separated by dots.
    pub(crate) fn dotted(keys: &str) -> Self {
        Self(keys.split('.').map(|key| Segment::Key(key.to_owned())).collect())
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        self.then(Segment::Key(key.to_owned()))
    }

    /// Returns the path of another key in the same table.
    pub(crate) fn beside(&self, key: &str) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec()).key(key)
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    fn then(&self, step: Segment) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Returns the first index of the path.
    pub(crate) fn first_index(&self) -> Option<usize> {
        self.0.iter().find_map(|step| match step {
            Segment::Index(index) => Some(*index),
            Segment::Key(_) => None,
        })
    }

    /// Returns the number of segments.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if one of the two paths is a prefix of the other.
    pub(crate) fn is_related_to(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }

    /// Returns the path without its indices, as rules and messages name it: `providers[].keys[].key`.
    pub(crate) fn pattern(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Segment::Key(key) if text.is_empty() => text.push_str(key),
                Segment::Key(key) => text.extend([".", key]),
                Segment::Index(_) => text.push_str("[]"),
            }
        }
        text
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    f.write_str(if position == 0 { "" } else { "." })?;
                    if !key.is_empty()
                        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
                    {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
