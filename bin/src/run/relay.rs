//! A relay in this process, on a free port, for one command.

use std::io;
use std::time::Duration;

use relay_config::{Config, ListenAddress, LogLevel, LogOutput, ProviderConfig};
use relay_server::{Listener, Reloadable};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::arguments::RunArguments;
use super::error::RunError;
use super::held_log::HeldLog;
use crate::accounting::Accounting;
use crate::logging::{self, Log};
use crate::observers::Observers;
use crate::settings::{Origin, Start};
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
    stop: watch::Sender<bool>,
    serving: JoinSet<()>,
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

impl OwnRelay {
    /// Starts the relay, whose configuration has been adapted, on the current runtime.
    pub(super) async fn start(start: &Start) -> Result<Self, RunError> {
        let config = &start.loaded.config;
        let held = HeldLog::default();
        let log = match &config.logging.output {
            LogOutput::File(_) => logging::install(&config.logging, config.secrets())?.0,
            _ => {
                let mut warnings = config.logging.clone();
                if warnings.level != LogLevel::Error {
                    warnings.level = LogLevel::Warn;
                }
                logging::install_on(&warnings, config.secrets(), Box::new(held.clone()))?
            }
        };
        start.loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let accounting = Accounting::start(config, matches!(start.origin, Origin::Demo))?;
        let observers = Observers::new(config, false, accounting.clone(), log.dropped(), None);
        let traces = Export::start()?;
        let relay = Reloadable::new(compose::relay(config.clone(), Some(&observers), Some(&traces))?);
        let tls = client_listeners::load_tls(&config.server)?;
        // Dropped at once: a duplicate of a socket would accept connections after its listener is closed.
        let listeners = client_listeners::bind(&config.server, tls.as_ref(), &mut Sockets::default()).await?;
        let addresses = listeners.iter().map(Listener::local_addr).collect::<io::Result<Vec<_>>>();
        let addresses = addresses.map_err(RunError::LocalAddress)?;
        let url = addresses.iter().find_map(|address| client_listeners::url(address, tls.is_some()));
        let url = url.ok_or(RunError::NoAddress)?;
        let (stop, mut serving) = (watch::Sender::new(false), JoinSet::new());
        for listener in listeners {
            let (relay, mut stopped) = (relay.clone(), stop.subscribe());
            serving.spawn(async move {
                // An error means that the sender is gone, which is a reason to stop as well.
                let shutdown = async move { drop(stopped.wait_for(|stop| *stop).await) };
                relay_server::serve(listener, relay, shutdown).await;
            });
        }
        tracing::info!("listening on {url} for one command");
        Ok(Self { url, accounting, traces, stop, serving, log, held })
    }

    /// Stops the relay, writes its records, and prints the warnings that were held back.
    pub(super) async fn stop(mut self) -> Result<(), RunError> {
        self.stop.send_replace(true);
        let ended = async { while self.serving.join_next().await.is_some() {} };
        // Requests that are still open have no client any more.
        let _ = tokio::time::timeout(2 * DRAIN, ended).await;
        self.traces.shutdown().await;
        self.accounting.close();
        drop(self.log);
        Ok(self.held.print()?)
    }
}
