//! The text of a secret: removes the slips of copying around it, and finds a character that no request can carry.

use crate::error::Fault;
use crate::invisible::is_invisible;

/// The scheme that is often copied along with a key. cc-relay adds it where the upstream expects it.
const SCHEME: &str = "bearer";
/// The pairs of quotes that shells, spreadsheets and word processors put around a value.
const QUOTES: [(char, char); 5] = [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’')];

/// A secret without the slips around it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cleaned<'a> {
    pub(crate) text: &'a str,
    /// A description of the removed text, without any part of the secret; `None` if nothing was removed.
    pub(crate) removed: Option<String>,
}

/// Removes blanks, line breaks, invisible characters, one kind of quotes and `Bearer` around `text`, in any order.
pub(crate) fn clean(text: &str) -> Cleaned<'_> {
    clean_with(text, without_scheme)
}

/// Removes blanks, line breaks, invisible characters and one kind of quotes around `text`, in any order.
pub(crate) fn clean_url(text: &str) -> Cleaned<'_> {
    clean_with(text, |text| text)
}

fn clean_with(text: &str, without_scheme: fn(&str) -> &str) -> Cleaned<'_> {
    let mut removed = Vec::new();
    let mut rest = text;
    loop {
        let before = rest;
        rest = note(rest, rest.trim_matches(is_blank), "blanks or line breaks", &mut removed);
        rest = note(rest, rest.trim_matches(is_invisible), "invisible characters", &mut removed);
        rest = note(rest, unquoted(rest), "quotes", &mut removed);
        rest = note(rest, without_scheme(rest), "`Bearer`", &mut removed);
        if rest.len() == before.len() {
            break;
        }
    }
    let removed = (!removed.is_empty()).then(|| removed.join(" and "));
    Cleaned { text: rest, removed }
}

/// Removes blanks, line breaks and invisible characters around `text`.
pub(crate) fn clean_ends(text: &str) -> Cleaned<'_> {
    let trimmed = trim(text);
    let removed =
        (trimmed.len() < text.len()).then(|| "blanks, line breaks or invisible characters".to_owned());
    Cleaned { text: trimmed, removed }
}

/// Removes the quotes around `text`, if it starts and ends with the same kind.
pub(crate) fn unquoted(text: &str) -> &str {
    let inside = |(open, close): &(char, char)| text.strip_prefix(*open)?.strip_suffix(*close);
    QUOTES.iter().find_map(inside).unwrap_or(text)
}

/// Returns the fault of a secret with a character that an HTTP header cannot carry, without any part of the secret.
pub(crate) fn fault(text: &str) -> Option<Fault> {
    let (position, odd) = text.chars().enumerate().find(|(_, c)| !matches!(c, ' '..='~'))?;
    let found = match odd {
        '\n' | '\r' => "a line break".to_owned(),
        '\t' => "a tab".to_owned(),
        odd => format!("the character U+{:04X}", u32::from(odd)),
    };
    Some(Fault::Value {
        found: format!("a secret with {found} at position {}", position + 1),
        expected: "visible ASCII characters, since an HTTP header carries it".to_owned(),
        hint: "copy the secret again".to_owned(),
    })
}

/// Returns the reason for which `text` is probably not the secret itself, without any part of it; `None` for an
/// unsuspicious text.
pub(crate) fn doubt(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    if is_reference(text) {
        Some("looks like a variable that was not replaced; write ${NAME}")
    } else if is_assignment(text) {
        Some("begins with the name of a variable; write the value alone")
    } else if ["x-api-key:", "api-key:", "authorization:"].iter().any(|header| lower.starts_with(header)) {
        Some("begins with the name of a header; write the value alone")
    } else if is_placeholder(text, &lower) {
        Some("looks like a placeholder from an example; write the secret itself")
    } else if text.contains(' ') {
        Some(
            "contains a blank inside, which is rare in a secret; check that the value is complete and holds one secret",
        )
    } else {
        None
    }
}

/// Returns `true` for a reference in the syntax of a shell, `$NAME` or `%NAME%`, which cc-relay does not replace.
fn is_reference(text: &str) -> bool {
    let inside_percents = || text.strip_prefix('%')?.strip_suffix('%');
    text.strip_prefix('$').or_else(inside_percents).is_some_and(is_variable)
}

/// Returns `true` for a line of a shell or of a file of variables: `NAME=…`, `export NAME=…`.
fn is_assignment(text: &str) -> bool {
    let line = text.strip_prefix("export ").unwrap_or(text);
    line.split_once('=')
        .is_some_and(|(name, value)| name.contains('_') && is_variable(name) && !value.is_empty())
}

/// Returns `true` for the usual form of a variable's name. Shorter texts may be a part of a secret.
fn is_variable(name: &str) -> bool {
    name.len() > 2
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Returns `true` for the texts that documentation prints in the place of a secret; `lower` is `text` in lower case.
fn is_placeholder(text: &str, lower: &str) -> bool {
    let is_masked = || ["...", "***"].iter().any(|mask| text.ends_with(mask));
    let is_named = || {
        let rest = lower.split_once("your").map(|(_, rest)| rest);
        rest.is_some_and(|rest| ["key", "token", "secret"].iter().any(|what| rest.contains(what)))
    };
    (text.starts_with('<') && text.ends_with('>')) || is_masked() || is_named()
}

/// Removes characters without a glyph at both ends, blanks included.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(is_slip)
}

/// Returns `true` for characters that are no part of a value at its ends.
pub(crate) fn is_slip(c: char) -> bool {
    is_blank(c) || is_invisible(c)
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

fn without_scheme(text: &str) -> &str {
    match text.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) && token.starts_with(is_blank) => token,
        _ => text,
    }
}

/// Returns `rest`, and adds `what` to `removed` if it is shorter than `before`.
fn note<'a>(before: &str, rest: &'a str, what: &'static str, removed: &mut Vec<&'static str>) -> &'a str {
    if rest.len() < before.len() && !removed.contains(&what) {
        removed.push(what);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_around_a_secret_are_removed_and_named() {
        #[track_caller]
        fn check(text: &str, removed: Option<&str>) {
            assert_eq!(
                clean(text),
                Cleaned { text: "sk-key", removed: removed.map(str::to_owned) },
                "{text:?}"
            );
        }
        let (blanks, invisible) = ("blanks or line breaks", "invisible characters");
        check("sk-key", None);
        for text in [
            "sk-key\n",
            "sk-key\r\n",
            " sk-key",
            "\tsk-key \n\n",
            "\u{a0}sk-key\u{a0}",
            "sk-key\u{3000}",
            "sk-key\0",
        ] {
            check(text, Some(blanks));
        }
        for text in [
            "\u{feff}sk-key",
            "sk-key\u{200b}",
            "\u{2060}sk-key\u{200d}",
            "sk-key\u{ad}",
            "sk-key\u{200e}",
            "\u{61c}sk-key\u{2069}",
            "sk-key\u{fe0f}\u{e0041}",
        ] {
            check(text, Some(invisible));
        }
        for text in ["\"sk-key\"", "'sk-key'", "`sk-key`", "“sk-key”", "‘sk-key’"] {
            check(text, Some("quotes"));
        }
        for text in ["Bearer sk-key", "bearer sk-key", "BEARER  sk-key", "Bearer\tsk-key"] {
            assert_eq!(clean(text).text, "sk-key", "{text:?}");
            assert!(clean(text).removed.unwrap().starts_with("`Bearer`"));
        }
        check(
            "\u{feff} \"Bearer sk-key\"\u{200b}\n",
            Some("blanks or line breaks and invisible characters and quotes and `Bearer`"),
        );
    }

    #[test]
    fn characters_that_may_belong_to_a_secret_stay() {
        for text in
            ["\"sk-key", "sk-key'", "'sk-key\"", "Bearersk-key", "bearer", "sk\"key\"", "a b", "$k#y=="]
        {
            assert_eq!(clean(text), Cleaned { text, removed: None });
        }
        for empty in ["", " ", "\"\"", "Bearer ", "\u{feff}", "' '"] {
            assert!(matches!(clean(empty).text, "" | "Bearer"), "{empty:?}");
        }
    }

    #[test]
    fn a_text_that_is_probably_no_secret_is_doubted() {
        #[track_caller]
        fn check(reason: &str, texts: &[&str]) {
            for text in texts {
                assert!(
                    doubt(text).is_some_and(|doubt| doubt.contains(reason)),
                    "{text:?}: {:?}",
                    doubt(text)
                );
            }
        }
        check("not replaced", &["$ANTHROPIC_API_KEY", "%ZAI_API_KEY%", "$KEY"]);
        check("name of a variable", &["ANTHROPIC_API_KEY=sk-ant-api03-abc", "export ZAI_KEY=abc"]);
        check("name of a header", &["x-api-key: sk-key", "Authorization: Bearer abc", "api-key:abc"]);
        check(
            "placeholder",
            &[
                "<your-api-key>",
                "<KEY>",
                "YOUR_API_KEY",
                "sk-ant-your-key-here",
                "sk-ant-api03-...",
                "sk-****",
            ],
        );
        check("blank", &["sk-a sk-b", "Basic abc"]);
        let secrets = [
            "sk-ant-api03-Ab_9-x",
            "abc.DEF==",
            "$k#y==",
            "$K",
            "AB=cd",
            "A1B2=",
            "${x",
            "%a%",
            "0f3c.Xy",
            "key",
            "sk-your",
        ];
        for text in secrets {
            assert_eq!(doubt(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_character_that_no_header_can_carry_is_named_by_its_position() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let found = fault(text).map(|fault| fault.to_string());
            assert_eq!(
                found.as_deref().and_then(|text| text.split(", expected").next()),
                expected,
                "{text:?}"
            );
        }
        check("sk-key with blanks ~!", None);
        check("sk-\nkey", Some("found a secret with a line break at position 4"));
        check("sk-\tkey", Some("found a secret with a tab at position 4"));
        check("sk\u{a0}key", Some("found a secret with the character U+00A0 at position 3"));
        check("sk-k\u{e9}y", Some("found a secret with the character U+00E9 at position 5"));
        check("s\u{200b}k", Some("found a secret with the character U+200B at position 2"));
        check("s\u{7f}k", Some("found a secret with the character U+007F at position 2"));
    }
}
