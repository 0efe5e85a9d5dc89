//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use http::Uri;

/// A relay between Claude Code and the providers of its models.
///
/// Without a command it serves. Without a configuration file it uses what the environment offers.
#[derive(Debug, Parser)]
#[command(name = "cc-relay", version, disable_help_subcommand = true)]
#[command(after_help = "Point Claude Code at it:  ANTHROPIC_BASE_URL=http://127.0.0.1:8787 claude")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What is read, and what is set above it.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// Configuration file, in place of the one found in the working directory or the home directory.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Least severe level that is logged.
    #[arg(long, global = true, value_name = "LEVEL", value_parser = ["debug", "info", "warn", "error"])]
    pub(crate) log_level: Option<String>,
    /// Shape of a log line.
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub(crate) log_format: Option<String>,
    /// Log at level debug, and say on each response which provider it came from.
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// Use two built-in mock providers and no file: no account, no network.
    #[arg(long, global = true, conflicts_with = "config")]
    pub(crate) demo: bool,
    /// Address to listen on; may be repeated. Port 0 lets the system choose.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) listen: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the relay until it is told to stop (the default).
    Serve,
    /// Ask a running relay how it is; exit code 0 if it is ready.
    Status(StatusArguments),
    /// Show where a request would go and why, without sending it; exit code 0 if somebody would be asked.
    Explain(ExplainArguments),
    /// Write, check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the version.
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Where the relay is, in place of the address in the configuration.
    #[arg(long)]
    pub(crate) url: Option<Uri>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Body of a request to /v1/messages, as JSON; `-` is standard input.
    pub(crate) request: PathBuf,
    /// What the client brings of its own, beyond a key of the relay where that takes one.
    #[arg(long, value_enum, value_name = "CREDENTIAL", default_value = "nothing")]
    pub(crate) client: Brought,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A credential that a client has for Anthropic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Brought {
    /// None.
    Nothing,
    /// Its login with a Claude subscription.
    Subscription,
    /// An API key.
    ApiKey,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a commented configuration file to start from.
    Init {
        /// Where to; by default cc-relay/config.yaml in $XDG_CONFIG_HOME or ~/.config.
        #[arg(long, value_name = "PATH")]
        path: Option<PathBuf>,
        /// Replace a file that is already there.
        #[arg(long)]
        force: bool,
    },
    /// Check a configuration file and report everything that is wrong with it.
    Validate {
        /// The file, in place of the one that `serve` would use.
        #[arg(value_name = "PATH", conflicts_with_all = ["config", "demo"])]
        path: Option<PathBuf>,
    },
    /// Print the settings in effect, with every secret as `***`.
    Show,
    /// Print the JSON Schema of the configuration file.
    Schema,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_on_either_side_of_the_command() {
        for line in [
            "cc-relay --demo --listen a:1 --listen b:2",
            "cc-relay --demo serve --listen a:1 --listen b:2",
            "cc-relay serve --demo --listen a:1 --listen b:2",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.settings.demo, "{line}");
            assert_eq!(cli.settings.listen, ["a:1", "b:2"], "{line}");
        }
    }
}
