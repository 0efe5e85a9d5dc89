//! The subscribers of the relay's records, as the program composes them.

use relay_admin::ledger::{Ledger, LedgerSettings};
use relay_admin::metrics::{Metrics, MetricsSettings};
use relay_admin::observers::{LiveParts, ObserverParts};
use relay_admin::prices::{CurrentPrices, PriceTable};
use relay_config::Config;
use relay_server::Builder;
use tempfile::TempDir;

use crate::Result;

/// The observers of the program.
pub(crate) struct Observers {
    parts: ObserverParts,
    /// The directory of the ledger.
    _directory: Option<TempDir>,
}

impl Observers {
    /// Starts those of a program that keeps neither metrics nor a ledger.
    pub(crate) fn live(config: &Config) -> Result<Self> {
        let mut parts = ObserverParts::new(CurrentPrices::new(PriceTable::new(config)?));
        parts.live = Some(LiveParts::default());
        Ok(Self { parts, _directory: None })
    }

    /// Starts all of them, with a ledger in a temporary directory.
    pub(crate) fn all(config: &Config) -> Result<Self> {
        let mut parts = ObserverParts::new(CurrentPrices::new(PriceTable::new(config)?));
        let directory = tempfile::tempdir()?;
        let settings = LedgerSettings::new(directory.path().join("usage.db"))
            .with_prices(parts.prices.clone())
            .with_prompt_cache(parts.prompt_cache.clone());
        let ledger = Ledger::open(settings)?;
        let dropped = ledger.clone();
        let settings = MetricsSettings::default()
            .with_backlog(parts.backlog.clone())
            .with_dropped_usage_records(move || dropped.dropped());
        parts.metrics = Some(Metrics::new(settings));
        parts.ledger = Some(ledger);
        parts.live = Some(LiveParts::default());
        Ok(Self { parts, _directory: Some(directory) })
    }

    pub(crate) fn attach(&self, builder: Builder) -> Builder {
        self.parts.attach(builder)
    }

    /// Writes what is still to be written.
    pub(crate) fn close(self) {
        self.parts.backlog.flush();
        self.parts.ledger.into_iter().for_each(Ledger::close);
    }
}
