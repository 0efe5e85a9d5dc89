//! The arguments of `cc-relay service`.

use clap::{Args, Subcommand};

use super::scope::Scope;

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Start the relay now and at each login, by systemd or launchd.
    Install {
        #[command(flatten)]
        scope: ScopeArguments,
        /// Print the file and the commands, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Replace a file that another program or a user has written.
        #[arg(long)]
        force: bool,
    },
    /// Stop the service and remove the file that `install` wrote.
    Uninstall {
        #[command(flatten)]
        scope: ScopeArguments,
        /// Print the commands, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the state of the service and of its relay. Exits 0 if the service runs and some provider is usable.
    Status {
        #[command(flatten)]
        scope: ScopeArguments,
        /// URL of the relay. Default: the address in the configuration of the service.
        #[arg(long)]
        url: Option<String>,
    },
}

/// The users that a service is for.
#[derive(Debug, Args)]
pub(crate) struct ScopeArguments {
    /// Service of this user (the default).
    #[arg(long, conflicts_with = "system")]
    user: bool,
    /// Service of the machine. Its installation needs root.
    #[arg(long)]
    system: bool,
}

impl ScopeArguments {
    pub(super) fn scope(&self) -> Scope {
        if self.system { Scope::System } else { Scope::User }
    }
}
