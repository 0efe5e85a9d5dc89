//! The `cc-relay` program: arguments, log, signals and exit codes around `relay-server`.
//!
//! ```text
//! arguments ─settings─▶ Start ─┬─serve───▶ Relay on its sockets, until a signal
//! environment, file            ├─run─────▶ a relay for one command
//!                              ├─explain─▶ the plan for a request
//!                              ├─status──▶ the state of a running relay
//!                              ├─top─────▶ the same, live in the terminal
//!                              ├─doctor──▶ the checks of everything that requests need
//!                              ├─reload──▶ the configuration of a running relay, read again
//!                              ├─usage───▶ the tokens and the cost of past requests
//!                              ├─service─▶ the relay as a service of systemd or launchd
//!                              └─config──▶ the configuration: written, checked, shown
//! ```
//! Exit codes: 0 for success, 1 for a failure, 2 for a mistake on the command line.

mod accounting;
mod claude_settings;
mod cli;
mod client_hint;
mod client_listeners;
mod compose;
mod config;
mod destination;
mod doctor;
mod explain;
mod files;
mod flags;
#[cfg(unix)]
mod handover;
mod import;
mod inheritance;
mod init;
mod ledger_place;
mod lifecycle;
mod listen;
mod listener_certificate;
mod listener_group;
mod logging;
mod manual;
mod notify;
mod observers;
mod output;
mod probe;
mod reload;
mod run;
mod serve;
mod service;
mod settings;
mod signals;
mod sockets;
mod status;
#[cfg(feature = "top")]
mod top;
mod traces;
#[cfg(feature = "ledger")]
mod usage;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::output::Output;

/// The allocator. Decision 20 has its measurements beside that of the system.
#[cfg(all(feature = "jemalloc", target_os = "linux"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit code for a mistake on the command line. clap uses the same one.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(refusal) = flags::refusal(&cli) {
        refusal.exit();
    }
    match execute(cli) {
        Ok(code) => code,
        Err(failure) => {
            // If the error cannot be written, the exit code still reports it.
            let _ = Output::stderr().failure(&failure);
            if failure.is_usage() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let mut out = Output::stdout();
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => return Ok(serve::serve(&cli.settings)?),
        Command::Run(arguments) => return Ok(run::run(&arguments, &cli.settings)?),
        Command::Status(arguments) => return Ok(status::status(&arguments, &cli.settings, &mut out)?),
        #[cfg(feature = "top")]
        Command::Top(arguments) => return Ok(top::top(&arguments, &cli.settings, &mut out)?),
        Command::Explain(arguments) => return Ok(explain::explain(&arguments, &cli.settings, &mut out)?),
        #[cfg(feature = "ledger")]
        Command::Usage(arguments) => usage::usage(&arguments, &cli.settings, &mut out)?,
        Command::Doctor(arguments) => return Ok(doctor::doctor(&arguments, &cli.settings, &mut out)?),
        Command::Reload(arguments) => return Ok(reload::reload(&arguments, &cli.settings, &mut out)?),
        Command::Service(command) => return Ok(service::run(command, &cli.settings, &mut out)?),
        Command::Config(command) => return Ok(config::run(command, cli.settings, &mut out)?),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
            out.write(&script)?;
        }
        Command::Man(arguments) => manual::man(&arguments, Cli::command(), &mut out)?,
        Command::Version => out.line(format_args!("cc-relay {}", env!("CARGO_PKG_VERSION")))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The failure of a command.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Failure {
    Serve(#[from] serve::ServeError),
    Run(#[from] run::RunError),
    Status(#[from] status::StatusError),
    #[cfg(feature = "top")]
    Top(#[from] top::TopError),
    Explain(#[from] explain::ExplainError),
    #[cfg(feature = "ledger")]
    Usage(#[from] usage::UsageError),
    Doctor(#[from] doctor::DoctorError),
    Reload(#[from] reload::ReloadCommandError),
    Service(#[from] service::ServiceError),
    Config(#[from] config::ConfigError),
    Manual(#[from] manual::ManualError),
    Output(#[from] io::Error),
}

impl Failure {
    fn is_usage(&self) -> bool {
        match self {
            Self::Serve(error) => error.is_usage(),
            Self::Run(error) => error.is_usage(),
            Self::Status(error) => error.is_usage(),
            #[cfg(feature = "top")]
            Self::Top(error) => error.is_usage(),
            Self::Explain(error) => error.is_usage(),
            #[cfg(feature = "ledger")]
            Self::Usage(error) => error.is_usage(),
            Self::Doctor(error) => error.is_usage(),
            Self::Reload(error) => error.is_usage(),
            Self::Config(error) => error.is_usage(),
            Self::Service(_) | Self::Manual(_) | Self::Output(_) => false,
        }
    }
}
