//! The service manager of the system: systemd on Linux, launchd on macOS.

use std::path::PathBuf;

use super::environment::{absolute, config_home};
use super::error::ServiceError;
use super::scope::{Invocation, Scope, State};
use super::step::Step;
use super::{launchd, systemd};

/// A program that starts services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Systemd,
    Launchd,
}

/// The service of the relay on this system.
#[derive(Debug)]
pub(super) struct Service {
    manager: Manager,
    pub(super) scope: Scope,
    /// The unit file or property list.
    pub(super) path: PathBuf,
}

impl Service {
    pub(super) fn new(scope: Scope) -> Result<Self, ServiceError> {
        let (manager, path) = if cfg!(target_os = "macos") {
            (Manager::Launchd, launchd::path(scope, absolute("HOME")))
        } else if cfg!(target_os = "linux") {
            (Manager::Systemd, systemd::path(scope, config_home()))
        } else {
            return Err(ServiceError::Unsupported);
        };
        Ok(Self { manager, scope, path: path.ok_or(ServiceError::NoHome)? })
    }

    /// Returns the text of the file.
    pub(super) fn text(&self, invocation: &Invocation) -> Result<String, ServiceError> {
        match self.manager {
            Manager::Systemd => systemd::unit(self.scope, invocation),
            Manager::Launchd => launchd::plist(self.scope, invocation, absolute("HOME").as_deref()),
        }
    }

    /// Returns the configuration that the file names.
    pub(super) fn config_of(&self, text: &str) -> Option<PathBuf> {
        match self.manager {
            Manager::Systemd => systemd::config_of(text),
            Manager::Launchd => launchd::config_of(text),
        }
    }

    /// The file with the variables of the service. launchd has none.
    pub(super) fn environment_file(&self) -> Option<PathBuf> {
        match (self.manager, self.scope) {
            (Manager::Launchd, _) => None,
            (Manager::Systemd, Scope::System) => Some("/etc/cc-relay/environment".into()),
            (Manager::Systemd, Scope::User) => Some(config_home()?.join("cc-relay/environment")),
        }
    }

    /// Checks that the service manager can be reached.
    pub(super) fn probe(&self) -> Result<(), ServiceError> {
        if self.manager == Manager::Launchd {
            return Ok(());
        }
        systemd::probe(self.scope).run().map(drop).map_err(|error| match (error, self.scope) {
            (ServiceError::Command { command, message }, Scope::User) => {
                ServiceError::NoSession { command, message }
            }
            (error, _) => error,
        })
    }

    /// The calls after the file was written. `is_changed` is true if it replaced another text.
    pub(super) fn start(&self, is_changed: bool) -> Result<Vec<Step>, ServiceError> {
        Ok(match self.manager {
            Manager::Systemd => systemd::start(self.scope, is_changed),
            Manager::Launchd => launchd::start(&self.domain()?, &self.path, is_changed),
        })
    }

    /// The calls before the file is removed, and the calls after it.
    pub(super) fn stop(&self) -> Result<(Vec<Step>, Vec<Step>), ServiceError> {
        Ok(match self.manager {
            Manager::Systemd => systemd::stop(self.scope),
            Manager::Launchd => launchd::stop(&self.domain()?),
        })
    }

    /// Reads the state of the service.
    pub(super) fn state(&self) -> Result<State, ServiceError> {
        match self.manager {
            Manager::Systemd => systemd::state(self.scope),
            Manager::Launchd => launchd::state(&self.domain()?),
        }
    }

    /// Adds the place of the log to the failure of the start.
    pub(super) fn start_failure(&self, error: ServiceError) -> ServiceError {
        match error {
            ServiceError::Command { command, message } => {
                ServiceError::Start { command, message, log: self.log() }
            }
            error => error,
        }
    }

    /// The command that shows the log.
    pub(super) fn log(&self) -> &'static str {
        match self.manager {
            Manager::Systemd => systemd::log(self.scope),
            Manager::Launchd => launchd::log(self.scope),
        }
    }

    /// The time in which the service runs, as the end of a sentence.
    pub(super) fn lifetime(&self) -> &'static str {
        match (self.manager, self.scope) {
            (_, Scope::System) => "from the start of the machine on",
            (Manager::Launchd, Scope::User) => "while you are logged in",
            (Manager::Systemd, Scope::User) => {
                "while you are logged in; `loginctl enable-linger` lets it run from the start of the machine on"
            }
        }
    }

    /// The flag for the scope, after a space. Empty for the default.
    pub(super) fn flag(&self) -> &'static str {
        match self.scope {
            Scope::User => "",
            Scope::System => " --system",
        }
    }

    fn domain(&self) -> Result<String, ServiceError> {
        Ok(match self.scope {
            Scope::System => launchd::domain(self.scope, ""),
            Scope::User => launchd::domain(self.scope, &launchd::user().run()?),
        })
    }
}
