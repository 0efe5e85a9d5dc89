//! The `logging` settings: level, format and destination.

use std::path::PathBuf;

/// The log of the process.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct LoggingConfig {
    /// The least severe level that is written. Default info.
    pub level: LogLevel,
    /// The format of a line: text for readers, JSON for machines. Default text.
    pub format: LogFormat,
    /// The destination. Default standard output.
    pub output: LogOutput,
    /// Colours and aligned text; `None` enables them if the output is a terminal.
    pub pretty: Option<bool>,
    /// Additional detail at level debug, off by default.
    pub debug: DebugOptions,
}

/// The severity of a log event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogLevel {
    /// Every event, for diagnosing the relay itself.
    Debug,
    /// Events of normal operation, such as one line for each request.
    #[default]
    Info,
    /// Events that may need an operator's attention.
    Warn,
    /// Failures only.
    Error,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// One line of text for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// The destination of log lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogOutput {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that lines are appended to.
    File(PathBuf),
}

/// The additional detail of `logging.debug_options`, at level debug only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DebugOptions {
    /// Logs the first bytes of request bodies, redacted before they are cut.
    pub log_request_body: bool,
    /// Logs the response headers of upstreams.
    pub log_response_headers: bool,
    /// The number of bytes of each request body that are logged. Default 1000.
    pub max_body_log_size: usize,
}

impl Default for DebugOptions {
    fn default() -> Self {
        Self { log_request_body: false, log_response_headers: false, max_body_log_size: 1000 }
    }
}
