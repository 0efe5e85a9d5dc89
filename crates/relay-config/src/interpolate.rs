//! Expansion of `${NAME}`, `${NAME:-default}` and `$${` in string values.
//!
//! Values are expanded after parsing, in one pass, and inserted text is not expanded again. A variable with quotes,
//! `#`, line breaks or `$` therefore arrives unchanged.

use std::collections::BTreeSet;

use crate::env_settings::Variables;
use crate::error::Fault;
use crate::report::Report;
use crate::schema::{Rule, Schema, is_secret};
use crate::tree::{KeyPath, Node, Value};

/// Expands every string in `root`, and returns the names of the variables that it refers to.
///
/// A string that cannot be expanded is reported and becomes empty, so that a mistake is reported once. A credential
/// of a disabled provider is removed if its variable is unset.
pub(crate) fn expand(
    root: &mut Node,
    variables: &Variables,
    schema: &Schema,
    report: &mut Report,
) -> BTreeSet<String> {
    let mut expander = Expander { variables, schema, names: BTreeSet::new() };
    if let Some(providers) = root.get_mut("providers") {
        let path = KeyPath::default().key("providers");
        for (index, provider) in providers.items_mut().iter_mut().enumerate() {
            expander.disabled_credentials(provider, &path.index(index), report);
        }
    }
    expander.node(root, &KeyPath::default(), &mut |node, path, fault| {
        let fault = match fault {
            Fault::Unset { variable, .. } => Fault::Unset { variable, is_optional: is_optional(path) },
            fault => fault,
        };
        report.problem(node.at.clone(), path, fault);
        node.value = Value::Loose(String::new());
    });
    expander.names
}

/// Returns `true` for a setting of a cloud that the provider works without, such as `aws_session_token`.
fn is_optional(path: &KeyPath) -> bool {
    let pattern = path.pattern();
    let key = pattern.strip_prefix("providers[].").unwrap_or_default();
    ["aws_", "azure_", "gcp_"].iter().any(|cloud| key.starts_with(cloud))
}

struct Expander<'a> {
    variables: &'a Variables,
    schema: &'a Schema,
    names: BTreeSet<String>,
}

impl Expander<'_> {
    /// Expands the credentials of a disabled provider. `enabled` may come from a variable itself, so it is expanded
    /// first.
    fn disabled_credentials(&mut self, provider: &mut Node, path: &KeyPath, report: &mut Report) {
        if let Some(enabled) = provider.get_mut("enabled") {
            self.node(enabled, &path.key("enabled"), &mut |node, path, fault| {
                report.problem(node.at.clone(), path, fault);
                node.value = Value::Null;
            });
        }
        let disabled = match provider.get("enabled").map(|node| &node.value) {
            Some(Value::Bool(enabled)) => !enabled,
            Some(Value::Loose(text)) => text.trim() == "false",
            _ => false,
        };
        if !disabled {
            return;
        }
        self.credentials(provider, self.schema.table(&["providers"]), path, report);
        let keys = provider.get_mut("keys").map(Node::items_mut).unwrap_or_default();
        for (index, key) in keys.iter_mut().enumerate() {
            let path = path.key("keys").index(index);
            self.credentials(key, self.schema.table(&["providers", "keys"]), &path, report);
        }
    }

    /// Expands the secrets among the entries of `table`, and removes those whose variable is unset.
    fn credentials(&mut self, table: &mut Node, rule: Option<&Rule>, path: &KeyPath, report: &mut Report) {
        let (Some(entries), Some(rule)) = (table.entries_mut(), rule) else { return };
        entries.retain_mut(|entry| {
            let own = self.schema.property(rule, &entry.key).and_then(|own| self.schema.rule(own));
            let mut keep = true;
            if own.is_some_and(is_secret) {
                self.node(&mut entry.node, &path.key(&entry.key), &mut |node, path, fault| match fault {
                    Fault::Unset { .. } => keep = false,
                    fault => {
                        report.problem(node.at.clone(), path, fault);
                        node.value = Value::Loose(String::new());
                    }
                });
            }
            keep
        });
    }

    fn node(&mut self, node: &mut Node, path: &KeyPath, failed: &mut dyn FnMut(&mut Node, &KeyPath, Fault)) {
        match &mut node.value {
            Value::Text(text) => match self.text(text) {
                Ok(None) => {}
                Ok(Some(expanded)) => node.value = Value::Loose(expanded),
                Err(fault) => failed(node, path, fault),
            },
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.node(item, &path.index(index), failed);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.node(&mut entry.node, &path.key(&entry.key), failed);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Date(_) | Value::Loose(_) => {}
        }
    }

    /// Returns the text with its references replaced, or `None` if it has none.
    fn text(&mut self, text: &str) -> Result<Option<String>, Fault> {
        if !text.contains(OPEN) {
            return Ok(None);
        }
        let mut expanded = String::with_capacity(text.len());
        for part in Parts(text) {
            match part? {
                Part::Text(text) => expanded.push_str(text),
                Part::Reference(reference) => expanded.push_str(self.look_up(reference)?),
            }
        }
        Ok(Some(expanded))
    }

    /// Returns the value of a reference. As in a shell, the default also replaces an empty value.
    fn look_up<'t>(&'t mut self, Reference { name, default }: Reference<'t>) -> Result<&'t str, Fault> {
        self.names.insert(name.to_owned());
        match (self.variables.get(name), default) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(default)) => Ok(if value.is_empty() { default } else { value }),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Fault::Unset { variable: name.to_owned(), is_optional: false }),
        }
    }
}

/// Returns the variables without a default that a text refers to.
pub(crate) fn required(text: &str) -> impl Iterator<Item = &str> {
    Parts(text).filter_map(|part| match part {
        Ok(Part::Reference(Reference { name, default: None })) => Some(name),
        _ => None,
    })
}

/// Returns `true` if the text is one reference without a default, such as `${NAME}`.
pub(crate) fn is_reference(text: &str) -> bool {
    let mut parts = Parts(text);
    matches!(parts.next(), Some(Ok(Part::Reference(Reference { default: None, .. }))))
        && parts.next().is_none()
}

/// The start of a reference.
const OPEN: &str = "${";

/// The start of a reference that is text.
const ESCAPED: &str = "$${";

/// The references of a text and the texts around them, in their order. An error is the last item.
struct Parts<'t>(&'t str);

enum Part<'t> {
    Text(&'t str),
    Reference(Reference<'t>),
}

/// A reference to a variable: `${NAME}` or `${NAME:-default}`.
struct Reference<'t> {
    name: &'t str,
    default: Option<&'t str>,
}

impl<'t> Iterator for Parts<'t> {
    type Item = Result<Part<'t>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0;
        let (part, rest) = match text.find(OPEN) {
            None if text.is_empty() => return None,
            None => (Ok(Part::Text(text)), ""),
            Some(0) => match text[OPEN.len()..].split_once('}') {
                Some((reference, rest)) => (Reference::parse(reference).map(Part::Reference), rest),
                None => (Err(Fault::Reference), ""),
            },
            Some(1) if text.starts_with(ESCAPED) => (Ok(Part::Text(OPEN)), &text[ESCAPED.len()..]),
            Some(at) => {
                // The dollar sign of an escape belongs to the next part.
                let end = if text[..at].ends_with('$') { at - 1 } else { at };
                (Ok(Part::Text(&text[..end])), &text[end..])
            }
        };
        self.0 = if part.is_ok() { rest } else { "" };
        Some(part)
    }
}

impl<'t> Reference<'t> {
    /// Parses the text between the braces.
    fn parse(text: &'t str) -> Result<Self, Fault> {
        let (name, default) = match text.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (text, None),
        };
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_name = starts_well && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_name.then_some(Self { name, default }).ok_or(Fault::Reference)
    }
}
