//! The cost of requests: prices, the usage ledger and the budgets of clients.

use std::path::Path;
#[cfg(feature = "ledger")]
use std::path::PathBuf;
use std::sync::Arc;

use relay_admin::backlog::Backlog;
use relay_admin::budget::Budgets;
#[cfg(feature = "ledger")]
use relay_admin::ledger::{Ledger, LedgerSettings};
use relay_admin::metrics::MetricsSettings;
use relay_admin::observers::ObserverParts;
use relay_admin::prices::{CurrentPrices, PriceError, PriceTable};
use relay_admin::prompt_cache::PromptCache;
use relay_config::Config;
#[cfg(feature = "ledger")]
use relay_config::UsageConfig;
#[cfg(feature = "ledger")]
use relay_messages::ErrorChain;
#[cfg(feature = "ledger")]
use tempfile::TempDir;

use crate::ledger_place::LedgerPlace;

/// The parts that count the cost of requests. Clones share them.
#[derive(Clone)]
pub(crate) struct Accounting {
    /// The records that the parts have not taken in yet.
    pub(crate) backlog: Backlog,
    pub(crate) prices: CurrentPrices,
    pub(crate) budgets: Budgets,
    /// The diagnosis of prompt caches, whose verdicts the ledger records.
    pub(crate) prompt_cache: PromptCache,
    #[cfg(feature = "ledger")]
    pub(crate) ledger: Option<Ledger>,
    /// The reason for which there is no ledger.
    #[cfg(feature = "ledger")]
    pub(crate) no_ledger: Option<String>,
    /// The directory of a demonstration's ledger. The last clone removes it.
    #[cfg(feature = "ledger")]
    directory: Option<Arc<TempDir>>,
}

impl Accounting {
    /// Starts the parts that `config` enables. A ledger that cannot be used is a warning: the relay runs without it.
    pub(crate) fn start(config: &Config, is_demo: bool) -> Result<Self, PriceError> {
        let prices = CurrentPrices::new(PriceTable::new(config)?);
        let place = LedgerPlace::of(&config.usage, is_demo);
        if place == LedgerPlace::Nowhere {
            tracing::warn!("the relay runs without a usage ledger: {}", place.absence().unwrap_or_default());
        }
        let path = match &place {
            LedgerPlace::File(path) => Some(path.clone()),
            _ => None,
        };
        let accounting = Self {
            backlog: Backlog::new(),
            budgets: budgets(config, path.as_deref(), place.absence()),
            prices,
            prompt_cache: PromptCache::default(),
            #[cfg(feature = "ledger")]
            no_ledger: place.absence().map(str::to_owned),
            #[cfg(feature = "ledger")]
            ledger: None,
            #[cfg(feature = "ledger")]
            directory: None,
        };
        #[cfg(feature = "ledger")]
        let accounting = accounting.with_ledger(&place, &config.usage);
        Ok(accounting)
    }

    /// Opens the ledger at `place`.
    #[cfg(feature = "ledger")]
    fn with_ledger(mut self, place: &LedgerPlace, usage: &UsageConfig) -> Self {
        let path = match place {
            LedgerPlace::File(path) => Ok(Some(path.clone())),
            LedgerPlace::Temporary => self.temporary_file().map(Some),
            _ => Ok(None),
        };
        let open = |path| {
            let settings = LedgerSettings::new(path)
                .with_retention_days(usage.retention_days)
                .with_prices(self.prices.clone())
                .with_prompt_cache(self.prompt_cache.clone());
            Ledger::open(settings).map_err(|error| ErrorChain(&error).to_string())
        };
        match path.map_err(|error| error.to_string()).and_then(|path| path.map(open).transpose()) {
            Ok(ledger) => self.ledger = ledger,
            Err(error) => {
                tracing::warn!(error, "the relay runs without a usage ledger");
                self.no_ledger = Some(error);
            }
        }
        self
    }

    /// Creates the directory of a demonstration's ledger, and returns the file.
    #[cfg(feature = "ledger")]
    fn temporary_file(&mut self) -> std::io::Result<PathBuf> {
        let directory = tempfile::Builder::new().prefix("cc-relay-demo-").tempdir()?;
        let path = directory.path().join("usage.db");
        tracing::info!(file = %path.display(), "the usage of the demonstration is kept until it stops");
        self.directory = Some(Arc::new(directory));
        Ok(path)
    }

    /// The parts, as observers of a relay.
    pub(crate) fn parts(&self) -> ObserverParts {
        let mut parts = ObserverParts::new(self.prices.clone());
        parts.backlog = self.backlog.clone();
        parts.budgets = self.budgets.clone();
        parts.prompt_cache = self.prompt_cache.clone();
        #[cfg(feature = "ledger")]
        {
            parts.ledger = self.ledger.clone();
        }
        parts
    }

    /// Adds the backlog, and the number of requests that the ledger has dropped, to the metrics.
    pub(crate) fn describe(&self, settings: MetricsSettings) -> MetricsSettings {
        let settings = settings.with_backlog(self.backlog.clone());
        #[cfg(feature = "ledger")]
        if let Some(ledger) = self.ledger.clone() {
            return settings.with_dropped_usage_records(move || ledger.dropped());
        }
        settings
    }

    /// Writes what is still to be written.
    pub(crate) fn close(self) {
        self.backlog.flush();
        #[cfg(feature = "ledger")]
        self.ledger.into_iter().for_each(Ledger::close);
    }
}

/// Reads the amounts that the clients have spent before the start. The start waits for them only if a client has a budget: a
/// reload may add one later.
fn budgets(config: &Config, path: Option<&Path>, no_ledger: Option<&str>) -> Budgets {
    let keys = &config.server.auth.keys;
    let has_budget = keys.iter().any(|client| client.budget.is_some());
    let budgets = Budgets::new();
    match path {
        #[cfg(feature = "ledger")]
        Some(path) if has_budget => add_ledger(&budgets, path),
        #[cfg(feature = "ledger")]
        Some(path) if !keys.is_empty() => add_ledger_later(&budgets, path.to_owned()),
        None if has_budget => tracing::warn!(
            "budgets count from zero at each start, since there is no usage ledger: {}",
            no_ledger.unwrap_or("a demonstration keeps none")
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
