//! A histogram of times with a relative error of at most 1/16.

use std::time::Duration;

/// The buckets within each doubling of the time, as a power of two.
const STEPS: u32 = 3;
/// The doublings from 1 ms: times of up to 18 hours are told apart.
const DOUBLINGS: usize = 26;
const BUCKETS: usize = DOUBLINGS << STEPS;

/// The number of times in each bucket. The width of the buckets grows with the time.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Box<[u32; BUCKETS]>,
    total: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        let bucket = &mut self.counts[bucket(time)];
        *bucket = bucket.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    /// Returns the time in milliseconds below which this percentage of the times is; `None` if there are none.
    pub(super) fn percentile(&self, percent: u32) -> Option<u64> {
        let rank = (u64::from(self.total) * u64::from(percent)).div_ceil(100).max(1);
        let mut below = 0;
        let bucket = self.counts.iter().position(|count| {
            below += u64::from(*count);
            below >= rank
        })?;
        Some(middle(bucket))
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }
}

/// Returns the bucket of `time`: the place of its highest bit, and the bits after it.
fn bucket(time: Duration) -> usize {
    // 1 is the smallest value with a highest bit.
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    let doubling = millis.ilog2();
    let step = (u128::from(millis) << STEPS >> doubling) as usize & ((1 << STEPS) - 1);
    ((doubling as usize) << STEPS | step).min(BUCKETS - 1)
}

/// Returns the time in the middle of a bucket, in milliseconds.
fn middle(bucket: usize) -> u64 {
    let (doubling, step) = (bucket >> STEPS, bucket & ((1 << STEPS) - 1));
    let start = |step: usize| ((step as u64 + (1 << STEPS)) << doubling) >> STEPS;
    let (low, high) = (start(step), start(step + 1).max(start(step) + 1) - 1);
    low.midpoint(high) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_close_to_the_time_at_its_rank() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        for millis in 1..=1000 {
            histogram.add(Duration::from_millis(millis));
        }
        for (percent, exact) in [(50, 500_u64), (95, 950), (100, 1000), (1, 10)] {
            let found = histogram.percentile(percent).unwrap();
            assert!(found.abs_diff(exact) * 16 <= exact + 16, "{percent} %: {found}, exactly {exact}");
        }
        histogram.clear();
        assert_eq!(histogram.percentile(95), None);
    }

    #[test]
    fn every_time_has_a_bucket_with_a_close_middle() {
        for millis in [0, 1, 2, 3, 7, 8, 9, 100, 999, 60_000, 3_600_000] {
            let found = middle(bucket(Duration::from_millis(millis)));
            assert!(found.abs_diff(millis) * 16 <= millis + 8, "{millis}: {found}");
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert!(middle(BUCKETS - 1) > 18 * 3_600_000);
    }
}
