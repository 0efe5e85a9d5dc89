//! Settings that are known but not implemented: the values that are accepted because they mean "off", and the rest,
//! which is refused.
//!
//! A change that implements a feature removes its lines from this list.

use crate::error::Fault;
use crate::tree::{Node, Value};

/// A setting, or a section of settings, of a feature that is not implemented.
struct UnimplementedKey {
    /// The pattern of its path.
    pattern: &'static str,
    /// The values that are accepted because they mean "off".
    off: Off,
    /// The alternative, as a clause; may be empty.
    instead: &'static str,
}

/// The values of a setting that mean that the feature is not used.
enum Off {
    /// An empty table or list only. These mean "off" for every setting.
    Empty,
    /// The value `false`.
    False,
    /// A table in which this key has this value.
    Set(&'static str, &'static str),
}

const fn unimplemented(pattern: &'static str, off: Off, instead: &'static str) -> UnimplementedKey {
    UnimplementedKey { pattern, off, instead }
}

const KEYS: &[UnimplementedKey] = &[
    unimplemented("logging.debug_options.log_tls_metrics", Off::False, ""),
    unimplemented("usage.database_url", Off::Empty, "the ledger is a file: usage.path"),
    unimplemented("state", Off::Set("backend", "memory"), "the state is kept in memory"),
];

/// Sections of other relays that have no effect here. They are accepted with a warning.
const WITHOUT_EFFECT: &[&str] = &["cache", "grpc"];

/// Returns `true` if settings at `pattern` are accepted without effect.
pub(crate) fn is_without_effect(pattern: &str) -> bool {
    WITHOUT_EFFECT.contains(&pattern)
}

/// Returns `true` if the setting at `pattern` belongs to a feature that is not implemented, with any value.
pub(crate) fn is_listed(pattern: &str) -> bool {
    about(pattern).next().is_some()
}

/// Returns `true` if the setting at `pattern` has an effect.
pub(crate) fn is_usable(pattern: &str) -> bool {
    !is_without_effect(pattern) && !is_listed(pattern)
}

/// Returns the fault of `node` at `pattern`, if it requires a feature that is not implemented.
pub(crate) fn refusal(pattern: &str, node: &Node) -> Option<Fault> {
    let unimplemented = about(pattern).find(|unimplemented| !unimplemented.off.accepts(node))?;
    Some(Fault::Unavailable { what: "this setting is".to_owned(), hint: unimplemented.instead.to_owned() })
}

fn about(pattern: &str) -> impl Iterator<Item = &'static UnimplementedKey> {
    KEYS.iter().filter(move |unimplemented| unimplemented.pattern == pattern)
}

impl Off {
    fn accepts(&self, node: &Node) -> bool {
        match &node.value {
            Value::Null => return true,
            Value::Map(entries) if entries.is_empty() => return true,
            Value::List(items) if items.is_empty() => return true,
            _ => {}
        }
        match self {
            Self::Empty => false,
            Self::False => is_false(node),
            Self::Set(key, value) => node.get(key).and_then(text) == Some(value),
        }
    }
}

fn is_false(node: &Node) -> bool {
    matches!(&node.value, Value::Bool(false)) || matches!(&node.value, Value::Loose(text) if text == "false")
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) | Value::Loose(text) => Some(text),
        _ => None,
    }
}
