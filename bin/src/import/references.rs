//! References to environment variables, and secrets that must not be printed.

use std::io;

use relay_config::Document;

use super::report::Report;
use super::tables::Table;
use crate::output::Output;

/// Keys whose values are secrets.
const SECRETS: [&str; 8] = [
    "key",
    "api_key",
    "bearer_secret",
    "token",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_bearer_token",
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
        Document::Text(text) if SECRETS.contains(&key) && !text.contains("${") => {
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

#[cfg(test)]
mod tests {
    use super::*;

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
