//! Prices that a change of the configuration replaces.

use std::sync::{Arc, PoisonError, RwLock};

use relay_config::ProviderName;
use relay_providers::Usage;
use relay_routing::{Pricing, Usd};

use super::price_table::PriceTable;

/// The prices in use. Clones share them: a relay and a ledger keep theirs while the configuration changes.
///
/// ```
/// use relay_admin::prices::{CurrentPrices, PriceTable};
/// use relay_config::{Config, ProviderConfig, ProviderKind};
///
/// let prices = CurrentPrices::new(PriceTable::new(&Config::default())?);
/// // `Builder::with_pricing` takes a clone.
/// let changed = Config::new([ProviderConfig::new("local", ProviderKind::Mock)]);
/// prices.replace(PriceTable::new(&changed)?);
/// # Ok::<(), relay_admin::prices::PriceError>(())
/// ```
#[derive(Debug, Clone)]
pub struct CurrentPrices(Arc<RwLock<Arc<PriceTable>>>);

impl CurrentPrices {
    /// Creates prices that can be replaced.
    #[must_use]
    pub fn new(table: PriceTable) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(table))))
    }

    /// Sets the prices of requests that end from now on.
    pub fn replace(&self, table: PriceTable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    /// The prices at the moment.
    #[must_use]
    pub fn table(&self) -> Arc<PriceTable> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pricing for CurrentPrices {
    fn cost(&self, provider: &ProviderName, model: &str, usage: &Usage) -> Option<Usd> {
        // Without a clone: the calculation is shorter than a wait for a writer.
        self.0.read().unwrap_or_else(PoisonError::into_inner).cost(provider, model, usage)
    }
}
