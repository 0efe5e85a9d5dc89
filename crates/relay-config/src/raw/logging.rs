//! The `logging` section of the file.

use schemars::JsonSchema;
use serde::Deserialize;

/// The log of the process: its level, its format and its destination.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Logging {
    /// The least severe level that is written: `debug`, `info`, `warn` or `error`. Default `info`.
    #[schemars(extend("default" = "info"))]
    pub(crate) level: Option<LogLevel>,
    /// The format of a log line: `text` for readers, `json` for machines. Default `text`.
    #[schemars(extend("default" = "text"))]
    pub(crate) format: Option<LogFormat>,
    /// The destination: `stdout`, `stderr`, or the path of a file that lines are appended to. Default `stdout`.
    #[schemars(length(min = 1), extend("default" = "stdout"))]
    pub(crate) output: Option<String>,
    /// Write colours and aligned text. Default: true if the output is a terminal.
    pub(crate) pretty: Option<bool>,
    /// Additional detail, which is written at level `debug` only.
    pub(crate) debug_options: DebugOptions,
}

/// The least severe level that is written.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// Every event, for diagnosing the relay itself.
    Debug,
    /// Events of normal operation, such as one line for each request.
    Info,
    /// Events that may need an operator's attention.
    Warn,
    /// Failures only.
    Error,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One line of text for each event.
    Text,
    /// One JSON object for each event.
    Json,
}

/// Additional detail, which is written at level `debug` only.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub(crate) struct DebugOptions {
    /// Log the first bytes of request bodies. Secrets are redacted before the body is cut. Default false.
    #[schemars(extend("default" = false))]
    pub(crate) log_request_body: Option<bool>,
    /// Log the response headers of upstreams. Default false.
    #[schemars(extend("default" = false))]
    pub(crate) log_response_headers: Option<bool>,
    /// Log the duration and parameters of TLS handshakes.
    log_tls_metrics: Option<bool>,
    /// Bytes of each request body that are logged with `log_request_body`. Default 1000.
    #[schemars(range(min = 0, max = 1_048_576), extend("default" = 1_000))]
    pub(crate) max_body_log_size: Option<u64>,
}
