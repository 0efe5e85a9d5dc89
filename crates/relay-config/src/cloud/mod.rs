//! The three clouds: rules for the names of their resources, and the places where their own tools look for
//! credentials.
//!
//! Nothing in this module uses the network. The first request shows if a credential works.

pub(crate) mod aws;
pub(crate) mod aws_endpoint;
pub(crate) mod aws_file;
pub(crate) mod azure;
pub(crate) mod google;
mod google_file;

use crate::describe::describe;
use crate::error::{Fault, Place};
use crate::tree::{Node, Value};

/// A callback that receives each variable with an unusable value, and its fault.
pub(crate) type OnFault<'a> = &'a mut dyn FnMut(&'static str, Fault);

/// Returns the fault of a name that is not accepted.
fn misnamed(found: &str, expected: &str, hint: impl Into<String>) -> Fault {
    let node = Node::new(Place::Default, Value::Text(found.to_owned()));
    Fault::Value { found: describe(&node, false), expected: expected.to_owned(), hint: hint.into() }
}

/// Returns `true` if `text` is one label of a host name, in lower case.
fn is_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Returns `text` as a label of a host name, if only case, spaces or underscores need to change.
fn as_label(text: &str) -> Option<String> {
    let label = text.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    (label != text && is_label(&label)).then_some(label)
}
