//! The settings that Claude Code gets: those of the user, with the variables of the relay.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::error::RunError;
use crate::claude_settings::Document;
use crate::claude_settings::sources::Source;

/// The settings that the user has passed with `--settings`.
pub(super) struct Given {
    document: Document,
    /// True if they came from a file, which other users of the machine may not be able to read.
    is_file: bool,
}

impl Given {
    /// Reads the value of `--settings`: a path, or a JSON text.
    pub(super) fn read(value: Option<&OsStr>) -> Result<Self, RunError> {
        let Some(value) = value else {
            return Ok(Self { document: Document::empty(), is_file: false });
        };
        let text = value.to_str().filter(|text| text.trim_start().starts_with('{'));
        let invalid = |name: String| move |invalid| RunError::Given { name, invalid };
        let (document, is_file) = match text {
            Some(text) => (Document::parse(text.as_bytes()).map_err(invalid("--settings".to_owned())), false),
            None => {
                let path = PathBuf::from(value);
                let bytes =
                    fs::read(&path).map_err(|source| RunError::ReadGiven { path: path.clone(), source })?;
                (Document::parse(&bytes).map_err(invalid(path.display().to_string())), true)
            }
        };
        Ok(Self { document: document?, is_file })
    }

    /// The settings as a source of variables.
    pub(super) fn source(&self) -> Source {
        Source::of_command_line(&self.document)
    }

    /// Returns the settings with these variables, and `true` if they can be shown to other users of the machine, as a command line
    /// is.
    pub(super) fn with(
        mut self,
        variables: &BTreeMap<&'static str, String>,
        is_secret: bool,
    ) -> (OsString, bool) {
        for (name, value) in variables {
            self.document.set(name, &Value::from(value.as_str()).to_string());
        }
        (self.document.text().into(), !is_secret && !self.is_file)
    }
}
