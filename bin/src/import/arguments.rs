//! The arguments of `cc-relay config import`.

use std::path::PathBuf;

use clap::Args;

use super::source::Source;
use crate::destination::{Destination, DestinationError, TextFormat};

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// File of the other relay: config.json of claude-code-router, config.yaml of LiteLLM or of the Go cc-relay.
    pub(super) file: PathBuf,
    /// Program that the file belongs to. Default: recognized by its keys.
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub(super) from: Option<Source>,
    /// File to write. `-` is standard output. Default: cc-relay/config.yaml in $XDG_CONFIG_HOME or ~/.config.
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Format of the result. Default: that of the extension, otherwise YAML.
    #[arg(long, value_enum)]
    format: Option<TextFormat>,
    /// Replace an existing file.
    #[arg(long)]
    pub(super) force: bool,
}

impl ImportArguments {
    /// Returns the place of the result.
    pub(super) fn destination(&self) -> Result<Destination, DestinationError> {
        Destination::new(self.output.clone(), self.format)
    }
}
