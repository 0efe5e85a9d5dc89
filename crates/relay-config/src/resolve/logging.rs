//! Resolves the `logging` section.

use std::path::Path;

use crate::config::{DebugOptions, LogFormat, LogLevel, LogOutput, LoggingConfig};
use crate::error::Fault;
use crate::raw;
use crate::resolve::reporter::Reporter;
use crate::tree::KeyPath;

/// Refuses a path that cannot be a file.
fn check_output(output: &Path, path: &KeyPath, to: &mut Reporter<'_>) {
    if !to.check_path(output, path) && output.is_dir() {
        let reason = "it is a directory; give the path of a file, or stdout or stderr".to_owned();
        to.problem(path, Fault::File { path: output.to_owned(), reason });
    }
}

pub(super) fn resolve(raw: raw::Logging, path: &KeyPath, to: &mut Reporter<'_>) -> LoggingConfig {
    if let Some(output) = &raw.output {
        check_output(Path::new(output), &path.key("output"), to);
    }
    let default = LoggingConfig::default();
    let debug = raw.debug_options;
    LoggingConfig {
        level: match raw.level {
            Some(raw::LogLevel::Debug) => LogLevel::Debug,
            Some(raw::LogLevel::Info) => LogLevel::Info,
            Some(raw::LogLevel::Warn) => LogLevel::Warn,
            Some(raw::LogLevel::Error) => LogLevel::Error,
            None => default.level,
        },
        format: match raw.format {
            Some(raw::LogFormat::Text) => LogFormat::Text,
            Some(raw::LogFormat::Json) => LogFormat::Json,
            None => default.format,
        },
        output: match raw.output.as_deref() {
            Some("stdout") => LogOutput::Stdout,
            Some("stderr") => LogOutput::Stderr,
            Some(path) => LogOutput::File(path.into()),
            None => default.output,
        },
        pretty: raw.pretty,
        debug: DebugOptions {
            log_request_body: debug.log_request_body.unwrap_or(default.debug.log_request_body),
            log_response_headers: debug.log_response_headers.unwrap_or(default.debug.log_response_headers),
            max_body_log_size: debug.max_body_log_size.map_or(default.debug.max_body_log_size, |bytes| {
                usize::try_from(bytes).unwrap_or(usize::MAX)
            }),
        },
    }
}
