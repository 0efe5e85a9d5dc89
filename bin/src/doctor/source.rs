//! The source of a configured secret: the variable or the file that it was written in.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use relay_config::Secret;

use crate::settings::{self, Origin};

/// The most bytes of a configuration file that are searched for references to variables.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// The sources of configured secrets.
#[derive(Debug, Default)]
pub(super) struct Sources {
    file: Option<PathBuf>,
    /// The variables of the environment. Those that the file refers to come first.
    variables: Vec<(String, Secret)>,
}

impl Sources {
    pub(super) fn of(origin: &Origin) -> Self {
        let file = match origin {
            Origin::File(path) => Some(path.clone()),
            _ => None,
        };
        let mut text = String::new();
        if let Some(file) = file.as_ref().and_then(|path| File::open(path).ok()) {
            // The loader reports a file that cannot be read.
            let _ = file.take(FILE_LIMIT).read_to_string(&mut text);
        }
        let mut variables: Vec<_> =
            settings::variables().map(|(name, value)| (name, Secret::new(value.trim()))).collect();
        variables.sort_by_key(|(name, _)| !text.contains(&format!("${{{name}")));
        Self { file, variables }
    }

    /// Returns the source of `secret` in words.
    pub(super) fn name(&self, secret: &Secret) -> String {
        match self.variable(secret) {
            Some(name) => format!("the variable {name}"),
            None => self.file_name(),
        }
    }

    /// Returns the name of the variable with the value of `secret`.
    pub(super) fn variable(&self, secret: &Secret) -> Option<&str> {
        let known = self.variables.iter().find(|(_, value)| value.expose() == secret.expose());
        known.map(|(name, _)| name.as_str())
    }

    /// Returns the name of the configuration file in words.
    pub(super) fn file_name(&self) -> String {
        let file = self.file.as_ref();
        file.map_or_else(|| "the environment".to_owned(), |path| format!("the file {}", path.display()))
    }
}
