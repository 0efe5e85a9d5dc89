//! `cc-relay run`: a relay for one command.
//!
//! ```text
//! configuration ─▶ running relay, or OwnRelay ─url, token─▶ Variables ─┬─environment────▶ command
//! settings files, environment ─────────────────────────────────────────┴─--settings … ─▶ Claude Code
//! command ─exit code─▶ OwnRelay stops ─▶ exit code of this process
//! ```
//! Nothing is left behind: the port, the settings and the command end with this process.

mod arguments;
mod child;
mod claude;
mod error;
mod found;
mod given;
mod held_log;
mod private_file;
mod relay;
mod signals;
mod variables;

use std::ffi::OsString;
use std::process::ExitCode;

use relay_config::Config;

pub(crate) use self::arguments::RunArguments;
use self::claude::ClaudeCommand;
pub(crate) use self::error::RunError;
use self::found::{Found, RunningRelay};
use self::given::Given;
use self::private_file::PrivateFile;
use self::relay::OwnRelay;
use self::variables::{Facts, Variables};
use crate::claude_settings::connection::Token;
use crate::claude_settings::sources::{self, Source};
use crate::cli::Settings;
use crate::output::Output;
use crate::serve::ServeError;
use crate::settings::Start;

/// Runs the command with a relay, and returns its exit code.
pub(crate) fn run(arguments: &RunArguments, settings: &Settings) -> Result<ExitCode, RunError> {
    if let Some(parent) = arguments.child_of {
        return Ok(child::become_command(&arguments.command, parent));
    }
    let mut start = Start::read(settings).map_err(ServeError::from)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let running = match wants_own(arguments, settings) {
        true => None,
        false => runtime.block_on(running(&start.loaded.config, arguments))?,
    };
    if running.is_none() {
        relay::adapt(&mut start.loaded.config, arguments, !settings.listen.is_empty())?;
    }
    let token = Token::of(&start.loaded.config).map_err(RunError::Unusable)?;
    let ended = runtime.block_on(async {
        let config = &start.loaded.config;
        if let Some(relay) = running {
            return with_relay(arguments, config, &relay, token).await;
        }
        let own = OwnRelay::start(&start).await?;
        let relay = RunningRelay { url: own.url.clone(), authorities: None };
        let ended = with_relay(arguments, config, &relay, token).await;
        own.stop().await?;
        ended
    });
    // A thread may still be resolving a name. Its result is no longer needed.
    runtime.shutdown_background();
    ended
}

/// Returns `true` if no relay that runs already can serve.
fn wants_own(arguments: &RunArguments, settings: &Settings) -> bool {
    arguments.fresh
        || !arguments.provider.is_empty()
        || arguments.log_output.is_some()
        || settings.demo
        || !settings.listen.is_empty()
}

/// Returns the relay that runs at the address of the configuration. If the command cannot use it, the reason is printed.
async fn running(config: &Config, arguments: &RunArguments) -> Result<Option<RunningRelay>, RunError> {
    match Found::search(config, ClaudeCommand::of(&arguments.command).is_some()).await {
        Found::Usable(relay) => Ok(Some(relay)),
        Found::Unusable { url, reason } => {
            let text =
                format_args!("the relay at {url} is not used, and one is started for this command: {reason}");
            Output::stderr().warning(text)?;
            Ok(None)
        }
        Found::None => Ok(None),
    }
}

/// Runs the command with `relay`.
async fn with_relay(
    arguments: &RunArguments,
    config: &Config,
    relay: &RunningRelay,
    token: Token,
) -> Result<ExitCode, RunError> {
    let url = &*relay.url;
    let claude = ClaudeCommand::of(&arguments.command);
    let given = Given::read(claude.as_ref().and_then(|claude| claude.given.as_deref()))?;
    let sources = match &claude {
        Some(_) => Source::all_with(given.source()),
        None => vec![Source::environment()],
    };
    let host = url.split("://").nth(1).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let variables = Variables::of(&Facts {
        url,
        host: host.trim_matches(['[', ']']),
        token,
        authorities: relay.authorities.as_deref(),
        model: arguments.model.as_deref(),
        sources: &sources,
        has_login: claude.is_some() && sources::has_login(),
        placeholder_works: Token::placeholder_works(config),
    });
    let mut err = Output::stderr();
    variables.notes.iter().try_for_each(|note| err.warning(note))?;
    let (command, _file) = match claude {
        Some(claude) => with_settings(claude, given, &variables)?,
        None => (arguments.command.clone(), None),
    };
    child::run(&command, &variables).await
}

/// Passes the variables to Claude Code by settings on its command line. Settings that other users of the machine must not see are
/// in a file, which exists as long as the returned value.
fn with_settings(
    claude: ClaudeCommand,
    given: Given,
    variables: &Variables,
) -> Result<(Vec<OsString>, Option<PrivateFile>), RunError> {
    let (settings, is_secret) = variables.settings();
    let (text, is_public) = given.with(&settings, is_secret);
    if is_public {
        return Ok((claude.with_settings(&text), None));
    }
    let file = PrivateFile::new(text.as_encoded_bytes()).map_err(RunError::PassSettings)?;
    Ok((claude.with_settings(file.path()), Some(file)))
}
