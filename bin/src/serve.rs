//! `cc-relay serve`: runs the relay until a signal stops it.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use relay_admin::api::{Admin, MetricsSite, Reload};
use relay_admin::metrics::Reloads;
use relay_admin::prices::PriceError;
use relay_config::{AdminConfig, Config, ListenAddress, MetricsConfig, ServerConfig};
use relay_messages::ErrorChain;
use relay_server::{BoundAddress, BuildError, Drained, Listener, ListenerTlsError, Reloadable, Stop};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};

use crate::accounting::Accounting;
use crate::cli::Settings;
use crate::client_hint::{self, Hint};
use crate::client_listeners;
use crate::compose;
use crate::inheritance::Inheritance;
use crate::lifecycle::{End, Lifecycle};
use crate::listen::{self, ListenError};
use crate::listener_certificate::ListenerCertificate;
use crate::logging::{self, Level, Log, LoggingError};
use crate::notify::Notifier;
use crate::observers::{Observers, ProcessParts};
use crate::reload::{self, Reloader, Source, Targets};
use crate::settings::{self, Origin, SettingsError, Start};
use crate::signals::Signals;
use crate::sockets::{Service, Sockets};
use crate::traces::{Export, ExportError};
#[cfg(unix)]
use crate::{handover::ReceiveError, inheritance::InheritanceError};

/// An error that prevents the relay from running, or ends it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Logging(#[from] LoggingError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Tls(#[from] ListenerTlsError),
    #[error(transparent)]
    Price(#[from] PriceError),
    #[error("cannot start the threads of the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot read the port that the system chose")]
    LocalAddress(#[source] io::Error),
    #[error(transparent)]
    Traces(#[from] ExportError),
    #[cfg(unix)]
    #[error(transparent)]
    Inheritance(#[from] InheritanceError),
    #[cfg(unix)]
    #[error(transparent)]
    HandOver(#[from] ReceiveError),
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
    // Every record has reached the queue of the ledger by now.
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
    Parts { source, inheritance, signals, level }: Parts,
    accounting: &Accounting,
    log: &Log,
) -> Result<ExitCode, ServeError> {
    let mut sockets = inheritance.sockets;
    let config = start.loaded.config.clone();
    let tls = client_listeners::load_tls(&config.server)?;
    client_listeners::log_tls_warnings(tls.as_ref());
    let shown = Shown {
        admin: bind_admin(&config.admin, &mut sockets).await?,
        metrics: bind_metrics(&config.metrics, &mut sockets).await?,
    };
    let (has_admin, reloads) = (!shown.admin.is_empty(), Reloads::new());
    let observers = Observers::new(&config, has_admin, accounting.clone(), log.dropped(), Some(&reloads));
    let traces = Export::start()?;
    let relay = Reloadable::new(compose::relay(config.clone(), Some(&observers), Some(&traces))?);
    let listeners = client_listeners::bind(&config.server, tls.as_ref(), &mut sockets).await?;
    let hints = client_hint::of(&config);
    let addresses = listeners.iter().map(Listener::local_addr).collect::<io::Result<Vec<_>>>();
    let addresses = addresses.map_err(ServeError::LocalAddress)?;
    announce(&addresses, tls.is_some(), &hints);
    let (prices, secrets) = (accounting.prices.clone(), log.secrets());
    let targets = Targets { relay: relay.clone(), prices, secrets, reloads, level };
    let notifier = Notifier::from_environment();
    let reloader = Reloader::new(settings.clone(), source, &start.loaded, targets);
    let reloader = reloader.with_hooks(notifier.clone());
    let reloader = Arc::new(match tls.clone() {
        Some(tls) => reloader.with_part(ListenerCertificate::new(tls)),
        None => reloader,
    });
    let client_command = client_command(&addresses, tls.is_some(), &hints);

    let hang_up = Arc::new(Notify::new());
    let mut lifecycle = Lifecycle::new(signals, log, Arc::clone(&hang_up), sockets);
    #[cfg(unix)]
    if let Some(predecessor) = inheritance.predecessor {
        predecessor.report_ready().await?;
    }
    let (stop, stop_observers) = (watch::Sender::new(None), watch::Sender::new(false));
    let mut serving = JoinSet::new();
    for listener in listeners {
        serving.spawn(relay_server::serve_until(listener, relay.clone(), stop_of(stop.subscribe())));
    }
    let observing =
        shown.serve(observers, relay.clone(), &config, &reloader, client_command, &stop_observers)?;
    tokio::spawn(reload::run(reloader, hang_up));
    notifier.ready(&format!("listening on {}", shown_addresses(&addresses, tls.is_some())));
    tokio::spawn(notifier.clone().keep_alive());
    let end = tokio::select! {
        end = lifecycle.end() => Some(end),
        // Before the stop, a listener ends only by a panic.
        Some(ended) = serving.join_next() => { ended?; None }
    };
    let is_replaced = !matches!(end, Some(End::Signal(_)) | None);
    match end {
        None => drop(stop.send_replace(Some(Stop::Close))),
        Some(End::Signal(signal)) => {
            log_stop(signal, &relay.relay().config().server);
            notifier.stopping("draining: open requests may finish");
            stop.send_replace(Some(Stop::Close));
        }
        #[cfg(unix)]
        Some(End::Replaced(successor)) => {
            let (pid, limit) = (successor.pid(), relay.relay().config().server.drain_timeout);
            tracing::info!(pid, ?limit, "handed over to a new process; open requests may finish");
            stop.send_replace(Some(Stop::HandOver));
            // The new process has state of its own.
            stop_observers.send_replace(true);
            lifecycle.replace(successor, &notifier).await;
        }
    }
    let ended = async {
        let cut = drained(serving).await?;
        // Until here an operator can watch.
        stop_observers.send_replace(true);
        drained(observing).await?;
        traces.shutdown().await;
        Ok::<_, JoinError>(cut)
    };
    tokio::select! {
        cut = ended => match cut? {
            0 => tracing::info!("stopped"),
            cut => tracing::warn!(cut, "stopped; connections that were still busy have been cut"),
        },
        signal = lifecycle.second_signal(is_replaced) => {
            tracing::warn!(signal, "stopped at once; open requests have been cut");
            return Ok(ExitCode::FAILURE);
        }
        () = notifier.extend_stop() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The services of the admin listener, for the log.
const ADMIN: &str = if cfg!(feature = "dashboard") { "dashboard and admin" } else { "admin" };

/// The listeners that show the observers.
struct Shown {
    admin: Vec<Listener>,
    metrics: Vec<Listener>,
}

impl Shown {
    /// Serves the observers on the listeners until `stop` is true.
    fn serve(
        self,
        observers: Observers,
        relay: Reloadable,
        config: &Config,
        reloader: &Arc<Reloader>,
        client_command: Option<String>,
        stop: &watch::Sender<bool>,
    ) -> Result<JoinSet<Drained>, ServeError> {
        let mut serving = JoinSet::new();
        if let Some(site) = observers.metrics_site(&relay, config).filter(|_| !self.metrics.is_empty()) {
            announce_also("metrics", &self.metrics, &config.metrics.path)?;
            let (site, stop) = (Arc::new(site), is_set(stop.subscribe()));
            reloader.set_metrics(&site);
            serving.spawn(async move {
                relay_admin::serve::serve_metrics(self.metrics, MetricsSite::clone(&site), stop).await
            });
        }
        let process = ProcessParts { reload: Arc::clone(reloader) as Arc<dyn Reload>, client_command };
        if let Some(admin) = observers.admin(relay, config, process) {
            announce_also(ADMIN, &self.admin, "")?;
            let (admin, stop) = (Arc::new(admin), is_set(stop.subscribe()));
            reloader.set_admin(&admin);
            serving.spawn(
                async move { relay_admin::serve::serve(self.admin, Admin::clone(&admin), stop).await },
            );
        }
        Ok(serving)
    }
}

/// Waits for a stop.
async fn stop_of(mut stop: watch::Receiver<Option<Stop>>) -> Stop {
    // An error means that the sender is gone, which is a reason to stop as well.
    stop.wait_for(Option::is_some).await.ok().and_then(|stop| *stop).unwrap_or(Stop::Close)
}

/// Waits until the value is `true`.
async fn is_set(mut value: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a reason to stop as well.
    let _ = value.wait_for(|value| *value).await;
}

/// Binds the admin listener if it is enabled. If its address was not chosen and cannot be used, the relay runs without it.
async fn bind_admin(admin: &AdminConfig, sockets: &mut Sockets) -> Result<Vec<Listener>, ListenError> {
    if !admin.enabled {
        return Ok(Vec::new());
    }
    match bind_with_given(std::slice::from_ref(&admin.listen), Service::Admin, sockets).await {
        Err(ListenError::InUse { address, .. }) if !admin.is_explicit => {
            tracing::warn!(
                "{address} is in use, perhaps by another cc-relay: this one runs without metrics, admin API and dashboard; \
                 admin.listen chooses another address"
            );
            Ok(Vec::new())
        }
        Err(error) if !admin.is_explicit => {
            tracing::warn!(error = %ErrorChain(&error), "the relay runs without metrics, admin API and dashboard");
            Ok(Vec::new())
        }
        result => result,
    }
}

/// Binds the listener that serves the metrics alone, if there is one.
async fn bind_metrics(metrics: &MetricsConfig, sockets: &mut Sockets) -> Result<Vec<Listener>, ListenError> {
    match metrics.listen.as_ref().filter(|_| metrics.enabled) {
        Some(address) => bind_with_given(std::slice::from_ref(address), Service::Metrics, sockets).await,
        None => Ok(Vec::new()),
    }
}

/// Opens the addresses of a service, and uses all further sockets that a service manager has opened for it.
async fn bind_with_given(
    addresses: &[ListenAddress],
    service: Service,
    sockets: &mut Sockets,
) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = listen::bind(addresses, service, sockets).await?;
    listeners.extend(sockets.take_given(service)?);
    Ok(listeners)
}

fn log_stop(signal: &str, server: &ServerConfig) {
    let (delay, limit) = (server.drain_delay, server.drain_timeout);
    if delay.is_zero() {
        tracing::info!(signal, ?limit, "draining: open requests may finish; a second signal ends at once");
    } else {
        tracing::info!(
            signal,
            ?delay,
            ?limit,
            "draining after a delay, in which requests are still served and /readyz answers 503; a second signal ends \
             at once"
        );
    }
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
    /// The source for later reloads. `before` is that of the file, before it was read.
    fn source(&self, before: Option<Source>) -> Source {
        match &self.origin {
            Origin::File(file) => before.unwrap_or_else(|| Source::file(file)),
            Origin::Demo => Source::none("the relay was started with --demo"),
            Origin::Environment { .. } => Source::none(
                "the relay was started without a configuration file; `cc-relay config init` writes one, which is used from the \
                 next start on",
            ),
        }
    }

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

/// Returns the simplest command that points Claude Code at the relay. `None` if it listens on Unix sockets only.
fn client_command(addresses: &[BoundAddress], has_tls: bool, hints: &[Hint]) -> Option<String> {
    let url = addresses.iter().find_map(|address| client_listeners::url(address, has_tls))?;
    let hint = hints.iter().find(|hint| matches!(hint, Hint::Command { .. }))?;
    Some(hint.command(&url))
}

/// Returns the addresses of the relay in one line.
fn shown_addresses(addresses: &[BoundAddress], has_tls: bool) -> String {
    let shown: Vec<_> = addresses.iter().map(|address| client_listeners::shown(address, has_tls)).collect();
    shown.join(", ")
}

/// Logs the addresses of the relay, and the commands that point Claude Code at it.
fn announce(addresses: &[BoundAddress], has_tls: bool, hints: &[Hint]) {
    for address in addresses {
        tracing::info!("listening on {}", client_listeners::shown(address, has_tls));
    }
    let Some(url) = addresses.iter().find_map(|address| client_listeners::url(address, has_tls)) else {
        tracing::info!(
            "Claude Code needs a proxy in front of a Unix socket, or a further address in server.listen"
        );
        return;
    };
    for (index, hint) in hints.iter().enumerate() {
        let start = if index == 0 { "to use it" } else { "or" };
        match hint {
            Hint::Command { .. } => tracing::info!("{start}: {}", hint.command(&url)),
            Hint::Unusable(reason) => tracing::warn!("no client can be served: {reason}"),
        }
    }
}

/// Logs the addresses of a further service.
fn announce_also(service: &str, listeners: &[Listener], path: &str) -> Result<(), ServeError> {
    for listener in listeners {
        let address = listener.local_addr().map_err(ServeError::LocalAddress)?;
        tracing::info!("{service} on http://{address}{path}");
    }
    Ok(())
}
