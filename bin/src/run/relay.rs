//! A relay in this process, on a free port, for one command.

use std::time::Duration;

use relay_config::{Config, ListenAddress, LogLevel, LogOutput, ProviderConfig};
use relay_server::{Listener, Reloadable};

use super::arguments::RunArguments;
use super::error::RunError;
use super::held_log::HeldLog;
use crate::accounting::Accounting;
use crate::client_listeners::Addresses;
use crate::listener_group::ListenerGroup;
use crate::logging::{self, Log, LoggingError};
use crate::observers::Observers;
use crate::serve::ServeError;
use crate::settings::{Origin, Start};
#[cfg(unix)]
use crate::signals::survive_file_size_limit;
use crate::sockets::Sockets;
use crate::traces::Export;
use crate::{client_listeners, compose};

/// The host of a relay on a free port.
const HOST: &str = "127.0.0.1";
/// The time for requests that are still open after the command has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// A relay in this process.
pub(super) struct OwnRelay {
    /// The URL for the command.
    pub(super) url: String,
    accounting: Accounting,
    traces: Export,
    listeners: ListenerGroup,
    log: Log,
    held: HeldLog,
}

/// Adapts the configuration to a relay for one command: only the named providers, a free port, no other listeners.
pub(super) fn adapt(
    config: &mut Config,
    arguments: &RunArguments,
    has_address: bool,
) -> Result<(), RunError> {
    restrict(&mut config.providers, &arguments.provider)?;
    if !has_address {
        config.server.listen = vec![ListenAddress::new(HOST, 0)];
        config.server.unix_sockets = Vec::new();
        config.server.tls = None;
    }
    config.server.drain_delay = Duration::ZERO;
    config.server.drain_timeout = config.server.drain_timeout.min(DRAIN);
    config.admin.enabled = false;
    config.metrics.listen = None;
    if let Some(path) = &arguments.log_output {
        config.logging.output = LogOutput::File(path.clone());
    }
    Ok(())
}

/// Disables every provider that is not named, if any is.
fn restrict(providers: &mut [ProviderConfig], named: &[String]) -> Result<(), RunError> {
    for name in named {
        match providers.iter().find(|provider| provider.name.as_str() == name) {
            None => {
                let known: Vec<_> = providers.iter().map(|provider| provider.name.as_str()).collect();
                return Err(RunError::Provider { name: name.clone(), known: known.join(", ") });
            }
            Some(provider) if !provider.enabled => return Err(RunError::Disabled { name: name.clone() }),
            Some(_) => {}
        }
    }
    for provider in providers.iter_mut().filter(|_| !named.is_empty()) {
        provider.enabled &= named.iter().any(|name| provider.name.as_str() == name);
    }
    Ok(())
}

/// A relay that does not serve yet.
struct Prepared {
    relay: Reloadable,
    listeners: Vec<Listener>,
    addresses: Addresses,
    accounting: Accounting,
    traces: Export,
    log: Log,
    held: HeldLog,
}

impl Prepared {
    async fn new(start: &Start) -> Result<Self, ServeError> {
        let config = &start.loaded.config;
        #[cfg(unix)]
        survive_file_size_limit().map_err(ServeError::Signals)?;
        let held = HeldLog::default();
        let log = install_log(config, &held)?;
        start.loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let accounting = Accounting::start(config, matches!(start.origin, Origin::Demo))?;
        let observers = Observers::new(config, false, accounting.clone(), log.dropped(), None);
        let traces = Export::start()?;
        let relay = Reloadable::new(compose::relay(config.clone(), Some(&observers), Some(&traces))?);
        let tls = client_listeners::load_tls(&config.server)?;
        // Dropped at once: a duplicate of a socket would accept connections after its listener is closed.
        let listeners = client_listeners::bind(&config.server, tls.as_ref(), &mut Sockets::default()).await?;
        let addresses = Addresses::of(&listeners, tls.is_some()).map_err(ServeError::LocalAddress)?;
        Ok(Self { relay, listeners, addresses, accounting, traces, log, held })
    }
}

/// Installs the log: in the file of the configuration, or with warnings alone in `held`.
fn install_log(config: &Config, held: &HeldLog) -> Result<Log, LoggingError> {
    if matches!(config.logging.output, LogOutput::File(_)) {
        return Ok(logging::install(&config.logging, config.secrets())?.0);
    }
    let mut warnings = config.logging.clone();
    if warnings.level != LogLevel::Error {
        warnings.level = LogLevel::Warn;
    }
    logging::install_on(&warnings, config.secrets(), Box::new(held.clone()))
}

impl OwnRelay {
    /// Starts the relay, whose configuration has been adapted, on the current runtime.
    pub(super) async fn start(start: &Start) -> Result<Self, RunError> {
        let Prepared { relay, listeners, addresses, accounting, traces, log, held } =
            Prepared::new(start).await?;
        let url = addresses.url().ok_or(RunError::NoAddress)?;
        let listeners = ListenerGroup::of_relay(listeners, &relay);
        tracing::info!("listening on {url} for one command");
        Ok(Self { url, accounting, traces, listeners, log, held })
    }

    /// Stops the relay, writes its records, and prints the warnings that were held back.
    pub(super) async fn stop(mut self) -> Result<(), RunError> {
        self.listeners.close();
        // Requests that are still open have no client any more.
        let _ = tokio::time::timeout(2 * DRAIN, self.listeners.drained()).await;
        self.traces.shutdown().await;
        self.accounting.close();
        drop(self.log);
        Ok(self.held.print()?)
    }
}
