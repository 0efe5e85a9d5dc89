//! The command line.

#[cfg(feature = "ledger")]
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::claude_settings::CcCommand;
use crate::doctor::DoctorArguments;
use crate::import::ImportArguments;
use crate::init::InitArguments;
use crate::manual::ManArguments;
use crate::reload::ReloadArguments;
use crate::run::RunArguments;
use crate::service::arguments::ServiceCommand;

/// A relay between Claude Code and the providers of its models.
///
/// Without a command, the relay is started. Without a configuration file, it uses the providers found in the environment.
#[derive(Debug, Parser)]
#[command(name = "cc-relay", version, disable_help_subcommand = true)]
#[command(after_help = "Point Claude Code at it:  ANTHROPIC_BASE_URL=http://127.0.0.1:8787 claude")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The configuration file, and settings that override it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// Configuration file. Default: a file found in the working directory or the home directory.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Lowest level that is logged.
    #[arg(long, global = true, value_name = "LEVEL", value_parser = ["debug", "info", "warn", "error"])]
    pub(crate) log_level: Option<String>,
    /// Format of a log line.
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub(crate) log_format: Option<String>,
    /// Log at level debug, and add headers to each response that name its provider.
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// Use two built-in mock providers instead of a file. Needs no account and no network.
    #[arg(long, global = true, conflicts_with = "config")]
    pub(crate) demo: bool,
    /// Address to listen on: host:port, or unix:PATH for a Unix socket. May be repeated. With port 0 the system chooses a
    /// port.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub(crate) listen: Vec<String>,
    /// Settings that the process itself determines, by their keys: the addresses of sockets that it has inherited.
    #[arg(skip)]
    pub(crate) determined: Vec<(&'static str, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the relay until a signal stops it (the default).
    Serve,
    /// Run a command with a relay, such as `cc-relay run -- claude`. Nothing is left behind.
    Run(RunArguments),
    /// Show the state of a running relay, with its keys if its admin API answers. Exits 0 if some provider is usable.
    Status(StatusArguments),
    /// Show a running relay in the terminal: traffic, providers, keys and requests. Needs its admin API.
    #[cfg(feature = "top")]
    Top(TopArguments),
    /// Show the providers that would receive a request, without sending it. Exits 0 if some provider would.
    Explain(ExplainArguments),
    /// Show the tokens and the cost of past requests.
    #[cfg(feature = "ledger")]
    Usage(UsageArguments),
    /// Check the providers, the configuration, the ports and the settings of Claude Code. Exits 0 if no check fails.
    Doctor(DoctorArguments),
    /// Make a running relay read its configuration file again. Needs its admin API. Exits 0 if the file is in use.
    Reload(ReloadArguments),
    /// Run the relay as a service of systemd or launchd: at each login, or with the machine.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Write, check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell.
    Completions {
        /// Shell that the script is for.
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands.
    Man(ManArguments),
    /// Print the version.
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// URL of the relay. Default: the address in the configuration.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "top")]
#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// URL of the admin API. Default: the address in the configuration (admin.listen).
    #[arg(long)]
    pub(crate) url: Option<String>,
}

/// The selection of past requests, and the form of the report. Days and hours are those of UTC.
#[cfg(feature = "ledger")]
#[derive(Debug, Args)]
pub(crate) struct UsageArguments {
    /// Start of the time: a date or an RFC 3339 time in UTC, or a time until now such as 24h or 7d. Default: the first request.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// End of the time, which is not part of it. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    /// Group the requests. A failed attempt counts for its own provider and key.
    #[arg(long, value_name = "GROUP", value_parser = ["provider", "model", "key", "client", "session", "day", "hour"])]
    pub(crate) by: Option<String>,
    /// Show at most this number of groups: those with the highest cost, or the latest days or hours. Default: 1000.
    #[arg(long, value_name = "NUMBER", requires = "by")]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Print JSON instead of a table.
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print comma-separated values instead of a table.
    #[arg(long)]
    pub(crate) csv: bool,
    /// Ledger to read. Default: that of the configuration.
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// File with the JSON body of a request to /v1/messages. `-` is standard input.
    pub(crate) request: PathBuf,
    /// Credential for Anthropic that the client sends, in addition to a key of the relay if it needs one. Default: that of the
    /// client that the configuration suggests.
    #[arg(long, value_enum, value_name = "CREDENTIAL")]
    pub(crate) client: Option<ClientSends>,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A credential for Anthropic that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientSends {
    /// No credential.
    Nothing,
    /// The token of a login with a Claude subscription.
    Subscription,
    /// An API key of Anthropic.
    ApiKey,
}

impl ClientSends {
    /// Returns the name of the value on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Subscription => "subscription",
            Self::ApiKey => "api-key",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a commented configuration file with the providers that this machine has: those of the environment, of the files of AWS
    /// and gcloud, and Ollama. It contains references to secrets, and no secret.
    Init(InitArguments),
    /// Convert the configuration of another relay: claude-code-router, LiteLLM or the Go cc-relay.
    Import(ImportArguments),
    /// Check a configuration file and report all its mistakes.
    Validate {
        /// File to check. Default: the one that `serve` would use.
        #[arg(value_name = "PATH", conflicts_with_all = ["config", "demo"])]
        path: Option<PathBuf>,
    },
    /// Print the settings in effect. Every secret is shown as `***`.
    Show,
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Point Claude Code at the relay in its settings, or restore them.
    #[command(subcommand)]
    Cc(CcCommand),
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
    fn settings_are_accepted_before_and_after_the_command() {
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
