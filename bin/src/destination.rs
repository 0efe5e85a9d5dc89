//! The place and the format of a configuration that a command writes.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use relay_config::Format;

use crate::files;

/// The name of standard output.
const STDOUT: &str = "-";

/// The value of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    Yaml,
    Toml,
}

impl TextFormat {
    /// The extension of a file in this format.
    fn extension(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Toml => "toml",
        }
    }
}

impl From<TextFormat> for Format {
    fn from(format: TextFormat) -> Self {
        match format {
            TextFormat::Yaml => Self::Yaml,
            TextFormat::Toml => Self::Toml,
        }
    }
}

/// The place of a configuration that a command writes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The file. `None` is standard output.
    pub(crate) path: Option<PathBuf>,
    pub(crate) format: Format,
}

/// The reason for which a command cannot write a configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DestinationError {
    #[error("neither $XDG_CONFIG_HOME nor $HOME is set; name the file to write")]
    NoHome,
    #[error(
        "{}: the name must end in .yaml or .yml for YAML, in .toml for TOML, and agree with --format",
        path.display()
    )]
    Extension { path: PathBuf },
}

impl Destination {
    /// Returns the place at the path on the command line, or at the path that `serve` finds, in the format of the extension.
    ///
    /// # Errors
    /// [`DestinationError::Extension`] if the extension means no format, or another one than the chosen one: the relay could not
    /// read the file.
    pub(crate) fn new(path: Option<PathBuf>, chosen: Option<TextFormat>) -> Result<Self, DestinationError> {
        let extension = chosen.unwrap_or(TextFormat::Yaml).extension();
        let default = || files::default_configuration().map(|path| path.with_extension(extension));
        let path = path.or_else(default).ok_or(DestinationError::NoHome)?;
        let chosen = chosen.map(Format::from);
        if path == Path::new(STDOUT) {
            return Ok(Self { path: None, format: chosen.unwrap_or(Format::Yaml) });
        }
        match Format::of(&path).filter(|format| chosen.is_none_or(|chosen| chosen == *format)) {
            Some(format) => Ok(Self { path: Some(path), format }),
            None => Err(DestinationError::Extension { path }),
        }
    }
}
