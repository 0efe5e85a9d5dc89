//! Settings that are known but not built: what of them is accepted because it means "off", and what is refused.
//!
//! This is the one list. A change that builds a feature removes its lines.

use crate::error::Fault;
use crate::tree::{Node, Value};

/// One setting, or a section of settings, of a feature that is not built.
struct UnimplementedKey {
    /// Its pattern.
    pattern: &'static str,
    /// What is accepted all the same.
    off: Off,
    /// What to do instead, as a clause; may be empty.
    instead: &'static str,
}

/// What of a setting means that the feature is not wanted.
enum Off {
    /// Nothing but an empty table or list. These mean "off" everywhere.
    Empty,
    /// `false`.
    False,
    /// Any value other than these, which are the unimplemented ones.
    AllBut(&'static [&'static str]),
    /// A table in which this key is `false`.
    Disabled(&'static str),
    /// A table in which this key has this value.
    Set(&'static str, &'static str),
}

const fn unimplemented(pattern: &'static str, off: Off, instead: &'static str) -> UnimplementedKey {
    UnimplementedKey { pattern, off, instead }
}

const KEYS: &[UnimplementedKey] = &[
    unimplemented("server.tls", Off::Empty, "let a proxy in front of cc-relay end TLS"),
    unimplemented(
        "routing.strategy",
        Off::AllBut(&["cost_based", "latency_based"]),
        "use least_loaded, or weighted_round_robin with weights",
    ),
    unimplemented("logging.debug_options.log_tls_metrics", Off::False, ""),
    unimplemented("metrics", Off::Disabled("enabled"), "write metrics.enabled: false, or remove the section"),
    unimplemented("admin", Off::Disabled("enabled"), "write admin.enabled: false, or remove the section"),
    unimplemented("state", Off::Set("backend", "memory"), "the state is kept in memory"),
];

/// Sections that other relays have and that mean nothing here: accepted with a warning.
const WITHOUT_EFFECT: &[&str] = &["cache", "grpc"];

/// Whether settings at `pattern` are accepted without effect.
pub(crate) fn is_without_effect(pattern: &str) -> bool {
    WITHOUT_EFFECT.contains(&pattern)
}

/// Whether the setting at `pattern` belongs to a feature that is not built, whatever its value.
pub(crate) fn is_listed(pattern: &str) -> bool {
    about(pattern).any(|unimplemented| !matches!(unimplemented.off, Off::AllBut(_)))
}

/// Whether there is a point in using the setting at `pattern`.
pub(crate) fn is_usable(pattern: &str) -> bool {
    !is_without_effect(pattern) && !is_listed(pattern)
}

/// The values of the setting at `pattern` that belong to features that are not built.
pub(crate) fn choices(pattern: &str) -> impl Iterator<Item = &'static str> {
    about(pattern).flat_map(|unimplemented| match unimplemented.off {
        Off::AllBut(choices) => choices.iter().copied(),
        _ => [].iter().copied(),
    })
}

/// Why `node` at `pattern` is refused, if it asks for a feature that is not built.
pub(crate) fn refusal(pattern: &str, node: &Node) -> Option<Fault> {
    let unimplemented = about(pattern).find(|unimplemented| !unimplemented.off.accepts(node))?;
    let what = match (&unimplemented.off, text(node)) {
        (Off::AllBut(_), Some(value)) => format!("`{value}` is"),
        _ => "this setting is".to_owned(),
    };
    Some(Fault::Unavailable { what, hint: unimplemented.instead.to_owned() })
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
            Self::AllBut(unimplemented) => text(node).is_none_or(|value| !unimplemented.contains(&value)),
            Self::Disabled(key) => node.get(key).is_some_and(is_false),
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
