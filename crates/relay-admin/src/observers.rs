//! The parts that observe a relay, behind one queue.
//!
//! ```text
//! started ──▶ Metrics ▸ Recent ▸ Series ▸ Events    the requests under way
//! received ─▶ PromptCache                           the prompt
//! finished ─▶ Budgets ▸ Series                      the amounts that admit requests, the requests under way
//!        └──▶ Backlog ─▶ PromptCache ▸ Ledger ▸ Metrics ▸ Recent ▸ Series ▸ Events
//! ```
//! The data path does what the next request depends on, and adds the record to the [`Backlog`]. Each part can also subscribe to the
//! records by itself: it then does all of its work on the data path.

use std::sync::Arc;

use relay_providers::RelayRequest;
use relay_server::{Builder, RecordHandle, RecordSubscriber, RequestRecord};

use crate::backlog::Backlog;
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
///
/// // Before a read, so that it shows all requests that have ended.
/// parts.backlog.flush();
/// assert!(parts.live.is_some_and(|live| live.recent.newest_first().is_empty()));
/// # let _ = relay;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ObserverParts {
    /// The records that the parts have not taken in yet. Flush it before you read a part, or close the ledger.
    pub backlog: Backlog,
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
            backlog: Backlog::new(),
            prices,
            budgets: Budgets::new(),
            prompt_cache: PromptCache::default(),
            #[cfg(feature = "ledger")]
            ledger: None,
            metrics: None,
            live: None,
        }
    }

    /// Gives the relay that `builder` builds its prices and its budgets, and hands its records to the parts. A later call with other
    /// parts has no effect on those that wait for the backlog.
    #[must_use]
    pub fn attach(&self, builder: Builder) -> Builder {
        let live = self.live.clone();
        let rest = move || live.iter().for_each(|live| live.recent.compact());
        self.backlog.set_parts(self.waiting(), rest);
        builder
            .with_pricing(Arc::new(self.prices.clone()))
            .with_spending(Arc::new(self.budgets.clone()))
            .on_finished(DataPath(self.clone()))
    }

    /// The parts that take in the ends of requests from the backlog, in their order.
    fn waiting(&self) -> Vec<Arc<dyn RecordSubscriber>> {
        let prompt_cache = self.prompt_cache.clone();
        let mut parts: Vec<Arc<dyn RecordSubscriber>> = Vec::new();
        // Before the ledger, which records the verdicts.
        parts.push(Arc::new(move |record: &Arc<RequestRecord>| prompt_cache.take_in(record)));
        #[cfg(feature = "ledger")]
        if let Some(ledger) = &self.ledger {
            parts.push(Arc::new(ledger.clone()));
        }
        if let Some(metrics) = &self.metrics {
            parts.push(Arc::new(metrics.ends()));
        }
        if let Some(live) = &self.live {
            let (recent, series) = (live.recent.clone(), live.series.clone());
            parts.push(Arc::new(move |record: &Arc<RequestRecord>| recent.take_in(record)));
            parts.push(Arc::new(move |record: &Arc<RequestRecord>| series.add(record)));
            parts.push(Arc::new(live.events.clone()));
        }
        parts
    }
}

/// The work of the parts on the data path.
struct DataPath(ObserverParts);

impl RecordSubscriber for DataPath {
    fn started(&self, record: &RecordHandle) {
        if let Some(metrics) = &self.0.metrics {
            metrics.started(record);
        }
        if let Some(live) = &self.0.live {
            live.recent.started(record);
            live.series.started(record);
            live.events.started(record);
        }
    }

    fn received(&self, record: &RecordHandle, request: &RelayRequest) {
        self.0.prompt_cache.received(record, request);
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        self.0.budgets.finished(record);
        if let Some(live) = &self.0.live {
            live.series.end(record);
        }
        self.0.backlog.finished(record);
    }
}
