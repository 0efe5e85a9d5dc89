//! The format of a configuration file that a command writes.

use clap::ValueEnum;
use relay_config::Format;

/// The value of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    Yaml,
    Toml,
}

impl TextFormat {
    /// The extension of a file in this format.
    pub(crate) fn extension(self) -> &'static str {
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
