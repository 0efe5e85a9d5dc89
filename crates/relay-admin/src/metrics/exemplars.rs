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
    /// The ids of the trace and of the request's span, if they are recorded.
    span: Option<(u128, u64)>,
    at: SystemTime,
    /// The second of `at`, since the Unix epoch.
    second: u64,
}

impl<'a> Exemplar<'a> {
    /// The request of `record` at its end.
    pub(super) fn of(record: &'a RequestRecord) -> Self {
        let at = record.started_at + record.duration();
        let second = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let trace = record.trace.as_ref().filter(|trace| trace.is_sampled());
        let span = trace.map(|trace| (trace.trace_id(), trace.span_id()));
        Self { id: &record.id, span, at, second }
    }

    /// Returns the labels and the time if the exemplar of `renewed` is older than this second, and if some label has room.
    fn renew(&self, renewed: &AtomicU64) -> Option<(ExemplarLabels, SystemTime)> {
        if renewed.load(Ordering::Relaxed) == self.second {
            return None;
        }
        renewed.store(self.second, Ordering::Relaxed);
        Some((ExemplarLabels::new(self.id, self.span)?, self.at))
    }
}

/// The labels of an exemplar: the ids of a request, of its trace and of its span.
#[derive(Debug, Clone)]
struct ExemplarLabels {
    /// `None` if the id is too long.
    id: Option<RequestId>,
    span: Option<(u128, u64)>,
}

impl ExemplarLabels {
    /// The most characters of the names and the values of all labels together.
    ///
    /// # Source
    /// OpenMetrics 1.0, "Exemplars".
    const LONGEST: usize = 128;
    /// The characters of the trace and the span: 128 and 64 bits as hexadecimal digits, with the names.
    const SPAN: usize = "trace_id".len() + 32 + "span_id".len() + 16;

    /// Creates the labels; `None` if there is no trace and the id is too long.
    fn new(id: &RequestId, span: Option<(u128, u64)>) -> Option<Self> {
        let taken = "request_id".len() + if span.is_some() { Self::SPAN } else { 0 };
        let id = (id.as_str().len() <= Self::LONGEST - taken).then(|| id.clone());
        (id.is_some() || span.is_some()).then_some(Self { id, span })
    }
}

impl EncodeLabelSet for ExemplarLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        if let Some((trace, span)) = self.span {
            let labels = [("trace_id", format!("{trace:032x}")), ("span_id", format!("{span:016x}"))];
            labels.encode(encoder)?;
        }
        match &self.id {
            Some(id) => [("request_id", id.as_str())].encode(encoder),
            None => Ok(()),
        }
    }
}

/// A counter with an exemplar.
#[derive(Debug, Default)]
pub(super) struct ExemplarCounter {
    counter: CounterWithExemplar<ExemplarLabels>,
    /// The second of the exemplar.
    renewed: AtomicU64,
}

impl ExemplarCounter {
    /// Counts a request.
    pub(super) fn increment(&self, request: &Exemplar<'_>) {
        match request.renew(&self.renewed) {
            Some((labels, at)) => {
                self.counter.inc_by(1, Some(labels), Some(at));
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
    histogram: HistogramWithExemplars<ExemplarLabels>,
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
        let (labels, at) = request.renew(&self.renewed[bucket]).unzip();
        self.histogram.observe(seconds, labels, at);
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
            Exemplar { id: &id, span: None, at, second: millis / 1000 }
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
