//! `logging` in the file.

use schemars::JsonSchema;
use serde::Deserialize;

/// What is logged, how, and where to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Logging {
    /// Least severe level that is logged.
    #[schemars(extend("default" = "info"))]
    pub(crate) level: Option<LogLevel>,
    /// The shape of a log line.
    #[schemars(extend("default" = "text"))]
    pub(crate) format: Option<LogFormat>,
    /// `stdout`, `stderr`, or a file that is appended to.
    #[schemars(length(min = 1), extend("default" = "stdout"))]
    pub(crate) output: Option<String>,
    /// Colours and aligned text. By default where the output is a terminal.
    pub(crate) pretty: Option<bool>,
    /// Further detail at level debug.
    pub(crate) debug_options: DebugOptions,
}

/// Least severe level that is logged.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator wants to see.
    Info,
    /// What may need attention.
    Warn,
    /// What failed.
    Error,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One line of text for each event.
    Text,
    /// One JSON object for each event.
    Json,
}

/// Further detail at level debug.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct DebugOptions {
    /// Log the start of request bodies, redacted before they are cut.
    #[schemars(extend("default" = false))]
    pub(crate) log_request_body: Option<bool>,
    /// Log upstream response headers.
    #[schemars(extend("default" = false))]
    pub(crate) log_response_headers: Option<bool>,
    /// Log TLS handshakes.
    log_tls_metrics: Option<bool>,
    /// Bytes of a body that are logged.
    #[schemars(range(min = 0, max = 1_048_576), extend("default" = 1_000))]
    pub(crate) max_body_log_size: Option<u64>,
}
