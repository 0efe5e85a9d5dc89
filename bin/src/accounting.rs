//! The cost of requests: prices, the usage ledger and the budgets of clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use relay_admin::budget::Budgets;
#[cfg(feature = "ledger")]
use relay_admin::ledger::{Ledger, LedgerSettings, default_path};
use relay_admin::metrics::MetricsSettings;
use relay_admin::prices::{CurrentPrices, PriceError, PriceTable};
use relay_config::{Config, UsageConfig};
#[cfg(feature = "ledger")]
use relay_messages::ErrorChain;
use relay_server::Builder;

/// The parts that count the cost of requests. Clones share them.
#[derive(Clone)]
pub(crate) struct Accounting {
    pub(crate) prices: CurrentPrices,
    pub(crate) budgets: Budgets,
    #[cfg(feature = "ledger")]
    pub(crate) ledger: Option<Ledger>,
}

impl Accounting {
    /// Starts the parts that `config` enables. A ledger that cannot be used is a warning: the relay runs without it.
    pub(crate) fn start(config: &Config) -> Result<Self, PriceError> {
        let prices = CurrentPrices::new(PriceTable::new(config)?);
        let path = ledger_path(&config.usage);
        Ok(Self {
            budgets: budgets(config, path.as_deref()),
            #[cfg(feature = "ledger")]
            ledger: path.and_then(|path| open(path, &config.usage, &prices)),
            prices,
        })
    }

    /// Gives the relay that `builder` builds its prices and its budgets, and hands its records to the parts.
    pub(crate) fn attach(&self, builder: Builder) -> Builder {
        let builder = builder
            .with_pricing(Arc::new(self.prices.clone()))
            .with_spending(Arc::new(self.budgets.clone()))
            .on_finished(self.budgets.clone());
        #[cfg(feature = "ledger")]
        if let Some(ledger) = &self.ledger {
            return builder.on_finished(ledger.clone());
        }
        builder
    }

    /// Adds the number of requests that the ledger has dropped to the metrics.
    pub(crate) fn count_dropped(&self, settings: MetricsSettings) -> MetricsSettings {
        #[cfg(feature = "ledger")]
        if let Some(ledger) = self.ledger.clone() {
            return settings.with_dropped_usage_records(move || ledger.dropped());
        }
        settings
    }

    /// Writes what is still to be written.
    pub(crate) fn close(self) {
        #[cfg(feature = "ledger")]
        self.ledger.into_iter().for_each(Ledger::close);
    }
}

/// Returns the file of the ledger; `None` if it is disabled, or has no place.
pub(crate) fn ledger_path(usage: &UsageConfig) -> Option<PathBuf> {
    #[cfg(feature = "ledger")]
    if usage.enabled {
        return usage.path.clone().or_else(|| default_path(|name| std::env::var_os(name)));
    }
    let _ = usage;
    None
}

#[cfg(feature = "ledger")]
fn open(path: PathBuf, usage: &UsageConfig, prices: &CurrentPrices) -> Option<Ledger> {
    let settings =
        LedgerSettings::new(path).with_retention_days(usage.retention_days).with_prices(prices.clone());
    match Ledger::open(settings) {
        Ok(ledger) => Some(ledger),
        Err(error) => {
            tracing::warn!(error = %ErrorChain(&error), "the relay runs without a usage ledger");
            None
        }
    }
}

/// Reads the amounts that the clients have spent before the start. The start waits for them only if a client has a budget: a
/// reload may add one later.
fn budgets(config: &Config, path: Option<&Path>) -> Budgets {
    let keys = &config.server.auth.keys;
    let has_budget = keys.iter().any(|client| client.budget.is_some());
    let budgets = Budgets::new();
    match path {
        #[cfg(feature = "ledger")]
        Some(path) if has_budget => add_ledger(&budgets, path),
        #[cfg(feature = "ledger")]
        Some(path) if !keys.is_empty() => add_ledger_later(&budgets, path.to_owned()),
        None if has_budget => tracing::warn!(
            "budgets count from zero at each start, since there is no usage ledger (usage.enabled)"
        ),
        _ => {}
    }
    budgets
}

/// Reads the ledger in a thread of its own. The read begins before the relay listens, so that no request counts twice.
#[cfg(feature = "ledger")]
fn add_ledger_later(budgets: &Budgets, path: PathBuf) {
    let budgets = budgets.clone();
    let thread = std::thread::Builder::new().name("budgets".to_owned());
    let started = thread.spawn(move || {
        if let Err(error) = budgets.add_ledger(&path) {
            tracing::debug!(error = %ErrorChain(&error), "budgets of a reload will count from zero");
        }
    });
    if let Err(error) = started {
        tracing::warn!(%error, "budgets of a reload will count from zero");
    }
}

#[cfg(feature = "ledger")]
fn add_ledger(budgets: &Budgets, path: &Path) {
    if let Err(error) = budgets.add_ledger(path) {
        tracing::warn!(error = %ErrorChain(&error), "budgets count from zero: the usage ledger cannot be read");
    }
}
