//! The arguments of `cc-relay config init`.

use std::path::{Path, PathBuf};

use clap::Args;
use relay_config::Format;

use super::error::InitError;
use crate::files;
use crate::text_format::TextFormat;

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// File to write, another name of --config. Default: cc-relay/config.yaml in $XDG_CONFIG_HOME or ~/.config.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    path: Option<PathBuf>,
    /// Format of the file. Default: that of its extension, otherwise YAML.
    #[arg(long, value_enum)]
    format: Option<TextFormat>,
    /// Replace an existing file.
    #[arg(long)]
    pub(super) force: bool,
}

impl InitArguments {
    /// Returns the file to write; `None` if it has no default.
    pub(super) fn path(&self, config: Option<PathBuf>) -> Option<PathBuf> {
        let extension = self.format.unwrap_or(TextFormat::Yaml).extension();
        let default = || files::default_configuration().map(|path| path.with_extension(extension));
        self.path.clone().or(config).or_else(default)
    }

    /// Returns the format of the file at `path`.
    ///
    /// # Errors
    /// [`InitError::Extension`] if the extension means no format, or another one than the chosen one: the relay could not read
    /// the file.
    pub(super) fn format_of(&self, path: &Path) -> Result<Format, InitError> {
        let of_path = Format::of(path);
        let is_chosen = |format: &Format| self.format.is_none_or(|chosen| Format::from(chosen) == *format);
        of_path.filter(is_chosen).ok_or_else(|| InitError::Extension { path: path.to_owned() })
    }
}
