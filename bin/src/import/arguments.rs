//! The arguments of `cc-relay config import`.

use std::path::{Path, PathBuf};

use clap::Args;
use relay_config::Format;

use super::error::ImportError;
use super::source::Source;
use crate::text_format::TextFormat;

/// The name for standard output.
pub(super) const STDOUT: &str = "-";

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// File of the other relay: config.json of claude-code-router, config.yaml of LiteLLM or of the Go cc-relay.
    pub(super) file: PathBuf,
    /// Program that the file belongs to. Default: recognized by its keys.
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub(super) from: Option<Source>,
    /// File to write. `-` is standard output. Default: cc-relay/config.yaml in $XDG_CONFIG_HOME or ~/.config.
    #[arg(long, value_name = "PATH")]
    pub(super) output: Option<PathBuf>,
    /// Format of the result. Default: that of the extension, otherwise YAML.
    #[arg(long, value_enum)]
    format: Option<TextFormat>,
    /// Replace an existing file.
    #[arg(long)]
    pub(super) force: bool,
}

impl ImportArguments {
    /// Returns the file to write; `None` if it has no default.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let default = crate::files::default_configuration;
        let extension = self.format.unwrap_or(TextFormat::Yaml).extension();
        self.output.clone().or_else(|| default().map(|path| path.with_extension(extension)))
    }

    /// Returns the format of the result at `path`.
    pub(super) fn format_of(&self, path: &Path) -> Result<Format, ImportError> {
        let (chosen, of_path) = (self.format.map(Format::from), Format::of(path));
        match (chosen, of_path) {
            (Some(chosen), of_path) if path == Path::new(STDOUT) || of_path == Some(chosen) => Ok(chosen),
            (None, Some(format)) => Ok(format),
            (None, None) if path == Path::new(STDOUT) => Ok(Format::Yaml),
            _ => Err(ImportError::Extension { path: path.to_owned() }),
        }
    }
}
