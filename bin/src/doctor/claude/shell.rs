//! The variables that shell files export.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use crate::settings::variable;

/// The files that shells read at their start, below the home directory.
const FILES: [&str; 8] = [
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".config/fish/config.fish",
    ".config/fish/fish_variables",
];
/// The most bytes of a file that are read.
const LIMIT: u64 = 1024 * 1024;

/// A line of a shell file that sets a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Export {
    pub(super) file: PathBuf,
    /// The line, counted from 1.
    pub(super) line: usize,
    pub(super) value: String,
}

/// Returns the lines in the shell files of the user that set the variable `name`.
pub(super) fn exports(name: &str) -> Vec<Export> {
    let Some(home) = variable("HOME").filter(|home| !home.is_empty()).map(PathBuf::from) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for file in FILES.iter().map(|file| home.join(file)) {
        let mut text = Vec::new();
        // A file that does not exist or cannot be read exports nothing.
        let Ok(opened) = File::open(&file) else { continue };
        let _ = opened.take(LIMIT).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let lines = (1..).zip(text.lines());
        found.extend(lines.filter_map(|(line, text)| {
            Some(Export { file: file.clone(), line, value: value_in(text, name)? })
        }));
    }
    found
}

/// Returns the value that a line of a shell file gives to `name`: `export NAME=value`, `NAME=value`, `set -gx NAME value` or
/// `SETUVAR --export NAME:value`.
fn value_in(line: &str, name: &str) -> Option<String> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let at = line.find(name)?;
    let (before, after) = (line[..at].trim(), &line[at + name.len()..]);
    let is_setting = before.is_empty()
        || ["export", "set", "declare", "typeset", "SETUVAR"].iter().any(|word| before.starts_with(word));
    let value = after.strip_prefix(['=', ' ', ':']).filter(|_| is_setting)?.trim();
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split([' ', ';', '#', '\t']).next()?,
    };
    Some(value.replace("\\x3a", ":").replace("\\x2f", "/")).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_setting_is_read() {
        for (line, expected) in [
            ("export URL=http://a:1", Some("http://a:1")),
            ("  export URL=\"http://a:1\" # old", Some("http://a:1")),
            ("URL='http://a:1'; export URL", Some("http://a:1")),
            ("declare -x URL=http://a:1;", Some("http://a:1")),
            ("set -gx URL http://a:1", Some("http://a:1")),
            ("SETUVAR --export URL:http\\x3a//a\\x3a1", Some("http://a:1")),
            ("# export URL=http://a:1", None),
            ("export URL=", None),
            ("export URL", None),
            ("export OTHER_URL_2=http://a:1", None),
            ("echo $URL=x", None),
            ("unset URL", None),
        ] {
            assert_eq!(value_in(line, "URL").as_deref(), expected, "{line}");
        }
    }
}
