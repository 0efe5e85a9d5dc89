//! The arguments of `cc-relay config init`.

use std::path::PathBuf;

use clap::Args;

use crate::destination::{Destination, DestinationError, TextFormat};

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// File to write, another name of --config. `-` is standard output. Default: cc-relay/config.yaml in $XDG_CONFIG_HOME or
    /// ~/.config.
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
    /// Returns the place of the configuration. `config` is the path of `--config`.
    pub(super) fn destination(&self, config: Option<PathBuf>) -> Result<Destination, DestinationError> {
        Destination::new(self.path.clone().or(config), self.format)
    }
}
