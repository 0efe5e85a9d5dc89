//! Explanations of text that is not well-formed: the place of the mistake, and its fix.
//!
//! A parser reports the place at which its grammar fails, in the words of the grammar. The mistake is often in the line above,
//! and often a character that looks like another one. An explanation never contains a value, which may be a secret.

mod characters;
mod failure;
mod lines;
mod toml;
mod yaml;

pub(crate) use characters::{odd_character, odd_in_value};
pub(crate) use failure::{Explained, Failure};
pub(crate) use lines::missing_blank;

/// Explains the failure of the YAML parser in `text`.
pub(crate) fn explain_yaml(text: &str, failure: Failure<'_>) -> Explained {
    let lines = lines::split(text);
    yaml::explain(&lines, failure).within(&lines)
}

/// Explains the failure of the TOML parser in `text`.
pub(crate) fn explain_toml(text: &str, failure: Failure<'_>) -> Explained {
    let lines = lines::split(text);
    toml::explain(&lines, failure).within(&lines)
}
