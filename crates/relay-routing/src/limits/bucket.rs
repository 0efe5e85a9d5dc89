//! A token bucket for one limit per minute.

use std::time::{Duration, Instant};

use relay_messages::RateLimit;

/// The period that limits are counted in.
const PERIOD: Duration = Duration::from_secs(60);

/// The largest debt, as a part of a period's amount. The debt is paid off within 54 s, so that clients wait for it:
/// Claude Code gives up if `retry-after` is above 60 s.
const LARGEST_DEBT: f64 = 0.9;

/// A token bucket: holds the amount that may be used in a minute, and refills at a constant rate.
///
/// The level is negative if more was used than it held. The bucket then owes the difference, at most nine tenths of
/// the amount of a minute. A bucket for an upstream's own limit owes nothing: the upstream has served the excess, and
/// reports a limit that is used up by itself.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    /// The amount per minute, which is also the capacity.
    limit: f64,
    /// The level at `at`; negative if the bucket owes.
    level: f64,
    /// The amount that requests under way are expected to take.
    reserved: f64,
    may_owe: bool,
    at: Instant,
    /// The reset that the upstream has announced.
    reset: Option<Reset>,
}

#[derive(Debug, Clone, Copy)]
struct Reset {
    at: Instant,
    /// The amount taken since the upstream announced the reset.
    taken: f64,
}

impl Bucket {
    /// Creates a full bucket with a capacity of `limit` per minute, at least 1.
    #[must_use]
    pub(crate) fn new(limit: u64, now: Instant) -> Self {
        let limit = (limit as f64).max(1.0);
        Self { limit, level: limit, reserved: 0.0, may_owe: true, at: now, reset: None }
    }

    /// Creates a full bucket for a limit that the upstream has reported. It never owes.
    #[must_use]
    pub(crate) fn learned(limit: u64, now: Instant) -> Self {
        Self { may_owe: false, ..Self::new(limit, now) }
    }

    /// Returns the time until the bucket holds `cost` beside the reserved amounts, or `None` if it holds it now.
    ///
    /// A cost above the capacity needs a full bucket. The time is less than two minutes: reserved amounts count up to the
    /// largest debt, since no more than that is ever taken.
    pub(crate) fn wait_time(&mut self, cost: f64, now: Instant) -> Option<Duration> {
        self.refill(now);
        let cost = cost.min(self.limit);
        if cost <= self.level - self.reserved {
            return None;
        }
        let refilled = self.time_until(cost);
        let reset = self.reset.map(|reset| reset.at.saturating_duration_since(now));
        // Rounded up, so that the cost is available at the end of the wait.
        Some(reset.map_or(refilled, |reset| reset.min(refilled)) + Duration::from_nanos(1))
    }

    /// Takes `cost`, even if the bucket holds less.
    pub(crate) fn take(&mut self, cost: f64, now: Instant) {
        self.refill(now);
        self.level = (self.level - cost).max(self.lowest());
        if let Some(reset) = &mut self.reset {
            reset.taken += cost;
        }
    }

    /// Returns an amount to the bucket that was taken and not used.
    pub(crate) fn refund(&mut self, unused: f64, now: Instant) {
        self.refill(now);
        self.level = (self.level + unused).min(self.highest());
        if let Some(reset) = &mut self.reset {
            reset.taken -= unused;
        }
    }

    /// Reserves an amount for a request under way. The bucket refills as if the amount was taken.
    pub(crate) fn reserve(&mut self, amount: f64) {
        self.reserved += amount;
    }

    /// Ends the reservation of an amount, after [`take`](Self::take) if it was used.
    pub(crate) fn release(&mut self, amount: f64) {
        self.reserved = (self.reserved - amount).max(0.0);
        self.level = self.level.min(self.highest());
    }

    /// Applies the remaining amount and the reset that an upstream reports.
    ///
    /// A reported amount lowers the level and never raises it. At the reset the bucket becomes full, less the
    /// amount taken since this report.
    pub(crate) fn observe(&mut self, limit: RateLimit, now: Instant) {
        self.refill(now);
        if let Some(remaining) = limit.remaining {
            self.level = self.level.min(remaining as f64);
        }
        self.reset = limit.reset_after.map(|after| Reset { at: now + after.min(PERIOD), taken: 0.0 });
    }

    /// Changes the capacity and the refill rate. The level stays, up to the new capacity.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = (limit as f64).max(1.0);
        self.level = self.level.min(self.limit);
    }

    /// Returns the bucket for another configuration: with the limit that is `configured` there, or as a learned one. The
    /// reservations stay with the requests of the earlier configuration.
    pub(super) fn inherited(&self, configured: Option<u64>) -> Self {
        let mut bucket = Self { reserved: 0.0, may_owe: configured.is_some(), ..self.clone() };
        if let Some(limit) = configured {
            bucket.set_limit(limit);
        }
        bucket.level = bucket.level.max(bucket.lowest());
        bucket
    }

    /// Returns the amount per minute, and the amount that is left now beside the reserved ones. Both are whole.
    pub(crate) fn level(&mut self, now: Instant) -> (u64, u64) {
        self.refill(now);
        (self.limit as u64, (self.level - self.reserved).max(0.0) as u64)
    }

    /// Returns the level as a fraction of the capacity, from 0 to 1.
    #[must_use]
    pub(crate) fn fraction_left(&mut self, now: Instant) -> f64 {
        self.refill(now);
        ((self.level - self.reserved) / self.limit).max(0.0)
    }

    /// Returns the limit, the amount that is left beside the reservations, and the time until the bucket is full.
    pub(crate) fn state(&mut self, now: Instant) -> RateLimit {
        self.refill(now);
        RateLimit::default()
            .with_limit(self.limit as u64)
            .with_remaining((self.level - self.reserved).max(0.0) as u64)
            .with_reset_after(self.time_until(self.limit))
    }

    /// Returns the time until the bucket holds `amount`, at most its capacity, after everything reserved is taken.
    fn time_until(&self, amount: f64) -> Duration {
        let left = (self.level - self.reserved).max(self.lowest());
        PERIOD.mul_f64((amount - left).max(0.0) / self.limit)
    }

    /// The highest level: what is reserved is on its way out of a full bucket.
    fn highest(&self) -> f64 {
        self.limit + self.reserved
    }

    /// The lowest level: the debt that is paid off, at most.
    fn lowest(&self) -> f64 {
        if self.may_owe { -LARGEST_DEBT * self.limit } else { 0.0 }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        self.level = (self.level + self.limit * passed.div_duration_f64(PERIOD)).min(self.highest());
        if let Some(Reset { taken, .. }) = self.reset.take_if(|reset| reset.at <= now) {
            self.level = self.level.max(self.limit - taken.max(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn left(remaining: u64, reset_after: Option<Duration>) -> RateLimit {
        RateLimit::default().with_remaining(remaining).with_reset_after(reset_after)
    }

    #[test]
    fn any_minute_permits_at_most_the_limit_plus_a_full_bucket() {
        let mut random = fastrand::Rng::with_seed(7);
        let start = clock::now();
        for limit in [1, 7, 50, 4000] {
            let mut bucket = Bucket::new(limit, start);
            let mut taken: Vec<(Duration, f64)> = Vec::new();
            let mut time = Duration::ZERO;
            for _ in 0..4000 {
                time += Duration::from_millis(random.u64(0..200));
                let cost = random.f64() * limit as f64 / 5.0;
                if bucket.wait_time(cost, start + time).is_none() {
                    bucket.take(cost, start + time);
                    taken.push((time, cost));
                }
            }
            for (from, _) in &taken {
                let window = taken.iter().filter(|(at, _)| at >= from && *at < *from + PERIOD);
                assert!(window.map(|(_, cost)| cost).sum::<f64>() <= 2.0 * limit as f64 + 1e-6);
            }
            let all: f64 = taken.iter().map(|(_, cost)| cost).sum();
            assert!(all <= limit as f64 * (1.0 + time.as_secs_f64() / 60.0) + 1e-6);
        }
    }

    #[test]
    fn the_cost_is_available_after_the_wait_time() {
        let start = clock::now();
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..1000 {
            let mut bucket = Bucket::new(random.u64(1..100_000), start);
            bucket.take(random.f64() * 200_000.0, start);
            let cost = random.f64() * 200_000.0;
            if let Some(wait) = bucket.wait_time(cost, start) {
                assert_eq!(bucket.wait_time(cost, start + wait + Duration::from_micros(1)), None);
            }
        }
    }

    #[test]
    fn a_cost_beyond_the_limit_needs_a_full_bucket() {
        let start = clock::now();
        let mut bucket = Bucket::new(10, start);
        assert_eq!(bucket.wait_time(1e9, start), None);
        bucket.take(4.0, start);
        assert_eq!(bucket.wait_time(1e9, start).map(|wait| wait.as_secs()), Some(24));
    }

    #[test]
    fn a_debt_is_paid_off_within_a_minute_and_an_upstreams_own_limit_owes_nothing() {
        let start = clock::now();
        for excess in [1e3, 1e9] {
            let mut bucket = Bucket::new(100, start);
            bucket.take(excess, start);
            assert_eq!(bucket.wait_time(1.0, start).map(|wait| wait.as_secs()), Some(54));
            let mut learned = Bucket::learned(100, start);
            learned.take(excess, start);
            assert_eq!(learned.wait_time(1.0, start).map(|wait| wait.as_millis()), Some(600));
        }
    }

    #[test]
    fn reserved_amounts_are_not_available_and_return() {
        let start = clock::now();
        let mut bucket = Bucket::new(60, start);
        bucket.reserve(50.0);
        assert_eq!(bucket.wait_time(10.0, start), None);
        assert_eq!(bucket.wait_time(15.0, start).map(|wait| wait.as_secs()), Some(5));
        bucket.release(50.0);
        assert_eq!(bucket.wait_time(60.0, start), None);
    }

    #[test]
    fn a_reservation_of_any_size_postpones_other_requests_by_the_largest_debt_at_most() {
        let start = clock::now();
        for limit in [1, 100, u64::MAX] {
            for reserved in [1e9, u64::MAX as f64, f64::MAX] {
                let mut bucket = Bucket::new(limit, start);
                bucket.reserve(limit as f64 + reserved);
                let wait = bucket.wait_time(limit as f64, start).unwrap();
                assert!(wait <= 115 * SECOND, "{wait:?}");
                assert!(bucket.state(start).reset_after.unwrap() <= 115 * SECOND);
                bucket.release(f64::MAX);
                assert_eq!(bucket.wait_time(limit as f64, start), None);
            }
        }
    }

    #[test]
    fn a_full_bucket_refills_what_is_reserved() {
        let start = clock::now();
        for (used, left) in [(50.0, 40.0), (0.0, 60.0)] {
            let mut bucket = Bucket::new(60, start);
            bucket.reserve(50.0);
            let later = start + 30 * SECOND;
            assert_eq!(bucket.wait_time(40.0, later), None);
            bucket.take(used, later);
            bucket.release(50.0);
            assert_eq!((bucket.fraction_left(later) * 60.0).round(), left);
        }
    }

    #[test]
    fn a_reported_amount_lowers_the_level_and_never_raises_it() {
        let start = clock::now();
        let mut bucket = Bucket::new(60, start);
        bucket.take(10.0, start);
        bucket.observe(left(55, None), start);
        assert_eq!(bucket.fraction_left(start), 50.0 / 60.0);
        bucket.observe(left(6, None), start);
        assert_eq!(bucket.fraction_left(start), 0.1);
    }

    #[test]
    fn a_reset_fills_the_bucket_less_the_amount_taken_since_the_report() {
        let start = clock::now();
        let mut bucket = Bucket::new(60, start);
        bucket.observe(left(0, Some(5 * SECOND)), start);
        assert_eq!(bucket.wait_time(30.0, start).map(|wait| wait.as_secs()), Some(5));
        bucket.take(2.0, start + 3 * SECOND);
        assert_eq!(bucket.fraction_left(start + 4 * SECOND), 2.0 / 60.0);
        assert_eq!(bucket.fraction_left(start + 5 * SECOND), 58.0 / 60.0);
    }

    #[test]
    fn a_refund_never_exceeds_the_capacity() {
        let start = clock::now();
        let mut bucket = Bucket::new(10, start);
        bucket.take(4.0, start);
        bucket.refund(9.0, start);
        assert_eq!(bucket.fraction_left(start), 1.0);
        bucket.set_limit(5);
        assert_eq!(bucket.fraction_left(start), 1.0);
    }

    #[test]
    fn a_clock_that_goes_back_refills_nothing() {
        let start = clock::now();
        let mut bucket = Bucket::new(60, start + SECOND);
        bucket.take(60.0, start + SECOND);
        assert!(bucket.wait_time(1.0, start).is_some());
        assert!(bucket.wait_time(2.0, start + 2 * SECOND).is_some());
        assert!(bucket.wait_time(1.0, start + 2 * SECOND).is_none());
    }
}
