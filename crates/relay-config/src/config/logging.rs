//! `logging`: what is logged, how, and where to.

use std::path::PathBuf;

/// What is logged, how, and where to.
#[derive(Debug, Clone, Default)]
pub struct LoggingConfig {
    /// Least severe level that is logged. Default info.
    pub level: LogLevel,
    /// Text for people, JSON for machines. Default text.
    pub format: LogFormat,
    /// Default standard output.
    pub output: LogOutput,
    /// Colours and aligned text; `None` asks whether the output is a terminal.
    pub pretty: Option<bool>,
    /// Further detail, off by default.
    pub debug: DebugOptions,
}

/// A log level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator wants to see.
    #[default]
    Info,
    /// What may need attention.
    Warn,
    /// What failed.
    Error,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// Where log lines go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file.
    File(PathBuf),
}

/// What `logging.debug_options` adds at level debug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugOptions {
    /// Log the start of request bodies, redacted before they are cut.
    pub log_request_body: bool,
    /// Log upstream response headers.
    pub log_response_headers: bool,
    /// Bytes of a body that are logged. Default 1000.
    pub max_body_log_size: usize,
}

impl Default for DebugOptions {
    fn default() -> Self {
        Self { log_request_body: false, log_response_headers: false, max_body_log_size: 1000 }
    }
}
