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
        let Some(first) = text.find("${") else { return Ok(None) };
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        let mut next = Some(first);
        while let Some(at) = next {
            let (before, from) = rest.split_at(at);
            if let Some(escaped) = before.strip_suffix('$') {
                expanded.extend([escaped, "${"]);
                rest = &from[2..];
            } else {
                expanded.push_str(before);
                let (reference, after) = from[2..].split_once('}').ok_or(Fault::Reference)?;
                expanded.push_str(self.look_up(reference)?);
                rest = after;
            }
            next = rest.find("${");
        }
        expanded.push_str(rest);
        Ok(Some(expanded))
    }

    /// Returns the value of `NAME` or `NAME:-default`. As in a shell, the default also replaces an empty value.
    fn look_up<'t>(&'t mut self, reference: &'t str) -> Result<&'t str, Fault> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Fault::Reference);
        }
        self.names.insert(name.to_owned());
        match (self.variables.get(name), default) {
            (Some(value), None) => Ok(value),
            (Some(value), Some(default)) => Ok(if value.is_empty() { default } else { value }),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Fault::Unset { variable: name.to_owned(), is_optional: false }),
        }
    }
}
