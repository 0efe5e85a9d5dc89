//! Reads the configuration file again.

use std::path::PathBuf;

use relay_admin::api::{Reload, ReloadError, Reloaded};
use relay_admin::prices::{CurrentPrices, PriceTable};
use relay_messages::ErrorChain;
use relay_server::{Changes, Reloadable};

use crate::cli::Settings;
use crate::logging::LogSecrets;
use crate::settings::read_file;

/// Reads the configuration file that the relay was started with, and puts it into use.
pub(crate) struct FileReload {
    settings: Settings,
    file: PathBuf,
    relay: Reloadable,
    log: LogSecrets,
    prices: CurrentPrices,
}

impl FileReload {
    pub(crate) fn new(
        settings: Settings,
        file: PathBuf,
        relay: Reloadable,
        log: LogSecrets,
        prices: CurrentPrices,
    ) -> Self {
        Self { settings, file, relay, log, prices }
    }
}

impl Reload for FileReload {
    fn reload(&self) -> Result<Reloaded, ReloadError> {
        let invalid =
            |error: &dyn std::error::Error| ReloadError::Invalid { problems: ErrorChain(error).to_string() };
        let loaded = read_file(&self.settings, &self.file).map_err(|error| invalid(&error))?;
        let prices = PriceTable::new(&loaded.config).map_err(|error| invalid(&error))?;
        // Before the first request can use one of them.
        self.log.add(loaded.config.secrets());
        let changes = self.relay.replace(loaded.config).map_err(|error| invalid(&error))?;
        self.prices.replace(prices);
        let mut message = describe(&changes);
        for warning in &loaded.warnings {
            message.push_str(&format!("\nwarning: {warning}"));
        }
        Ok(Reloaded::new(!changes.is_empty(), message))
    }
}

/// Describes the differences between two configurations in one line.
fn describe(changes: &Changes) -> String {
    if changes.is_empty() {
        return "the configuration has not changed".to_owned();
    }
    let names =
        |names: &[relay_config::ProviderName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let mut parts: Vec<String> = [
        ("added", names(&changes.added)),
        ("removed", names(&changes.removed)),
        ("changed", names(&changes.changed)),
        ("other settings in", words(&changes.sections)),
        ("applied after a restart", words(&changes.not_applied)),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(what, names)| format!("{what}: {}", names.join(", ")))
    .collect();
    if changes.is_reordered {
        parts.push("providers in another order".to_owned());
    }
    format!("the new configuration is in use; {}", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_differences_are_described_in_one_line() {
        let mut changes = Changes::default();
        assert_eq!(describe(&changes), "the configuration has not changed");
        changes.added = vec!["b".into()];
        changes.not_applied = vec!["server.listen", "logging"];
        let text =
            "the new configuration is in use; added: b; applied after a restart: server.listen, logging";
        assert_eq!(describe(&changes), text);
    }
}
