//! The built-in capability table, which is written in TOML.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Capabilities, FieldPath, ModelCapabilities, Pattern, RawRules, read};
use crate::error::{Fault, LoadError};
use crate::report::Report;
use crate::toml;
use crate::tree::{KeyPath, Node, Value};

/// The section that lists the betas that each field needs.
const COMPANIONS: &str = "companions";

/// Fields and the betas that they need. A field is removed if none of its betas is sent to the upstream.
pub type Companions = Vec<(FieldPath, Vec<Pattern>)>;

/// The rules for all upstreams, in one section for each kind or group of kinds.
///
/// ```
/// let table = r#"
///     [companions]
///     speed = ["fast-mode-*"]
///
///     [bedrock."*claude-3-*".betas]
///     "fast-mode-*" = "drop"
/// "#;
/// let table = relay_config::CapabilityTable::parse("table.toml", table).unwrap();
/// assert_eq!(table.of("bedrock").of("us.anthropic.claude-3-haiku").count(), 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct CapabilityTable {
    sections: BTreeMap<String, Capabilities>,
    companions: Companions,
}

impl CapabilityTable {
    /// Parses `text`, which is TOML: `[section."model pattern".betas]` and `[section."model pattern".fields]` with
    /// a rule for each name.
    ///
    /// # Errors
    /// [`LoadError`] with every problem and its place.
    pub fn parse(name: &str, text: &str) -> Result<Self, LoadError> {
        let mut report = Report::default();
        let mut table = Self::default();
        if let Some(root) = toml::parse(&Arc::from(name), text, &mut report) {
            for entry in root.entries() {
                let path = KeyPath::default().key(&entry.key);
                if entry.key == COMPANIONS {
                    table.companions = companions(&entry.node, &path, &mut report);
                } else {
                    let known = section(&entry.node, &path, &mut report);
                    table.sections.insert(entry.key.clone(), known);
                }
            }
        }
        match report.finish() {
            (problems, _) if problems.is_empty() => Ok(table),
            (problems, _) => Err(LoadError::Invalid { problems }),
        }
    }

    /// Returns the rules of `section`; none if there is no such section.
    #[must_use]
    pub fn of(&self, section: &str) -> Capabilities {
        self.sections.get(section).cloned().unwrap_or_default()
    }

    /// Returns the betas that fields need, which are the same for every upstream.
    #[must_use]
    pub fn companions(&self) -> &Companions {
        &self.companions
    }
}

fn section(node: &Node, path: &KeyPath, report: &mut Report) -> Capabilities {
    let models = node.entries().iter().map(|entry| {
        let known = model(&entry.node, &path.key(&entry.key), report);
        (Pattern::new(&entry.key), known)
    });
    models.collect()
}

fn model(node: &Node, path: &KeyPath, report: &mut Report) -> ModelCapabilities {
    let (mut betas, mut fields) = (RawRules::new(), RawRules::new());
    for section in node.entries() {
        let path = path.key(&section.key);
        let words = match section.key.as_str() {
            "betas" => &mut betas,
            "fields" => &mut fields,
            _ => {
                report.problem(
                    section.at.clone(),
                    &path,
                    Fault::UnknownKey { hint: "known here: betas, fields".to_owned() },
                );
                continue;
            }
        };
        for entry in section.node.entries() {
            match &entry.node.value {
                Value::Text(text) => drop(words.insert(entry.key.clone(), text.clone())),
                _ => report.problem(
                    entry.at.clone(),
                    &path.key(&entry.key),
                    wrong("another kind of value", &"a string"),
                ),
            }
        }
    }
    read(&betas, &fields, |refused| {
        let at = node.get(refused.section).and_then(|section| section.entry(refused.key));
        let place = at.map_or(&node.at, |entry| &entry.at).clone();
        let fault = wrong(refused.found, &refused.expected);
        report.problem(place, &path.key(refused.section).key(refused.key), fault);
    })
}

fn companions(node: &Node, path: &KeyPath, report: &mut Report) -> Companions {
    let mut companions = Companions::new();
    for entry in node.entries() {
        let betas = entry.node.items().iter().filter_map(|item| match &item.value {
            Value::Text(text) => Some(Pattern::new(text)),
            _ => None,
        });
        match FieldPath::parse(&entry.key) {
            Ok(field) => companions.push((field, betas.collect())),
            Err(expected) => {
                report.problem(entry.at.clone(), &path.key(&entry.key), wrong(&entry.key, &expected));
            }
        }
    }
    companions
}

fn wrong(found: &str, expected: &dyn std::fmt::Display) -> Fault {
    Fault::Value { found: format!("`{found}`"), expected: expected.to_string(), hint: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_in_the_table_are_reported_with_their_place() {
        let text = "[a.\"*\".fields]\n\"b.\" = \"drop\"\nc = \"dropp\"\n[a.\"*\".beta]\n";
        let error = CapabilityTable::parse("t", text).unwrap_err().to_string();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 3, "{error}");
        assert!(
            lines[0].starts_with("t:2:1: a.\"*\".fields.\"b.\": found `b.`, expected the path of a field"),
            "{error}"
        );
        assert!(
            lines[1].starts_with("t:3:1: a.\"*\".fields.c: found `dropp`, expected `pass`, `drop`"),
            "{error}"
        );
        assert!(lines[2].contains("a.\"*\".beta: unknown key"), "{error}");
    }
}
