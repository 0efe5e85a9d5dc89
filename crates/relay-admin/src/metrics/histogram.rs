//! A histogram with fixed buckets and without a lock.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};
use prometheus_client::metrics::exemplar::Exemplar;

use super::counters::add;

/// The upper bounds of the time of a whole request, in seconds. Answers of coding agents take minutes.
pub(super) const REQUEST_BOUNDS: [f64; 13] =
    [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1200.0];
/// The upper bounds of the time to a response head and to the first content, in seconds.
pub(super) const HEAD_BOUNDS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0, 120.0];
/// The upper bounds of the relay's own time, in seconds.
pub(super) const OWN_BOUNDS: [f64; 10] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];
/// The upper bounds of counts of tokens: the powers of 4 up to 4 million.
pub(super) const TOKEN_BOUNDS: [f64; 12] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// The buckets of a histogram: one for each bound, and one for the values above all of them.
pub(super) const MAX_BUCKETS: usize = 16;

/// A histogram of whole numbers of a unit, such as nanoseconds.
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// The number of units in 1, the unit of the bounds.
    scale: f64,
    buckets: [AtomicU64; MAX_BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    /// Creates a histogram of seconds. At most 15 `bounds` are used.
    pub(super) fn seconds(bounds: &'static [f64]) -> Self {
        Self::new(bounds, 1e9)
    }

    /// Creates a histogram of counts. At most 15 `bounds` are used.
    pub(super) fn counts(bounds: &'static [f64]) -> Self {
        Self::new(bounds, 1.0)
    }

    fn new(bounds: &'static [f64], scale: f64) -> Self {
        let bounds = &bounds[..bounds.len().min(MAX_BUCKETS - 1)];
        Self { bounds, scale, buckets: Default::default(), sum: AtomicU64::new(0) }
    }

    /// Adds a time to a histogram of seconds.
    pub(super) fn observe(&self, time: Duration) {
        self.add(time.as_secs_f64(), u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds a count to a histogram of counts.
    #[expect(clippy::cast_precision_loss, reason = "a bound is not missed by the loss")]
    pub(super) fn observe_count(&self, count: u64) {
        self.add(count as f64, count);
    }

    /// Adds numbers of values per bucket, and their sum. `counts` has the buckets of this histogram.
    pub(super) fn add_all(&self, counts: impl IntoIterator<Item = u64>, sum: Duration) {
        for (bucket, count) in self.buckets[..=self.bounds.len()].iter().zip(counts) {
            if count > 0 {
                bucket.fetch_add(count, Ordering::Relaxed);
            }
        }
        self.sum.fetch_add(u64::try_from(sum.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn add(&self, value: f64, units: u64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        add(&self.sum, units);
    }

    /// The sum in the smallest unit.
    #[cfg(test)]
    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// Writes the histogram as a sample of the metric of `encoder`.
    #[expect(clippy::cast_precision_loss, reason = "a sum above 2^53 nanoseconds loses nanoseconds")]
    pub(super) fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // The count is that of the buckets, which a request under way may have reached before the sum.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / self.scale;
        encoder.encode_histogram(sum, count, &buckets, None::<&HashMap<usize, Exemplar<NoLabelSet, f64>>>)
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}
