//! Metrics in the text formats of Prometheus and OpenMetrics.
//!
//! ```text
//! RequestRecord ─▶ Metrics: counters and histograms, in bounded series ─┐
//! RelayState at the scrape ─▶ gauges ───────────────────────────────────┼─▶ text, by the header `accept`
//! /proc at the scrape ─▶ figures of the process ────────────────────────┘
//! ```
//! `docs/metrics.md` lists all metrics. Each label has a bound of distinct values, and each metric a bound of series: what exceeds
//! them is counted as `other`. A model becomes a value only once an upstream has answered for it, so that a client cannot add
//! series by inventing names. Exemplars with the ids of a request and of its trace are written in OpenMetrics only.
//!
//! ```
//! use relay_admin::metrics::{Metrics, MetricsSettings};
//! use relay_config::{Format, Loader};
//! use relay_server::Relay;
//!
//! let config = Loader::new().with_text("embedded.yaml", Format::Yaml, "providers: [{ name: a, type: mock }]");
//! let metrics = Metrics::new(MetricsSettings::default());
//! let relay = Relay::builder(config.load()?.config).on_finished(metrics.clone()).build()?;
//!
//! let (content_type, text) = metrics.encode(&relay.state(), None);
//! assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
//! assert!(text.contains("cc_relay_provider_usable{provider=\"a\"} 1\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod counters;
mod encode;
mod exemplars;
mod facts;
mod found;
mod gauges;
mod histogram;
mod keys;
mod negotiation;
mod process;
mod program;
mod reloads;
mod series;
mod settings;
mod state;
mod table;
mod traffic;
mod traffic_samples;
mod values;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use relay_server::{RecordHandle, RecordSubscriber, RelayState, RequestRecord};

use self::gauges::StateGauges;
use self::negotiation::Format;
use self::process::Process;
use self::program::ProgramSamples;
pub use self::reloads::{ReloadResult, Reloads};
pub use self::settings::MetricsSettings;
use self::state::Bounds;
use self::traffic::Traffic;
use self::traffic_samples::TrafficSamples;

/// The bounds of label values and series.
const BOUNDS: Bounds =
    Bounds { providers: 1000, models: 200, clients: 1000, credentials: 20_000, series: 10_000 };

/// The metrics of a relay: a subscriber of its records that writes them as text. Clones share the values.
#[derive(Debug, Clone)]
pub struct Metrics {
    traffic: Arc<Traffic>,
    settings: MetricsSettings,
    started: SystemTime,
}

impl Metrics {
    /// Creates metrics without values. The current time counts as the start of the process.
    #[must_use]
    pub fn new(settings: MetricsSettings) -> Self {
        let traffic = Arc::new(Traffic::new(BOUNDS, settings.models()));
        Self { traffic, settings, started: SystemTime::now() }
    }

    /// Writes all metrics in the format that `accept` prefers. Returns the value of `content-type` and the text.
    ///
    /// Series of providers and keys that `state` does not have are removed: they have left the configuration. The work grows
    /// linearly with the series, and takes milliseconds for thousands of keys: a server calls this outside of its event loop.
    #[must_use]
    pub fn encode(&self, state: &RelayState, accept: Option<&HeaderValue>) -> (&'static str, String) {
        let format = Format::of(accept);
        self.settings.flush();
        self.remove_absent(state);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::read(self.started)));
        let relay = registry.sub_registry_with_prefix("cc_relay");
        relay.register_collector(Box::new(StateGauges(state.clone())));
        relay.register_collector(Box::new(TrafficSamples::of(&self.traffic)));
        relay.register_collector(Box::new(ProgramSamples(self.settings.clone())));
        let mut output = String::new();
        let written = match format {
            Format::Prometheus => prometheus_text::encode(&mut output, &registry),
            Format::OpenMetrics => text::encode(&mut output, &registry),
        };
        // Neither a `String` nor one of the collectors returns an error.
        debug_assert!(written.is_ok());
        (format.content_type(), output)
    }

    /// Returns a subscriber that counts the ends of requests alone.
    pub(crate) fn ends(&self) -> impl RecordSubscriber + use<> {
        // The backlog of the settings holds the subscriber, which may not hold the backlog.
        let traffic = Arc::clone(&self.traffic);
        move |record: &Arc<RequestRecord>| traffic.finish(record)
    }

    /// Removes the series of providers and keys that are not configured any more.
    fn remove_absent(&self, state: &RelayState) {
        // The keys of a disabled provider are unknown.
        let keys = |keys: &[relay_routing::KeyState]| keys.iter().map(|key| key.credential.clone()).collect();
        let providers: HashMap<&str, Option<HashSet<String>>> = state
            .providers
            .iter()
            .map(|provider| (&*provider.name, provider.pool.as_ref().map(|pool| keys(&pool.keys))))
            .collect();
        self.traffic.retain(|provider, key| match (providers.get(provider), key) {
            (None, _) => false,
            (Some(Some(keys)), Some(key)) => keys.contains(key),
            _ => true,
        });
    }
}

impl RecordSubscriber for Metrics {
    fn started(&self, _: &RecordHandle) {
        self.traffic.start();
    }

    fn finished(&self, record: &Arc<RequestRecord>) {
        self.traffic.finish(record);
    }
}
