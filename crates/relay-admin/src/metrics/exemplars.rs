//! Counters and histograms with exemplars.
//!
//! The exemplar of a counter, and of each bucket of a histogram, is renewed at most once a second: a scrape reads only the latest one,
//! and to replace it costs more than to count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{array, fmt};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder};
use prometheus_client::metrics::exemplar::{CounterWithExemplar, HistogramWithExemplars};
use relay_server::{RequestId, RequestRecord};

use super::histogram::MAX_BUCKETS;

/// A request as an exemplar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exemplar<'a> {
    id: &'a RequestId,
    at: SystemTime,
    /// The second of `at`, since the Unix epoch.
    second: u64,
}

impl<'a> Exemplar<'a> {
    /// The request of `record` at its end.
    pub(super) fn of(record: &'a RequestRecord) -> Self {
        let at = record.started_at + record.duration();
        let second = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { id: &record.id, at, second }
    }

    /// Returns the label and the time if the exemplar of `renewed` is older than this second, and if the id is not too long.
    fn renew(&self, renewed: &AtomicU64) -> Option<(ExemplarId, SystemTime)> {
        if renewed.load(Ordering::Relaxed) == self.second {
            return None;
        }
        renewed.store(self.second, Ordering::Relaxed);
        Some((ExemplarId::new(self.id)?, self.at))
    }
}

/// The label of an exemplar: the id of a request.
#[derive(Debug, Clone)]
struct ExemplarId(RequestId);

impl ExemplarId {
    /// The longest id that an exemplar may have: 128 characters, without those of the name.
    const LONGEST: usize = 128 - "request_id".len();

    /// Creates the label; `None` if the id is too long.
    ///
    /// # Source
    /// OpenMetrics 1.0, "Exemplars": names and values of at most 128 characters together.
    fn new(id: &RequestId) -> Option<Self> {
        (id.as_str().len() <= Self::LONGEST).then(|| Self(id.clone()))
    }
}

impl EncodeLabelSet for ExemplarId {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("request_id", self.0.as_str())].encode(encoder)
    }
}

/// A counter with an exemplar.
#[derive(Debug, Default)]
pub(super) struct ExemplarCounter {
    counter: CounterWithExemplar<ExemplarId>,
    /// The second of the exemplar.
    renewed: AtomicU64,
}

impl ExemplarCounter {
    /// Counts a request.
    pub(super) fn increment(&self, request: &Exemplar<'_>) {
        match request.renew(&self.renewed) {
            Some((id, at)) => {
                self.counter.inc_by(1, Some(id), Some(at));
            }
            // `inc_by` without an exemplar would remove the last one.
            None => {
                self.counter.inner().fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.counter.encode(encoder)
    }
}

/// A histogram of seconds with an exemplar for each bucket.
#[derive(Debug)]
pub(super) struct ExemplarHistogram {
    bounds: &'static [f64],
    histogram: HistogramWithExemplars<ExemplarId>,
    /// The second of the exemplar of each bucket.
    renewed: [AtomicU64; MAX_BUCKETS],
}

impl ExemplarHistogram {
    /// Creates a histogram. At most 15 `bounds` are used.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        let bounds = &bounds[..bounds.len().min(MAX_BUCKETS - 1)];
        let histogram = HistogramWithExemplars::new(bounds.iter().copied());
        Self { bounds, histogram, renewed: array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Adds a time of a request.
    pub(super) fn observe(&self, time: Duration, request: &Exemplar<'_>) {
        let seconds = time.as_secs_f64();
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound).unwrap_or(self.bounds.len());
        let (id, at) = request.renew(&self.renewed[bucket]).unzip();
        self.histogram.observe(seconds, id, at);
    }

    pub(super) fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.histogram.encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_counts_and_an_exemplar_is_renewed_once_a_second() {
        let id = RequestId::random();
        let at = |millis| {
            let at = UNIX_EPOCH + Duration::from_millis(millis);
            Exemplar { id: &id, at, second: millis / 1000 }
        };
        let (counter, histogram) = (ExemplarCounter::default(), ExemplarHistogram::new(&[1.0]));
        for millis in [5000, 5900, 6000, 6999] {
            counter.increment(&at(millis));
            histogram.observe(Duration::from_millis(millis - 5000), &at(millis));
        }
        let (count, exemplar) = counter.counter.get();
        assert_eq!(count, 4);
        let text = format!("{exemplar:?} {histogram:?}");
        assert_eq!(text.matches("tv_sec: 6").count(), 3, "one for the counter, one for each bucket: {text}");
        assert!(!text.contains("tv_sec: 5"), "{text}");
    }
}
