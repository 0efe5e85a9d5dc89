//! The subscribers of the relay's records, in the order in which the program attaches them.

use std::sync::Arc;

use relay_admin::budget::Budgets;
use relay_admin::events::Events;
use relay_admin::ledger::{Ledger, LedgerSettings};
use relay_admin::metrics::{Metrics, MetricsSettings};
use relay_admin::prices::{CurrentPrices, PriceTable};
use relay_admin::prompt_cache::PromptCache;
use relay_admin::recent::Recent;
use relay_admin::series::Series;
use relay_config::Config;
use relay_server::Builder;
use tempfile::TempDir;

use crate::Result;

/// The number of requests and of events that are kept. Most requests take the place of an older one.
const KEPT: usize = 100;

/// Adds the subscribers of the admin API.
pub(crate) fn shown(builder: Builder) -> Builder {
    builder.on_finished(Recent::new(KEPT)).on_finished(Series::new()).on_finished(Events::new(KEPT))
}

/// The parts that count the cost of requests.
pub(crate) struct Accounting {
    prices: CurrentPrices,
    budgets: Budgets,
    ledger: Ledger,
    /// The directory of the ledger.
    _directory: TempDir,
}

impl Accounting {
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let prices = CurrentPrices::new(PriceTable::new(config)?);
        let directory = tempfile::tempdir()?;
        let ledger =
            Ledger::open(LedgerSettings::new(directory.path().join("usage.db")).with_prices(prices.clone()))?;
        Ok(Self { prices, budgets: Budgets::new(), ledger, _directory: directory })
    }

    /// Adds prices, budgets, the ledger, the metrics, the subscribers of the admin API and the diagnosis of prompt caches.
    pub(crate) fn attach(&self, builder: Builder) -> Builder {
        let builder = builder
            .with_pricing(Arc::new(self.prices.clone()))
            .with_spending(Arc::new(self.budgets.clone()))
            .on_finished(self.budgets.clone())
            .on_finished(self.ledger.clone())
            .on_finished(Metrics::new(MetricsSettings::default()));
        shown(builder).on_finished(PromptCache::new(KEPT))
    }

    /// Writes what is still to be written.
    pub(crate) fn close(self) {
        self.ledger.close();
    }
}
