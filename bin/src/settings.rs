//! Loads the configuration from the command line, the file that it names, and the environment.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use relay_config::{Discovery, FindError, LoadError, Loaded, Loader, Place};

use crate::cli::Settings;

/// The default address of Ollama.
const OLLAMA: (&str, u16) = ("localhost", 11434);
/// The time limit for a connection to Ollama. On the same machine it accepts in far less.
const OLLAMA_TIMEOUT: Duration = Duration::from_millis(250);

/// A configuration and its origin.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) loaded: Loaded,
    pub(crate) origin: Origin,
}

#[derive(Debug)]
pub(crate) enum Origin {
    File(PathBuf),
    Demo,
    /// The environment, since there is no file: the providers found, and the variables that would add more.
    Environment {
        found: Vec<String>,
        missing: Vec<String>,
    },
}

/// An error while finding or loading the configuration.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum SettingsError {
    Find(#[from] FindError),
    Load(#[from] LoadError),
}

impl SettingsError {
    /// Returns `true` if the mistake is on the command line.
    pub(crate) fn is_usage(&self) -> bool {
        match self {
            Self::Find(_) => false,
            Self::Load(error) => error.problems().iter().any(|problem| problem.place == Place::CommandLine),
        }
    }
}

impl Start {
    /// Loads the configuration that `serve` uses.
    pub(crate) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        if settings.demo {
            let loaded = loader(settings).with_default_providers(relay_config::demo().providers).load()?;
            return Ok(Self { loaded, origin: Origin::Demo });
        }
        if let Some(file) = file(settings)? {
            return Ok(Self {
                loaded: loader(settings).with_file(&file).load()?,
                origin: Origin::File(file),
            });
        }
        let Discovery { config, found, missing, .. } = Discovery::from_environment(variable, answers(OLLAMA));
        let loaded = loader(settings).with_default_providers(config.providers).load()?;
        Ok(Self { loaded, origin: Origin::Environment { found, missing } })
    }
}

/// Finds the configuration file, if there is one.
pub(crate) fn file(settings: &Settings) -> Result<Option<PathBuf>, FindError> {
    // Relative to the working directory, so that messages name the file as the user would.
    relay_config::find_file(settings.config.as_deref(), Path::new(""), variable)
}

/// Reads an environment variable. A value that is not UTF-8 counts as unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A loader of the environment's settings and, with precedence, those of the command line.
fn loader(settings: &Settings) -> Loader {
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { return None };
        Some((name, value))
    });
    let mut loader = Loader::new().with_environment(environment);
    if settings.debug {
        loader = loader.with_override("logging.level", "debug").with_override("routing.debug", "true");
    }
    if let Some(level) = &settings.log_level {
        loader = loader.with_override("logging.level", level);
    }
    if let Some(format) = &settings.log_format {
        loader = loader.with_override("logging.format", format);
    }
    if !settings.listen.is_empty() {
        loader = loader.with_override("server.listen", settings.listen.join(","));
    }
    loader
}

/// Returns `true` if a connection to `address` is accepted.
fn answers(address: (&str, u16)) -> bool {
    let connect = |address| TcpStream::connect_timeout(&address, OLLAMA_TIMEOUT);
    let reached = |addresses: std::vec::IntoIter<_>| -> io::Result<bool> {
        Ok(addresses.map(connect).any(|result| result.is_ok()))
    };
    address.to_socket_addrs().and_then(reached).unwrap_or(false)
}
