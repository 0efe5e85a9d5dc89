//! `${NAME}`, `${NAME:-default}` and `$${` in string values.
//!
//! Works on values after parsing, one pass, never on what it has put in: a value with quotes, `#`, line breaks or `$`
//! arrives as it is in the environment.

use crate::environment::Variables;
use crate::error::Fault;
use crate::report::Report;
use crate::tree::{Node, Path, Value};

/// Expands every string in `root`. What cannot be expanded is reported and becomes empty, so that one mistake is told
/// once; in the keys of a disabled provider an unset variable becomes empty silently.
pub(crate) fn expand(root: &mut Node, variables: &Variables, report: &mut Report) {
    if let Some(providers) = root.get_mut("providers") {
        let path = Path::default().key("providers");
        for (index, provider) in providers.items_mut().iter_mut().enumerate() {
            expand_disabled_keys(provider, &path.index(index), variables, report);
        }
    }
    expand_node(root, &Path::default(), variables, &mut |node, path, fault| {
        report.problem(node.at.clone(), path, fault);
        node.value = Value::Loose(String::new());
    });
}

/// Whether a provider is disabled may itself come from a variable, so `enabled` is expanded before the keys.
fn expand_disabled_keys(provider: &mut Node, path: &Path, variables: &Variables, report: &mut Report) {
    if let Some(enabled) = provider.get_mut("enabled") {
        expand_node(enabled, &path.key("enabled"), variables, &mut |node, path, fault| {
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
    let path = path.key("keys");
    for (index, key) in
        provider.get_mut("keys").map(Node::items_mut).unwrap_or_default().iter_mut().enumerate()
    {
        let path = path.index(index).key("key");
        let Some(entries) = key.entries_mut() else { continue };
        entries.retain_mut(|entry| {
            let mut keep = true;
            if entry.key == "key" {
                expand_node(&mut entry.node, &path, variables, &mut |node, path, fault| match fault {
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
}

fn expand_node(
    node: &mut Node,
    path: &Path,
    variables: &Variables,
    failed: &mut dyn FnMut(&mut Node, &Path, Fault),
) {
    match &mut node.value {
        Value::Text(text) => match expand_text(text, variables) {
            Ok(None) => {}
            Ok(Some(expanded)) => node.value = Value::Loose(expanded),
            Err(fault) => failed(node, path, fault),
        },
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_node(item, &path.index(index), variables, failed);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand_node(&mut entry.node, &path.key(&entry.key), variables, failed);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Date(_) | Value::Loose(_) => {}
    }
}

/// The text with its references replaced, or `None` where it has none.
fn expand_text(text: &str, variables: &Variables) -> Result<Option<String>, Fault> {
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
            expanded.push_str(look_up(reference, variables)?);
            rest = after;
        }
        next = rest.find("${");
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

/// The value of `NAME` or `NAME:-default`. As in a shell, the default also stands in for an empty value.
fn look_up<'a>(reference: &'a str, variables: &'a Variables) -> Result<&'a str, Fault> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(Fault::Reference);
    }
    match (variables.get(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(default)) => Ok(if value.is_empty() { default } else { value }),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(Fault::Unset { variable: name.to_owned() }),
    }
}
