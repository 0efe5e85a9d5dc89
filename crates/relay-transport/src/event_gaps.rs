//! The distribution of the gaps between the events of a stream.

use std::time::Duration;

/// The upper bounds of the buckets of [`EventGaps`], in seconds. A last bucket has no bound.
pub const GAP_BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The bounds of [`GAP_BOUNDS`] in milliseconds.
const BOUNDS_MS: [u64; GAP_BOUNDS.len()] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// The gaps between the events of one streamed answer, as they arrived from the upstream. Keep-alives are no events. Events
/// that arrive in one frame have no gap between them.
///
/// ```
/// use std::time::Duration;
///
/// use relay_transport::EventGaps;
///
/// let mut gaps = EventGaps::default();
/// gaps.add(Duration::from_millis(5));
/// gaps.add(Duration::from_secs(11));
/// assert_eq!((gaps.buckets[0], gaps.buckets[11]), (1, 1));
/// assert_eq!((gaps.count, gaps.longest), (2, Duration::from_secs(11)));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventGaps {
    /// The number of gaps in each bucket, without those in the buckets before it. A gap that equals a bound is below it.
    pub buckets: [u32; GAP_BOUNDS.len() + 1],
    /// The number of gaps.
    pub count: u64,
    /// The sum of all gaps.
    pub sum: Duration,
    /// The longest gap.
    pub longest: Duration,
}

impl EventGaps {
    /// Adds a gap.
    pub fn add(&mut self, gap: Duration) {
        let bucket = BOUNDS_MS.iter().position(|bound| gap <= Duration::from_millis(*bound));
        let bucket = &mut self.buckets[bucket.unwrap_or(GAP_BOUNDS.len())];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.sum = self.sum.saturating_add(gap);
        self.longest = self.longest.max(gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (index, bound) in GAP_BOUNDS.iter().enumerate() {
            let bound = Duration::from_secs_f64(*bound);
            for (gap, expected) in [(bound, index), (bound + Duration::from_nanos(1), index + 1)] {
                let mut gaps = EventGaps::default();
                gaps.add(gap);
                assert_eq!(gaps.buckets.iter().position(|count| *count == 1), Some(expected), "{gap:?}");
                assert_eq!((gaps.count, gaps.sum, gaps.longest), (1, gap, gap));
            }
        }
    }
}
