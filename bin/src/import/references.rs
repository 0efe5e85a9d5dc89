//! References to environment variables, and secrets that must not be printed.

use std::io;

use relay_config::Document;

use super::report::Report;
use super::tables::Table;
use crate::output::Output;

/// Keys whose values are secrets. The values of `headers` are secrets too.
const SECRETS: [&str; 10] = [
    "key",
    "api_key",
    "bearer_secret",
    "token",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_bearer_token",
    "database_url",
    "url",
];

/// Writes `$NAME` as `${NAME}` in every text below `document`: both forms are references there, and only the second one is here.
/// Texts without a name after the `$` are kept.
pub(super) fn expand_dollars(document: &mut Document) {
    each_text(document, &mut |text| *text = with_braces(text));
}

fn each_text(document: &mut Document, change: &mut impl FnMut(&mut String)) {
    match document {
        Document::Text(text) => change(text),
        Document::List(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Document::Table(entries) => entries.iter_mut().for_each(|(_, value)| each_text(value, change)),
        _ => {}
    }
}

fn with_braces(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        let name =
            after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(after, |end| &after[..end]);
        match name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
            true => result.push('$'),
            false => {
                result.push_str("${");
                result.push_str(name);
                result.push('}');
            }
        }
        rest = if result.ends_with('}') { &after[name.len()..] } else { after };
    }
    result.push_str(rest);
    result
}

/// Prints the variables that must be set before the start.
pub(super) fn announce(draft: &Table, out: &mut Output) -> io::Result<()> {
    let unset = Document::Table(draft.clone()).variables();
    let unset: Vec<_> = unset.into_iter().filter(|name| std::env::var_os(name).is_none()).collect();
    match unset.as_slice() {
        [] => Ok(()),
        names => out.line(format_args!("set before the start: {}", names.join(", "))),
    }
}

/// Replaces each secret by a reference to a variable that is named after its place.
pub(super) fn replace_secrets(draft: &mut Table, report: &mut Report) {
    for (key, value) in draft {
        replace(key, key, value, report);
    }
}

fn replace(key: &str, path: &str, value: &mut Document, report: &mut Report) {
    match value {
        Document::Table(entries) => {
            for (name, value) in entries {
                let secret = if key == "headers" { "key" } else { name.as_str() };
                replace(secret, &format!("{path}.{name}"), value, report);
            }
        }
        Document::List(items) => {
            for (index, value) in items.iter_mut().enumerate() {
                let name = value.get("name").and_then(Document::as_str).map(str::to_owned);
                replace(
                    key,
                    &format!("{path}.{}", name.unwrap_or_else(|| (index + 1).to_string())),
                    value,
                    report,
                );
            }
        }
        Document::Text(text) if SECRETS.contains(&key) && !is_reference(text) => {
            let name: String = path
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
                .collect();
            report.changed(path, format_args!("the credential is not printed; set {name} to it"));
            *text = format!("${{{name}}}");
        }
        _ => {}
    }
}

/// Returns `true` if the text is one reference, without a part of a secret around it or in a default.
fn is_reference(text: &str) -> bool {
    let name = Document::from(text).variables().pop_first();
    name.is_some_and(|name| text == format!("${{{name}}}"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Returns the names of the settings below `rule` that the schema calls secrets.
    fn secrets(rule: &Value, found: &mut Vec<String>) {
        for (key, value) in rule.as_object().into_iter().flatten() {
            if value["writeOnly"] == true {
                found.push(key.clone());
            }
            secrets(value, found);
        }
    }

    #[test]
    fn every_secret_of_the_configuration_is_known() {
        let mut found = Vec::new();
        secrets(&serde_json::from_str(&relay_config::schema()).unwrap(), &mut found);
        // That of `headers`.
        found.retain(|key| key != "additionalProperties");
        found.sort();
        found.dedup();
        let mut known = SECRETS;
        known.sort_unstable();
        assert_eq!(found, known);
    }

    #[test]
    fn a_secret_is_replaced_unless_it_is_a_reference() {
        for (from, to) in [
            ("sk-1", "${KEY}"),
            ("${OWN}", "${OWN}"),
            ("sk-${OWN}", "${KEY}"),
            ("${OWN:-sk-1}", "${KEY}"),
            ("$${OWN}", "${KEY}"),
        ] {
            let mut draft = vec![("key".to_owned(), Document::from(from))];
            replace_secrets(&mut draft, &mut Report::default());
            assert_eq!(draft[0].1, Document::from(to), "{from}");
        }
    }

    #[test]
    fn a_name_after_a_dollar_gets_braces_and_other_dollars_stay() {
        for (from, to) in [
            ("$KEY", "${KEY}"),
            ("${KEY}", "${KEY}"),
            ("a$KEY-b", "a${KEY}-b"),
            ("$A$B", "${A}${B}"),
            ("5$", "5$"),
            ("$5", "$5"),
            ("$ {", "$ {"),
            ("", ""),
        ] {
            assert_eq!(with_braces(from), to);
        }
    }
}
