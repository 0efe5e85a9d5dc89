//! The result of one check.

use std::time::{Duration, SystemTime};

use relay_config::write_rfc3339;

/// The verdict of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing is wrong.
    Ok,
    /// Requests can succeed, and something deserves attention.
    Warn,
    /// Requests fail.
    Fail,
    /// The check was not made.
    Skip,
}

impl Mark {
    /// The name in outputs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// The subject, such as `dns`.
    pub(super) name: &'static str,
    pub(super) mark: Mark,
    /// The result in one line.
    pub(super) text: String,
    /// The way to resolve a warning or a failure.
    pub(super) fix: Option<String>,
    /// The time of the checked step.
    pub(super) time: Option<Duration>,
}

impl Check {
    fn new(name: &'static str, mark: Mark, text: impl Into<String>, fix: Option<String>) -> Self {
        Self { name, mark, text: text.into(), fix, time: None }
    }

    pub(super) fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Mark::Ok, text, None)
    }

    pub(super) fn warn(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(name, Mark::Warn, text, Some(fix.into()))
    }

    pub(super) fn fail(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(name, Mark::Fail, text, Some(fix.into()))
    }

    pub(super) fn skip(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Mark::Skip, text, None)
    }

    pub(super) fn with_time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }
}

/// The checks of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The subject, such as `configuration` or `provider`.
    pub(super) name: &'static str,
    /// The name of the provider, if the group is about one.
    pub(super) provider: Option<String>,
    /// Further facts of the subject, such as the kind and the URL of a provider.
    pub(super) detail: String,
    pub(super) checks: Vec<Check>,
}

impl Group {
    pub(super) fn new(name: &'static str, checks: Vec<Check>) -> Self {
        Self { name, provider: None, detail: String::new(), checks }
    }
}

/// Returns a time in RFC 3339, in UTC.
pub(super) fn written(time: SystemTime) -> String {
    let mut text = String::new();
    // A string accepts every text.
    let _ = write_rfc3339(&mut text, time);
    text
}
