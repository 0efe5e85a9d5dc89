//! Loads the configuration from the command line, the file that it names, and the environment.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use relay_config::{BaseUrl, Config, Discovery, FindError, LoadError, Loaded, Loader, Place};
use relay_messages::ErrorChain;

use crate::cli::Settings;
use crate::output::{Output, printable};

/// The time limit for a connection to Ollama. A server on the same machine accepts one in far less.
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
    /// The environment, since there is no file: the providers found, the variables that would add more, and the values that cannot be
    /// used.
    Environment {
        found: Vec<String>,
        missing: Vec<String>,
        faults: Vec<String>,
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
            return Ok(Self { loaded: read_file(settings, &file)?, origin: Origin::File(file) });
        }
        let Discovery { config, found, missing, faults, .. } = discovered(variable);
        let loaded = loader(settings).with_default_providers(config.providers).load()?;
        Ok(Self { loaded, origin: Origin::Environment { found, missing, faults } })
    }
}

/// Finds the providers of this machine by the variables that `variable` returns, with the models that they list.
pub(crate) fn discovered(variable: impl Fn(&str) -> Option<String>) -> Discovery {
    let mut discovery = Discovery::from_environment(variable, answers);
    list_models(&mut discovery);
    discovery
}

/// Reads this configuration file, with the settings of the environment and of the command line.
pub(crate) fn read_file(settings: &Settings, file: &Path) -> Result<Loaded, SettingsError> {
    Ok(loader(settings).with_file(file).load()?)
}

/// The configuration by which a command finds a relay that runs, or its ledger.
#[derive(Debug)]
pub(crate) struct Readable {
    /// The configuration. If it cannot be loaded, the sections `server`, `admin` and `usage` alone, each as far as it can be read: a
    /// relay that runs keeps the configuration that it has.
    pub(crate) config: Config,
    /// The reason for which the configuration cannot be loaded.
    pub(crate) fault: Option<SettingsError>,
}

/// Reads the configuration by which a command finds a relay that runs. Without a file, no provider is looked for.
///
/// # Errors
/// [`SettingsError`] for a mistake on the command line.
pub(crate) fn readable(settings: &Settings) -> Result<Readable, SettingsError> {
    let fault = match load_without_discovery(settings) {
        Ok(loaded) => return Ok(Readable { config: loaded.config, fault: None }),
        Err(error) if error.is_usage() => return Err(error),
        Err(error) => error,
    };
    let mut config = Config::default();
    config.server = section(settings, "server").server;
    config.admin = section(settings, "admin").admin;
    config.usage = section(settings, "usage").usage;
    Ok(Readable { config, fault: Some(fault) })
}

impl Readable {
    /// Writes a warning about a configuration that cannot be loaded. `found` names the place that the command uses all the same.
    pub(crate) fn warn(&self, found: &str) -> io::Result<()> {
        let Some(fault) = &self.fault else { return Ok(()) };
        let chain = ErrorChain(fault).to_string();
        let first = chain.lines().next().unwrap_or_default();
        let more = chain.lines().skip(1).count();
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        Output::stderr().warning(format_args!(
            "the configuration cannot be loaded, and a running relay keeps its earlier one: {}{more}; using {}",
            printable(first),
            printable(found)
        ))
    }
}

/// Loads the configuration. If it has no providers, they are those of the demonstration, so that none is looked for.
fn load_without_discovery(settings: &Settings) -> Result<Loaded, SettingsError> {
    let file = file(settings)?.filter(|_| !settings.demo);
    let loader = loader(settings).with_default_providers(relay_config::demo().providers);
    let loader = match file {
        Some(file) => loader.with_file(file),
        None => loader,
    };
    Ok(loader.load()?)
}

/// Reads one section of the file, the environment and the command line; of the latter two if that of the file is invalid.
fn section(settings: &Settings, name: &str) -> Config {
    let loader = loader(settings).with_section(name);
    let file = file(settings).ok().flatten().filter(|_| !settings.demo);
    let of_file = file.and_then(|file| loader.clone().with_file(file).load().ok());
    of_file.or_else(|| loader.load().ok()).map_or_else(Config::default, |loaded| loaded.config)
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

/// Returns every environment variable. Those that are not UTF-8 count as unset.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A loader of the environment's settings and, with precedence, those of the command line.
fn loader(settings: &Settings) -> Loader {
    // A unit test does not depend on the variables of the one who runs it.
    let mut loader = Loader::new().with_environment(variables().filter(|_| !cfg!(test)));
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
    for (key, value) in &settings.determined {
        loader = loader.with_override(*key, value);
    }
    loader
}

/// Returns `true` if a connection to the host of `url` is accepted.
fn answers(url: &BaseUrl) -> bool {
    let default = if url.scheme().as_str() == "https" { 443 } else { 80 };
    let port = url.authority().port_u16().unwrap_or(default);
    let host = url.authority().host().trim_start_matches('[').trim_end_matches(']');
    let connect = |address| TcpStream::connect_timeout(&address, OLLAMA_TIMEOUT);
    let reached = |addresses: std::vec::IntoIter<_>| -> io::Result<bool> {
        Ok(addresses.map(connect).any(|result| result.is_ok()))
    };
    (host, port).to_socket_addrs().and_then(reached).unwrap_or(false)
}

/// Completes the discovery with the models that providers list. Without a runtime the providers stay as they are.
fn list_models(discovery: &mut Discovery) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(relay_server::discover_models(discovery));
    // A thread may still be resolving a name. Its result is no longer needed.
    runtime.shutdown_background();
}
