//! The arguments of `cc-relay config cc`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The commands for the settings of Claude Code.
#[derive(Debug, Subcommand)]
pub(crate) enum CcCommand {
    /// Point Claude Code at the relay. The former values are remembered, and `remove` restores them.
    Init(InitArguments),
    /// Restore the values before `init`, except those that have changed since.
    Remove(RemoveArguments),
    /// Show the settings of every file and of the environment, and the server that answers. Exits 0 if a relay does.
    Status(CcStatusArguments),
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    #[command(flatten)]
    pub(crate) file: FileArguments,
    /// URL of the relay. Default: the first address in the configuration (server.listen).
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Let Claude Code list the models of the relay whose names contain `claude`.
    #[arg(long)]
    pub(crate) model_discovery: bool,
    /// Print the change of the file, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    #[command(flatten)]
    pub(crate) file: FileArguments,
    /// Print the change of the file, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CcStatusArguments {
    /// Print JSON instead of a list.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The settings file to change. Default: that of the user, in $CLAUDE_CONFIG_DIR or ~/.claude.
#[derive(Debug, Args)]
pub(crate) struct FileArguments {
    /// Settings file to change. Default: settings.json in $CLAUDE_CONFIG_DIR or ~/.claude.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["project", "local"])]
    pub(crate) settings: Option<PathBuf>,
    /// Change .claude/settings.json in the working directory.
    #[arg(long, conflicts_with = "local")]
    pub(crate) project: bool,
    /// Change .claude/settings.local.json in the working directory.
    #[arg(long)]
    pub(crate) local: bool,
}
