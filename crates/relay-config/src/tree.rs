//! A configuration as written, every part of it with the place it was written at.
//!
//! Files, environment and command line all become a [`Node`]; what comes after knows one shape.

use std::fmt;

use crate::error::Place;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
}

/// What a configuration can say.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing after the key, `null` or `~`; YAML only.
    Null,
    Bool(bool),
    Number(Number),
    /// A TOML date or time, as written. No setting takes one.
    Date(String),
    /// A string as written.
    Text(String),
    /// A string from `${}`, the environment or the command line: a number or a switch where the schema asks for one.
    Loose(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A number: as written, for messages, and its value if it is whole.
#[derive(Debug, Clone)]
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) whole: Option<i128>,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) at: Place,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(at: Place, value: Value) -> Self {
        Self { at, value }
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a map, to be changed.
    pub(crate) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The items of a list, to be changed; none for anything else.
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

    /// The place of the value that `path` leads to, or else of the nearest key around it; with the number of steps that
    /// could be followed.
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

/// The way from the root to a value: `providers[2].keys[0].key`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl KeyPath {
    /// A path of keys alone, separated by dots.
    pub(crate) fn dotted(keys: &str) -> Self {
        Self(keys.split('.').map(|key| Segment::Key(key.to_owned())).collect())
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        self.then(Segment::Key(key.to_owned()))
    }

    /// The path of another key in the same table.
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

    /// The number of steps.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether one of the two leads through the other.
    pub(crate) fn is_related_to(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }

    /// The path without its indices, as rules and messages name a place: `providers[].keys[].key`.
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
