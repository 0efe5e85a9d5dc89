//! What the three clouds need: rules for the names of their things, and where their own tools look for credentials.
//!
//! Nothing here asks a network. Whether a credential works is found out by the first request.

pub(crate) mod aws;
pub(crate) mod azure;
pub(crate) mod google;

use crate::describe::describe;
use crate::error::{Fault, Place};
use crate::tree::{Node, Value};

/// The variables that the clouds' own tools read. One that is empty counts as unset; space around a value is dropped.
#[derive(Clone, Copy)]
pub(crate) struct Ambient<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Ambient<'a> {
    pub(crate) fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(variable)
    }

    pub(crate) fn get(self, variable: &str) -> Option<String> {
        (self.0)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(crate) fn has(self, variable: &str) -> bool {
        self.get(variable).is_some()
    }

    /// The first of `variables` that is set, with its value.
    pub(crate) fn first(self, variables: &[&'static str]) -> Option<(&'static str, String)> {
        variables.iter().find_map(|variable| Some((*variable, self.get(variable)?)))
    }
}

/// Told of each variable whose value cannot be used.
pub(crate) type Told<'a> = &'a mut dyn FnMut(&'static str, Fault);

/// A name that is not accepted.
fn misnamed(found: &str, expected: &str, hint: impl Into<String>) -> Fault {
    let node = Node::new(Place::Default, Value::Text(found.to_owned()));
    Fault::Value { found: describe(&node, false), expected: expected.to_owned(), hint: hint.into() }
}

/// Whether `text` is one part of a host name, in lower case.
fn is_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What `text` would be as one part of a host name, if that is all that is wrong with it.
fn as_label(text: &str) -> Option<String> {
    let label = text.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    (label != text && is_label(&label)).then_some(label)
}

#[cfg(test)]
pub(crate) mod testing {
    /// A lookup among `variables`.
    pub(crate) fn lookup<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }
}
