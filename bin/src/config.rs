//! `cc-relay config`: writes, checks and shows the configuration.

use std::io;
use std::process::ExitCode;

use clap::builder::styling::AnsiColor;
use relay_config::FindError;
use relay_server::{BuildError, ListenerTlsError, Relay};

use crate::claude_settings::{self, ClaudeSettingsError};
use crate::cli::{ConfigCommand, Settings};
use crate::client_listeners;
use crate::import::{self, ImportError};
use crate::init::{self, InitError};
use crate::output::Output;
use crate::settings::{self, Origin, SettingsError, Start};

/// The failure of a `config` command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Tls(#[from] ListenerTlsError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("there is no configuration file to check; name a file, or write one with `cc-relay config init`")]
    NoFile,
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    ClaudeSettings(#[from] ClaudeSettingsError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl ConfigError {
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Settings(error) => error.is_usage(),
            Self::ClaudeSettings(error) => error.is_usage(),
            Self::Import(error) => error.is_usage(),
            Self::Init(error) => error.is_usage(),
            _ => false,
        }
    }
}

pub(crate) fn run(
    command: ConfigCommand,
    settings: Settings,
    out: &mut Output,
) -> Result<ExitCode, ConfigError> {
    match command {
        ConfigCommand::Init(arguments) => init::init(&arguments, settings.config, out)?,
        ConfigCommand::Import(arguments) => import::import(&arguments, out)?,
        ConfigCommand::Validate { path } => {
            validate(&Settings { config: path.or(settings.config), ..settings }, out)?;
        }
        ConfigCommand::Show => show(&settings, out)?,
        ConfigCommand::Schema => out.line(relay_config::schema())?,
        ConfigCommand::Cc(command) => return Ok(claude_settings::run(&command, &settings, out)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn validate(settings: &Settings, out: &mut Output) -> Result<(), ConfigError> {
    if !settings.demo && settings::file(settings)?.is_none() {
        return Err(ConfigError::NoFile);
    }
    let start = Start::read(settings)?;
    warn(&start)?;
    let config = start.loaded.config;
    let enabled = config.providers.iter().filter(|provider| provider.enabled).count();
    let disabled = match config.providers.len() - enabled {
        0 => String::new(),
        disabled => format!(" ({disabled} more disabled)"),
    };
    let plural = if enabled == 1 { "" } else { "s" };
    let strategy = config.routing.strategy.as_str();
    let addresses = config.server.listen.iter().map(ToString::to_string);
    let sockets = config.server.unix_sockets.iter().map(ToString::to_string);
    let listen: Vec<_> = addresses.chain(sockets).collect();
    let tls = client_listeners::load_tls(&config.server)?;
    let mut err = Output::stderr();
    client_listeners::tls_warnings(tls.as_ref()).iter().try_for_each(|warning| err.warning(warning))?;
    // Some mistakes show only when the relay is built, such as a key that a header cannot carry.
    Relay::builder(config).build()?;
    let (ok, listen) = (out.style(AnsiColor::Green), listen.join(", "));
    out.line(format_args!(
        "{ok}ok{ok:#}: {enabled} provider{plural}{disabled}, strategy {strategy}, listening on {listen}"
    ))?;
    Ok(())
}

fn show(settings: &Settings, out: &mut Output) -> Result<(), ConfigError> {
    let start = Start::read(settings)?;
    warn(&start)?;
    let origin = match &start.origin {
        Origin::File(file) => file.display().to_string(),
        Origin::Demo => "the demonstration".to_owned(),
        Origin::Environment { .. } => "the environment; there is no configuration file".to_owned(),
    };
    out.line(format_args!("# from {origin}"))?;
    out.write(start.loaded.to_yaml().as_bytes())?;
    Ok(())
}

fn warn(start: &Start) -> io::Result<()> {
    let mut err = Output::stderr();
    start.loaded.warnings.iter().try_for_each(|warning| err.warning(warning))
}
