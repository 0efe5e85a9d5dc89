//! What the three clouds need: rules for the names of their things, and where their own tools look for credentials.
//!
//! Nothing here asks a network. Whether a credential works is found out by the first request.

pub(crate) mod aws;
pub(crate) mod azure;
pub(crate) mod google;

use crate::describe::describe;
use crate::error::{Fault, Place};
use crate::tree::{Node, Value};

/// OnFault of each variable whose value cannot be used.
pub(crate) type OnFault<'a> = &'a mut dyn FnMut(&'static str, Fault);

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
