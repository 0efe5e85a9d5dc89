//! `cc-relay serve`: runs the relay until a signal stops it.
//!
//! ```text
//! Inheritance, Start ─▶ listeners, observers, relay ─▶ Running ─signal, or a new process─▶ wind down ─▶ exit code
//! ```

mod announce;
mod error;
mod running;
mod shown;
mod start;

use std::process::ExitCode;
use std::sync::Arc;

use relay_admin::api::ClientCommand;
use relay_admin::metrics::Reloads;
use relay_messages::ErrorChain;
use relay_server::Reloadable;
use tokio::sync::Notify;

pub(crate) use self::error::ServeError;
use self::running::Running;
use self::shown::Shown;
use crate::accounting::Accounting;
use crate::cli::Settings;
use crate::client_listeners::Addresses;
use crate::inheritance::Inheritance;
use crate::lifecycle::Lifecycle;
use crate::listener_certificate::ListenerCertificate;
use crate::listener_group::ListenerGroup;
use crate::logging::{self, Level, Log};
use crate::notify::Notifier;
use crate::observers::Observers;
use crate::reload::{self, Reloader, Source, Targets};
use crate::settings::{self, Origin, Start};
use crate::signals::Signals;
use crate::traces::Export;
use crate::{client_hint, client_listeners, compose};

/// Runs the relay until a signal stops it. The exit code is 0 if the open requests have ended or been cut after the
/// first signal, and 1 if a second signal has ended the process.
#[cfg(unix)]
pub(crate) fn serve(settings: &Settings) -> Result<ExitCode, ServeError> {
    let mut settings = settings.clone();
    let inheritance = Inheritance::take(&mut settings)?;
    let predecessor = inheritance.predecessor.as_ref().and_then(|predecessor| predecessor.try_clone().ok());
    let ended = serve_with(&settings, inheritance);
    if let (Some(mut predecessor), Err(error)) = (predecessor, &ended) {
        predecessor.report_failure(&ErrorChain(error).to_string());
    }
    ended
}

#[cfg(not(unix))]
pub(crate) fn serve(settings: &Settings) -> Result<ExitCode, ServeError> {
    serve_with(settings, Inheritance::default())
}

fn serve_with(settings: &Settings, inheritance: Inheritance) -> Result<ExitCode, ServeError> {
    // Before the file is read: a change in the meantime is noticed afterwards.
    let source = settings::file(settings).ok().flatten().map(|file| Source::file(&file));
    let start = Start::read(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(ServeError::Runtime)?;
    // Before the first line of the log, which an operator may take for the sign that the process runs.
    let signals = runtime.block_on(async { Signals::new() }).map_err(ServeError::Signals)?;
    let config = &start.loaded.config;
    let (log, level) = logging::install(&config.logging, config.secrets())?;
    start.log();
    let accounting = Accounting::start(&start.loaded.config, matches!(start.origin, Origin::Demo))?;
    let source = start.source(source);
    let parts = Parts { source, inheritance, signals, level };
    let ended = runtime.block_on(run(settings, start, parts, &accounting, &log));
    // Every record has reached the backlog by now.
    accounting.close();
    // A thread may still be resolving a name. Its result is no longer needed.
    runtime.shutdown_background();
    ended
}

/// The parts of the process that exist before its runtime runs.
struct Parts {
    source: Source,
    inheritance: Inheritance,
    signals: Signals,
    level: Level,
}

async fn run(
    settings: &Settings,
    start: Start,
    #[cfg_attr(not(unix), allow(unused_mut))] Parts { source, inheritance, mut signals, level }: Parts,
    accounting: &Accounting,
    log: &Log,
) -> Result<ExitCode, ServeError> {
    let mut sockets = inheritance.sockets;
    let config = start.loaded.config.clone();
    let tls = client_listeners::load_tls(&config.server)?;
    client_listeners::log_tls_warnings(tls.as_ref());
    let shown = Shown::bind(&config, &mut sockets).await?;
    let reloads = Reloads::new();
    let observers =
        Observers::new(&config, shown.has_admin(), accounting.clone(), log.dropped(), Some(&reloads));
    let traces = Export::start()?;
    let relay = Reloadable::new(compose::relay(config.clone(), Some(&observers), Some(&traces))?);
    let listeners = client_listeners::bind(&config.server, tls.as_ref(), &mut sockets).await?;
    let addresses = Addresses::of(&listeners, tls.is_some()).map_err(ServeError::LocalAddress)?;
    announce::announce(&addresses, &config);
    let (prices, secrets) = (accounting.prices.clone(), log.secrets());
    let targets = Targets { relay: relay.clone(), prices, secrets, reloads, level };
    let notifier = Notifier::from_environment();
    let reloader = Reloader::new(settings.clone(), source, &start.loaded, targets);
    let reloader = reloader.with_hooks(notifier.clone());
    let reloader = Arc::new(match tls {
        Some(tls) => reloader.with_part(ListenerCertificate::new(tls)),
        None => reloader,
    });

    #[cfg(unix)]
    let predecessor = match inheritance.predecessor {
        Some(predecessor) => {
            let ready = predecessor.ready(&mut signals).await?;
            sockets.remove_files_at_end();
            Some(ready)
        }
        None => None,
    };
    let clients = ListenerGroup::of_relay(listeners, &relay);
    let command = addresses
        .url()
        .map(|url| -> ClientCommand { Arc::new(move |config| client_hint::command(config, &url)) });
    let observers = shown.serve(observers, relay.clone(), &config, &reloader, command)?;
    let hang_up = Arc::new(Notify::new());
    tokio::spawn(reload::run(reloader, Arc::clone(&hang_up)));
    let lifecycle = Lifecycle::new(signals, log, hang_up, sockets);
    #[cfg(unix)]
    if let Some(predecessor) = predecessor {
        predecessor.report_serving().await;
    }
    notifier.ready(&format!("listening on {}", addresses.shown().collect::<Vec<_>>().join(", ")));
    tokio::spawn(notifier.clone().keep_alive());
    Running { relay, lifecycle, notifier, traces, clients, observers }.until_end().await
}
