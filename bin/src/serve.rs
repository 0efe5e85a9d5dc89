//! `cc-relay serve`: runs the relay until a signal stops it.

use std::io;
use std::process::ExitCode;

use relay_config::ServerConfig;
use relay_server::{BuildError, Drained, Relay};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::cli::Settings;
use crate::client_hint::{self, Hint};
use crate::listen::{self, ListenError};
use crate::logging::{self, LoggingError};
use crate::settings::{Origin, SettingsError, Start};
use crate::signals::Signals;

/// An error that prevents the relay from running, or ends it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Logging(#[from] LoggingError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("cannot start the threads of the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot read the port that the system chose")]
    LocalAddress(#[source] io::Error),
    #[error("a listener failed")]
    Listener(#[from] JoinError),
}

impl ServeError {
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Settings(error) if error.is_usage())
    }
}

/// Runs the relay until a signal stops it. The exit code is 0 if the open requests have ended or been cut after the
/// first signal, and 1 if a second signal has ended the process.
pub(crate) fn serve(settings: &Settings) -> Result<ExitCode, ServeError> {
    let start = Start::read(settings)?;
    let config = start.loaded.config.clone();
    let _flush = logging::install(&config.logging)?;
    start.log();
    let hints = client_hint::of(&config);
    let server = config.server.clone();
    let relay = Relay::builder(config).with_own_listeners().build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(ServeError::Runtime)?;
    let ended = runtime.block_on(run(relay, &server, &hints));
    // A thread may still be resolving a name. Its result is no longer needed.
    runtime.shutdown_background();
    ended
}

async fn run(relay: Relay, server: &ServerConfig, hints: &[Hint]) -> Result<ExitCode, ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let listeners = listen::bind(&server.listen).await?;
    announce(&listeners, hints).map_err(ServeError::LocalAddress)?;

    let (stop, _) = watch::channel(false);
    let mut serving = JoinSet::new();
    for listener in listeners {
        let mut stop = stop.subscribe();
        let shutdown = async move {
            // An error means that the sender is gone, which is a reason to stop as well.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        serving.spawn(relay_server::serve(listener, relay.clone(), shutdown));
    }
    tokio::select! {
        signal = signals.next() => {
            let limit = server.drain_timeout;
            tracing::info!(signal, ?limit, "draining: open requests may finish; a second signal ends at once");
        }
        // Before the stop, a listener ends only by a panic.
        Some(ended) = serving.join_next() => drop(ended?),
    }
    stop.send_replace(true);
    tokio::select! {
        cut = drained(serving) => match cut? {
            0 => tracing::info!("stopped"),
            cut => tracing::warn!(cut, "stopped; connections that were still busy have been cut"),
        },
        signal = signals.next() => {
            tracing::warn!(signal, "stopped at once; open requests have been cut");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for all listeners and returns the number of connections that were cut.
async fn drained(mut serving: JoinSet<Drained>) -> Result<usize, JoinError> {
    let mut cut = 0;
    while let Some(ended) = serving.join_next().await {
        cut += ended?.cut;
    }
    Ok(cut)
}

impl Start {
    /// Logs the origin of the configuration and its warnings.
    fn log(&self) {
        tracing::info!("cc-relay {}", env!("CARGO_PKG_VERSION"));
        match &self.origin {
            Origin::File(file) => tracing::info!(file = %file.display(), "configuration"),
            Origin::Demo => {
                tracing::info!("demonstration: mock providers answer, nothing leaves this machine");
            }
            Origin::Environment { found, missing } => {
                tracing::info!("no configuration file; `cc-relay config init` writes one");
                found.iter().for_each(|line| tracing::info!("found {line}"));
                missing.iter().for_each(|line| tracing::info!("for more, {line}"));
            }
        }
        for warning in &self.loaded.warnings {
            tracing::warn!("{warning}");
        }
    }
}

/// Logs the addresses of the relay, and the commands that point Claude Code at it.
fn announce(listeners: &[TcpListener], hints: &[Hint]) -> io::Result<()> {
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    for address in &addresses {
        tracing::info!("listening on http://{address}");
    }
    let Some(first) = addresses.first() else { return Ok(()) };
    let address = listen::as_destination(*first);
    for (index, hint) in hints.iter().enumerate() {
        let start = if index == 0 { "to use it" } else { "or" };
        match hint {
            Hint::Command { .. } => tracing::info!("{start}: {}", hint.command(address)),
            Hint::Unusable(reason) => tracing::warn!("no client can be served: {reason}"),
        }
    }
    Ok(())
}
