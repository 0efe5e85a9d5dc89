//! Hides the secrets of a settings file before it is shown.

use std::ops::Range;

use relay_config::{PLACEHOLDER, shown_url};
use relay_messages::{JsonKind, Node};
use serde_json::Value;

use super::document::Document;

/// The text in the place of a secret.
const MASK: &str = r#""***""#;
/// Parts of names, in lower case, whose values may be secrets.
const SECRET_NAMES: [&str; 8] =
    ["token", "key", "secret", "password", "credential", "auth", "cookie", "header"];
/// The names of variables whose values are never secrets.
const PUBLIC: [&str; 4] =
    ["ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL", "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY", "NO_PROXY"];

/// Returns the text of `document` with a mask in the place of each value that may be a secret: all variables that are not known
/// to be public, and elsewhere the values whose names suggest a secret. The lines stay the same.
pub(crate) fn masked(document: &Document) -> String {
    let text = document.text();
    let mut masks: Vec<(Range<usize>, String)> = Vec::new();
    for variable in document.variables() {
        let value = &text[variable.value.clone()];
        if let Some(mask) = mask_of(&variable.name, value) {
            masks.push((variable.value, mask));
        }
    }
    let env = document.env().map(Node::span).unwrap_or_default();
    masks.extend(elsewhere(document, &env).into_iter().map(|span| (span, MASK.to_owned())));
    masks.sort_by_key(|(span, _)| span.start);
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for (span, mask) in masks {
        shown.push_str(&text[at..span.start]);
        shown.push_str(&mask);
        at = span.end;
    }
    shown + &text[at..]
}

/// Returns the text in the place of a variable's value, a JSON text; `None` if the value can be shown.
fn mask_of(name: &str, value: &str) -> Option<String> {
    let text = match serde_json::from_str(value) {
        Ok(Value::String(text)) => text,
        // Objects and arrays have several lines.
        _ if value.contains('\n') => return None,
        _ => value.to_owned(),
    };
    let shown = shown_value(name, &text);
    (shown != text).then(|| Value::from(shown).to_string())
}

/// Returns the value of a variable as a message can show it.
pub(crate) fn shown_value(name: &str, value: &str) -> String {
    match name {
        "ANTHROPIC_BASE_URL" => shown_url(value).unwrap_or_else(|| "***".to_owned()),
        _ if PUBLIC.contains(&name) || value.is_empty() || value == PLACEHOLDER => value.to_owned(),
        _ => "***".to_owned(),
    }
}

/// Returns the strings outside of `env` whose names suggest a secret.
fn elsewhere(document: &Document, env: &Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Vec<(Node<'_>, bool)> = document.root().map(|root| (root, false)).into_iter().collect();
    while let Some((node, is_secret)) = open.pop() {
        if node.span() == *env {
            continue;
        }
        match node.kind() {
            JsonKind::String if is_secret => found.push(node.span()),
            JsonKind::Array => open.extend(node.elements().map(|element| (element, is_secret))),
            JsonKind::Object => {
                open.extend(node.members().map(|member| (member, is_secret || suggests_secret(member))));
            }
            _ => {}
        }
    }
    found
}

fn suggests_secret(member: Node<'_>) -> bool {
    let name = member.name().unwrap_or_default().to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_may_be_secrets_are_hidden() {
        let text = r#"{
  "env": { "ANTHROPIC_BASE_URL": "http://user:pass@host:1/x", "ANTHROPIC_AUTH_TOKEN": "sk-1", "OTHER": 12 },
  "model": "opus",
  "mcp": [{ "headers": { "x": "sk-2" }, "apiKeys": ["sk-3", { "a": "sk-4" }], "name": "shown" }]
}"#;
        let shown = masked(&Document::parse(text.as_bytes()).unwrap());
        let expected = r#"{
  "env": { "ANTHROPIC_BASE_URL": "http://host:1/x", "ANTHROPIC_AUTH_TOKEN": "***", "OTHER": "***" },
  "model": "opus",
  "mcp": [{ "headers": { "x": "***" }, "apiKeys": ["***", { "a": "***" }], "name": "shown" }]
}"#;
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_placeholder_is_no_secret() {
        assert_eq!(shown_value("ANTHROPIC_AUTH_TOKEN", "managed-by-cc-relay"), "managed-by-cc-relay");
        assert_eq!(shown_value("ANTHROPIC_AUTH_TOKEN", "sk-1"), "***");
    }
}
