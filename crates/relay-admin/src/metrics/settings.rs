//! The settings of the metrics.

use std::fmt;
use std::sync::Arc;

use super::reloads::Reloads;
use crate::backlog::Backlog;

/// A number that the program counts.
pub(super) type Count = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The settings of [`Metrics`](super::Metrics).
#[derive(Clone, Default)]
pub struct MetricsSettings {
    models: Vec<String>,
    pub(super) dropped_log_lines: Option<Count>,
    pub(super) dropped_usage_records: Option<Count>,
    pub(super) reloads: Option<Reloads>,
    backlog: Option<Backlog>,
}

impl MetricsSettings {
    /// Adds names of models that are values of the label `model` from the start, such as those of the configuration. Every other
    /// model becomes one with its first successful answer.
    #[must_use]
    pub fn with_models(mut self, models: impl IntoIterator<Item = String>) -> Self {
        self.models.extend(models);
        self
    }

    /// Sets the source of the number of log lines that were dropped.
    #[must_use]
    pub fn with_dropped_log_lines(mut self, count: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.dropped_log_lines = Some(Arc::new(count));
        self
    }

    /// Sets the source of the number of requests that the usage ledger has dropped.
    #[must_use]
    pub fn with_dropped_usage_records(mut self, count: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.dropped_usage_records = Some(Arc::new(count));
        self
    }

    /// Sets the counts of the reloads of the configuration.
    #[must_use]
    pub fn with_reloads(mut self, reloads: Reloads) -> Self {
        self.reloads = Some(reloads);
        self
    }

    /// Sets the records that the metrics may not have taken in yet. It is flushed before the metrics are written.
    #[must_use]
    pub fn with_backlog(mut self, backlog: Backlog) -> Self {
        self.backlog = Some(backlog);
        self
    }

    /// Hands the records of requests that have ended to the metrics.
    pub(super) fn flush(&self) {
        self.backlog.iter().for_each(Backlog::flush);
    }

    /// The models that are known from the start.
    pub(super) fn models(&self) -> &[String] {
        &self.models
    }
}

impl fmt::Debug for MetricsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsSettings").field("models", &self.models).finish_non_exhaustive()
    }
}
