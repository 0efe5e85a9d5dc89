//! The origin of the configuration, for later reloads and for the log.

use crate::reload::Source;
use crate::settings::{Origin, Start};

impl Start {
    /// The source for later reloads. `before` is that of the file, before it was read.
    pub(super) fn source(&self, before: Option<Source>) -> Source {
        match &self.origin {
            Origin::File(file) => before.unwrap_or_else(|| Source::file(file)),
            Origin::Demo => Source::none("the relay was started with --demo"),
            Origin::Environment { .. } => Source::none(
                "the relay was started without a configuration file; `cc-relay config init` writes one, which is used from the \
                 next start on",
            ),
        }
    }

    /// Logs the origin of the configuration and its warnings.
    pub(super) fn log(&self) {
        tracing::info!("cc-relay {}", env!("CARGO_PKG_VERSION"));
        match &self.origin {
            Origin::File(file) => tracing::info!(file = %file.display(), "configuration"),
            Origin::Demo => {
                tracing::info!("demonstration: mock providers answer, nothing leaves this machine");
            }
            Origin::Environment { found, missing, faults } => {
                tracing::info!("no configuration file; `cc-relay config init` writes one");
                found.iter().for_each(|line| tracing::info!("found {line}"));
                missing.iter().for_each(|line| tracing::info!("for more, {line}"));
                faults.iter().for_each(|line| tracing::warn!("{line}"));
            }
        }
        for warning in &self.loaded.warnings {
            tracing::warn!("{warning}");
        }
    }
}
