//! The parts that observe a relay, in the order in which they receive its records.
//!
//! ```text
//! RequestRecord ─▶ PromptCache ▸ Budgets ▸ Ledger ▸ Metrics ▸ Recent ▸ Series ▸ Events
//! ```

use std::sync::Arc;

use relay_server::Builder;

use crate::budget::Budgets;
use crate::events::Events;
#[cfg(feature = "ledger")]
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::prices::CurrentPrices;
use crate::prompt_cache::PromptCache;
use crate::recent::Recent;
use crate::series::Series;

/// The number of requests that have ended and are shown.
const REQUESTS: usize = 1000;
/// The number of events that a client which connects again can catch up with.
const EVENTS: usize = 1024;

/// The parts that observe a relay. Clones share them.
///
/// ```
/// use relay_admin::observers::{LiveParts, ObserverParts};
/// use relay_admin::prices::{CurrentPrices, PriceTable};
/// use relay_config::{Format, Loader};
/// use relay_server::Relay;
///
/// let config = Loader::new().with_text("embedded.yaml", Format::Yaml, "providers: [{ name: a, type: mock }]");
/// let config = config.load()?.config;
/// let mut parts = ObserverParts::new(CurrentPrices::new(PriceTable::new(&config)?));
/// parts.live = Some(LiveParts::default());
/// let relay = parts.attach(Relay::builder(config)).build()?;
/// # let _ = relay;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ObserverParts {
    /// The prices of all requests.
    pub prices: CurrentPrices,
    /// The money that clients have spent.
    pub budgets: Budgets,
    /// The diagnosis of prompt caches.
    pub prompt_cache: PromptCache,
    /// The usage ledger; `None` if there is none.
    #[cfg(feature = "ledger")]
    pub ledger: Option<Ledger>,
    /// The metrics; `None` if no listener serves them.
    pub metrics: Option<Metrics>,
    /// The parts that only the admin API shows; `None` if it is not served.
    pub live: Option<LiveParts>,
}

/// The parts that only the admin API shows. Clones share them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LiveParts {
    /// The last requests.
    pub recent: Recent,
    /// The figures of the last hour.
    pub series: Series,
    /// The events.
    pub events: Events,
}

/// Empty parts, for 1000 requests that have ended and 1024 events.
impl Default for LiveParts {
    fn default() -> Self {
        Self { recent: Recent::new(REQUESTS), series: Series::new(), events: Events::new(EVENTS) }
    }
}

impl ObserverParts {
    /// Creates the parts that always have a reader, without one that shows records.
    #[must_use]
    pub fn new(prices: CurrentPrices) -> Self {
        Self {
            prices,
            budgets: Budgets::new(),
            prompt_cache: PromptCache::default(),
            #[cfg(feature = "ledger")]
            ledger: None,
            metrics: None,
            live: None,
        }
    }

    /// Gives the relay that `builder` builds its prices and its budgets, and hands its records to the parts.
    #[must_use]
    pub fn attach(&self, builder: Builder) -> Builder {
        let mut builder =
            builder.with_pricing(Arc::new(self.prices.clone())).with_spending(Arc::new(self.budgets.clone()));
        // Before the ledger, which records the verdicts.
        builder = builder.on_finished(self.prompt_cache.clone()).on_finished(self.budgets.clone());
        #[cfg(feature = "ledger")]
        if let Some(ledger) = &self.ledger {
            builder = builder.on_finished(ledger.clone());
        }
        if let Some(metrics) = &self.metrics {
            builder = builder.on_finished(metrics.clone());
        }
        match &self.live {
            Some(live) => builder
                .on_finished(live.recent.clone())
                .on_finished(live.series.clone())
                .on_finished(live.events.clone()),
            None => builder,
        }
    }
}
