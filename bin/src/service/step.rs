//! The calls of the service manager's program.

use std::fmt;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::error::ServiceError;
use crate::output::printable;

/// The pause between two attempts of a step that is repeated.
const PAUSE: Duration = Duration::from_millis(500);

/// One call of `systemctl` or `launchctl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    program: &'static str,
    arguments: Vec<String>,
    /// A failure does not matter, such as that of stopping a service that does not run.
    is_optional: bool,
    /// The time during which a failed call is repeated.
    patience: Duration,
}

impl Step {
    pub(super) fn new(program: &'static str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { program, arguments, is_optional: false, patience: Duration::ZERO }
    }

    pub(super) fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    pub(super) fn repeated_for(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs the command and returns its standard output.
    ///
    /// # Errors
    /// [`ServiceError::NoManager`] if there is no such program, [`ServiceError::Command`] if it fails.
    pub(super) fn run(&self) -> Result<String, ServiceError> {
        let start = Instant::now();
        loop {
            match self.run_once() {
                Err(ServiceError::Command { .. }) if self.is_optional => return Ok(String::new()),
                Err(ServiceError::Command { .. }) if start.elapsed() < self.patience => {
                    std::thread::sleep(PAUSE);
                }
                result => return result,
            }
        }
    }

    fn run_once(&self) -> Result<String, ServiceError> {
        let output = Command::new(self.program).args(&self.arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                let manager = if self.program == "launchctl" { "launchd" } else { "systemd" };
                ServiceError::NoManager { program: self.program, manager }
            }
            _ => ServiceError::Spawn { program: self.program, source },
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let message = String::from_utf8_lossy(&output.stderr);
        let message = printable(&message.trim().replace('\n', "; "));
        Err(ServiceError::Command { command: self.to_string(), message })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.arguments.join(" "))
    }
}
