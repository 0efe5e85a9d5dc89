//! The settings of a ledger.

use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::prices::CurrentPrices;
use crate::prompt_cache::PromptCache;

/// The settings of a [`Ledger`](super::Ledger).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LedgerSettings {
    /// The file of the database.
    pub path: PathBuf,
    /// The days for which rows of single attempts are kept; `None` for ever. Default 90.
    pub retention_days: Option<NonZeroU32>,
    /// The prices for the cost of the same tokens without a cache. Default: none, and such a cost equals the cost.
    pub prices: Option<CurrentPrices>,
    /// The diagnosis of prompt caches, whose verdicts are recorded. It subscribes to the records before the ledger. Default: none.
    pub prompt_cache: Option<PromptCache>,
}

impl LedgerSettings {
    /// Creates settings for this file, which is created with its directory if it does not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), retention_days: NonZeroU32::new(90), prices: None, prompt_cache: None }
    }

    /// Sets the days for which rows of single attempts are kept; `None` for ever.
    #[must_use]
    pub fn with_retention_days(mut self, days: Option<NonZeroU32>) -> Self {
        self.retention_days = days;
        self
    }

    /// Sets the prices for the cost of the same tokens without a cache.
    #[must_use]
    pub fn with_prices(mut self, prices: CurrentPrices) -> Self {
        self.prices = Some(prices);
        self
    }

    /// Sets the diagnosis of prompt caches, whose verdicts are recorded.
    #[must_use]
    pub fn with_prompt_cache(mut self, prompt_cache: PromptCache) -> Self {
        self.prompt_cache = Some(prompt_cache);
        self
    }
}
