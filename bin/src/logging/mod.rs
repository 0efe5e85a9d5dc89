//! The log of the process: level, format and destination.

mod line;
mod output;
mod queue;
mod redact;
mod secret_forms;
mod spans;
mod subscriber;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use relay_config::{LogFormat, LogLevel, LogOutput, LoggingConfig, Secret};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use self::line::{JsonLine, LineFormat, TerminalLine, TextLine};
use self::output::{LogFile, Output};
use self::queue::LogQueue;
pub(crate) use self::queue::{Log, LogSecrets};
pub(crate) use self::redact::Redactor;
use self::subscriber::LineSubscriber;
use crate::output::colours_are_welcome;
use crate::settings::variable;

/// The environment variable with a filter that replaces `logging.level`, such as `warn,relay_server=debug`.
const FILTER: &str = "CC_RELAY_LOG";
/// The prefixes of the log targets of this workspace.
const OURS: [&str; 2] = ["cc_relay", "relay_"];

/// The libraries whose records are not logged, except those of a level. That of Google's flows logs requests and responses with their
/// secrets and tokens. That of the watch logs each event of a directory: if the log file is in it, each record causes the next one. It
/// warns of directories that are gone, as after each update of a ConfigMap, and returns its errors.
const SILENT: [(&str, tracing::Level); 2] =
    [("yup_oauth2", tracing::Level::WARN), ("notify", tracing::Level::ERROR)];

/// An error that prevents logging.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    #[error("{}: cannot open the log file", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("${FILTER}: not a log filter; expected something like `info` or `warn,relay_server=debug`")]
    Filter(#[source] ParseError),
    #[error("cannot start logging")]
    Thread(#[source] io::Error),
    #[error("cannot start logging")]
    Install(#[from] TryInitError),
}

/// Starts logging as `config` demands, panics included, without the `secrets`. Once the returned log is dropped, all lines are
/// written.
pub(crate) fn install(config: &LoggingConfig, secrets: Vec<Secret>) -> Result<(Log, Level), LoggingError> {
    let (output, is_terminal) = open(&config.output)?;
    start(config, secrets, output, is_terminal)
}

/// Starts logging as [`install`] does, to `stream` instead of the output in `config`.
pub(crate) fn install_on(
    config: &LoggingConfig,
    secrets: Vec<Secret>,
    stream: Box<dyn io::Write + Send>,
) -> Result<Log, LoggingError> {
    start(config, secrets, Output::Stream(stream), false).map(|(log, _)| log)
}

fn start(
    config: &LoggingConfig,
    secrets: Vec<Secret>,
    output: Output,
    is_terminal: bool,
) -> Result<(Log, Level), LoggingError> {
    let variable = variable(FILTER).filter(|filter| !filter.is_empty());
    let filter = match &variable {
        Some(filter) => filter.parse().map_err(LoggingError::Filter)?,
        None => filter(config.level),
    };
    let filter = LogFilter(Arc::new(RwLock::new(filter)));
    let level = Level(variable.is_none().then(|| filter.clone()));
    let (queue, log) = LogQueue::start(output).map_err(LoggingError::Thread)?;
    log.secrets().add(secrets);
    let is_pretty = config.pretty.unwrap_or(is_terminal);
    let has_target = config.level == LogLevel::Debug;
    let format: Box<dyn LineFormat> = match config.format {
        LogFormat::Json => Box::new(JsonLine),
        _ if is_pretty => Box::new(TerminalLine::new(colours_are_welcome(), has_target)),
        _ => Box::new(TextLine::new(has_target)),
    };
    LineSubscriber::new(format, queue).with(filter).try_init()?;
    std::panic::set_hook(Box::new(log_panic));
    Ok((log, level))
}

/// The level of the running log, which can be replaced.
#[derive(Clone)]
pub(crate) struct Level(Option<LogFilter>);

impl Level {
    /// A level that has no effect.
    #[cfg(test)]
    pub(crate) fn unused() -> Self {
        Self(None)
    }

    /// Replaces the level. It has no effect if `CC_RELAY_LOG` has set the filter.
    pub(crate) fn replace(&self, level: LogLevel) {
        let Some(LogFilter(targets)) = &self.0 else { return };
        *targets.write().unwrap_or_else(PoisonError::into_inner) = filter(level);
        // The decision of the filter is cached for each place that logs.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// A filter for all events of this workspace at `level` or above, and for warnings of the libraries, which log their own
/// details below that. rustls warns about each handshake that fails, which any client can cause; the relay logs those itself.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("rustls", LevelFilter::ERROR)
        .with_targets(OURS.map(|target| (target, level)))
}

/// The filter of the log, for the whole process: a filter of one layer is looked up each time that a span is entered.
///
/// It never passes the records of [`SILENT`] libraries. No setting allows these: `CC_RELAY_LOG` is set to find faults, and its
/// output is shown to others.
#[derive(Clone)]
struct LogFilter(Arc<RwLock<Targets>>);

impl LogFilter {
    fn targets(&self) -> RwLockReadGuard<'_, Targets> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for LogFilter {
    fn register_callsite(&self, record: &'static Metadata<'static>) -> Interest {
        match is_silent(record) {
            true => Interest::never(),
            false => Layer::<S>::register_callsite(&*self.targets(), record),
        }
    }

    fn enabled(&self, record: &Metadata<'_>, context: Context<'_, S>) -> bool {
        !is_silent(record) && self.targets().enabled(record, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&*self.targets())
    }
}

/// Returns `true` for a record of a [`SILENT`] library.
fn is_silent(record: &Metadata<'_>) -> bool {
    let is_of = |(library, level): (&str, tracing::Level)| {
        let below = record.target().strip_prefix(library);
        *record.level() > level && below.is_some_and(|path| path.is_empty() || path.starts_with("::"))
    };
    SILENT.into_iter().any(is_of)
}

fn open(output: &LogOutput) -> Result<(Output, bool), LoggingError> {
    Ok(match output {
        LogOutput::Stderr => (Output::Stream(Box::new(io::stderr())), io::stderr().is_terminal()),
        LogOutput::File(path) => {
            let file = LogFile::open(path.clone());
            let file = file.map_err(|source| LoggingError::Open { path: path.clone(), source })?;
            (Output::File(file), false)
        }
        _ => (Output::Stream(Box::new(io::stdout())), io::stdout().is_terminal()),
    })
}

/// Writes panics to the log, since a panic is a defect that an operator has to find.
fn log_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let message = info.payload_as_str().unwrap_or("no message");
    tracing::error!(location, backtrace, "panicked: {message}");
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::Event;

    use super::*;

    /// A layer that collects the level and the target of each event.
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let metadata = event.metadata();
            self.0.lock().unwrap().push(format!("{} {}", metadata.level(), metadata.target()));
        }
    }

    #[test]
    fn the_level_is_replaced_for_places_that_have_logged_before() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let targets = LogFilter(Arc::new(RwLock::new(filter(LogLevel::Info))));
        let level = Level(Some(targets.clone()));
        let log = tracing_subscriber::registry().with(targets).with(Seen(Arc::clone(&seen)));
        tracing::subscriber::with_default(log, || {
            let log = || {
                tracing::debug!(target: "relay_server", "detail");
                tracing::warn!(target: "hyper", "library");
            };
            log();
            level.replace(LogLevel::Debug);
            log();
            level.replace(LogLevel::Error);
            log();
        });
        assert_eq!(*seen.lock().unwrap(), ["WARN hyper", "DEBUG relay_server", "WARN hyper"]);
    }

    #[test]
    fn records_with_secrets_are_not_enabled_by_any_filter() {
        #[track_caller]
        fn check(directives: &str, expected: &[&str]) {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let filter: Targets = directives.parse().unwrap();
            let log = tracing_subscriber::registry()
                .with(LogFilter(Arc::new(RwLock::new(filter))))
                .with(Seen(Arc::clone(&seen)));
            tracing::subscriber::with_default(log, || {
                tracing::warn!(target: "yup_oauth2", "library");
                tracing::info!(target: "yup_oauth2", "library");
                tracing::debug!(target: "yup_oauth2::service_account", "service_account");
                tracing::error!(target: "yup_oauth2::service_account", "service_account");
                tracing::trace!(target: "yup_oauth2::refresh", "refresh");
                tracing::trace!(target: "notify::inotify", "event");
                tracing::warn!(target: "notify::inotify", "gone");
                tracing::debug!(target: "yup_oauth2_of_another", "another");
                tracing::debug!(target: "relay_providers", "relay");
            });
            assert_eq!(*seen.lock().unwrap(), expected, "{directives}");
        }
        let all = [
            "WARN yup_oauth2",
            "ERROR yup_oauth2::service_account",
            "DEBUG yup_oauth2_of_another",
            "DEBUG relay_providers",
        ];
        check("trace", &all);
        check("trace,yup_oauth2=trace,yup_oauth2::service_account=debug,yup_oauth2::refresh=trace", &all);
        check("yup_oauth2=info", &["WARN yup_oauth2", "ERROR yup_oauth2::service_account"]);
        check("yup_oauth2=error", &["ERROR yup_oauth2::service_account"]);
        check("off", &[]);
    }
}
