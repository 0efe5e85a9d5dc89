//! The log of the process: level, format and destination.

mod output;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::path::PathBuf;

use relay_config::{LogFormat, LogLevel, LogOutput, LoggingConfig};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use self::output::{LogFile, Output};
pub(crate) use self::queue::Log;
use self::queue::LogQueue;
use crate::output::colours_are_welcome;
use crate::settings::variable;

/// The environment variable with a filter that replaces `logging.level`, such as `warn,relay_server=debug`.
const FILTER: &str = "CC_RELAY_LOG";
/// The prefixes of the log targets of this workspace.
const OURS: [&str; 2] = ["cc_relay", "relay_"];

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

/// Starts logging as `config` demands, panics included. Once the returned value is dropped, all lines are written.
pub(crate) fn install(config: &LoggingConfig) -> Result<Log, LoggingError> {
    let filter = match variable(FILTER).filter(|filter| !filter.is_empty()) {
        Some(filter) => filter.parse().map_err(LoggingError::Filter)?,
        None => filter(config.level),
    };
    let (output, is_terminal) = open(&config.output)?;
    let (queue, log) = LogQueue::start(output).map_err(LoggingError::Thread)?;
    let layer = tracing_subscriber::fmt::layer().with_writer(queue);
    let layer = match config.format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => {
            let colours = config.pretty.unwrap_or(is_terminal) && colours_are_welcome();
            layer.with_ansi(colours).with_target(config.level == LogLevel::Debug).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(log)
}

/// A filter for all events of this workspace at `level` or above, and for warnings of the libraries, which log their own
/// details below that.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(OURS.map(|target| (target, level)))
}

fn open(output: &LogOutput) -> Result<(Output, bool), LoggingError> {
    Ok(match output {
        LogOutput::Stdout => (Output::Stream(Box::new(io::stdout())), io::stdout().is_terminal()),
        LogOutput::Stderr => (Output::Stream(Box::new(io::stderr())), io::stderr().is_terminal()),
        LogOutput::File(path) => {
            let file = LogFile::open(path.clone());
            let file = file.map_err(|source| LoggingError::Open { path: path.clone(), source })?;
            (Output::File(file), false)
        }
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
