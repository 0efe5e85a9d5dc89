//! How much of one limit is left.

use std::time::Duration;

use relay_messages::RateLimit;

use tokio::time::Instant;

/// What limits are counted in.
const PERIOD: Duration = Duration::from_secs(60);

/// A token bucket: it holds what may be used in a minute, and is refilled evenly. What turns out to have been used beyond
/// what was reserved makes it owe.
///
/// ```
/// # use std::time::Duration;
/// # use relay_routing::Bucket;
/// # use tokio::time::Instant;
/// let start = Instant::now();
/// let mut bucket = Bucket::new(60, start);
/// bucket.take(60.0, start);
/// assert_eq!(bucket.wait(2.0, start).map(|wait| wait.as_secs()), Some(2));
/// assert_eq!(bucket.wait(2.0, start + Duration::from_secs(3)), None);
/// ```
#[derive(Debug, Clone)]
pub struct Bucket {
    /// What may be used in a minute, and the most that it holds.
    limit: f64,
    /// What it holds at `at`; negative if it owes.
    level: f64,
    at: Instant,
    /// When the upstream will have filled it.
    reset: Option<Reset>,
}

#[derive(Debug, Clone, Copy)]
struct Reset {
    at: Instant,
    /// What has been taken since the upstream said so.
    taken: f64,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(limit: u64, now: Instant) -> Self {
        let limit = (limit as f64).max(1.0);
        Self { limit, level: limit, at: now, reset: None }
    }

    /// How long until it holds `cost`; `None` if it does. What is more than it can hold costs all of it.
    pub fn wait(&mut self, cost: f64, now: Instant) -> Option<Duration> {
        self.refill(now);
        let missing = cost.min(self.limit) - self.level;
        if missing <= 0.0 {
            return None;
        }
        let refilled = PERIOD.mul_f64(missing / self.limit);
        let reset = self.reset.map(|reset| reset.at.saturating_duration_since(now));
        // Rounded up, so that what is waited for is there.
        Some(reset.map_or(refilled, |reset| reset.min(refilled)) + Duration::from_nanos(1))
    }

    /// Takes `cost`, whether it is there or not.
    pub fn take(&mut self, cost: f64, now: Instant) {
        self.refill(now);
        self.level -= cost;
        if let Some(reset) = &mut self.reset {
            reset.taken += cost;
        }
    }

    /// Puts back what was taken and not used.
    pub fn put_back(&mut self, unused: f64, now: Instant) {
        self.refill(now);
        self.level = (self.level + unused).min(self.limit);
        if let Some(reset) = &mut self.reset {
            reset.taken -= unused;
        }
    }

    /// Takes over what the upstream says: less may be left than was known of, never more. At its reset the bucket is
    /// full, but for what has been taken since.
    pub fn correct(&mut self, limit: RateLimit, now: Instant) {
        self.refill(now);
        if let Some(remaining) = limit.remaining {
            self.level = self.level.min(remaining as f64);
        }
        self.reset = limit.reset_after.map(|after| Reset { at: now + after.min(PERIOD), taken: 0.0 });
    }

    /// Changes what may be used in a minute; what is left stays, as far as it fits.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = (limit as f64).max(1.0);
        self.level = self.level.min(self.limit);
    }

    /// The part of the limit that is left, from 0 to 1.
    #[must_use]
    pub fn share_left(&mut self, now: Instant) -> f64 {
        self.refill(now);
        (self.level / self.limit).max(0.0)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        self.level = (self.level + self.limit * passed.div_duration_f64(PERIOD)).min(self.limit);
        if let Some(Reset { taken, .. }) = self.reset.take_if(|reset| reset.at <= now) {
            self.level = self.level.max(self.limit - taken.max(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn left(remaining: u64, reset_after: Option<Duration>) -> RateLimit {
        RateLimit { limit: None, remaining: Some(remaining), reset_after }
    }

    #[test]
    fn no_minute_gives_more_than_the_limit_and_what_the_bucket_held() {
        let mut random = fastrand::Rng::with_seed(7);
        let start = Instant::now();
        for limit in [1, 7, 50, 4000] {
            let mut bucket = Bucket::new(limit, start);
            let mut taken: Vec<(Duration, f64)> = Vec::new();
            let mut time = Duration::ZERO;
            for _ in 0..4000 {
                time += Duration::from_millis(random.u64(0..200));
                let cost = random.f64() * limit as f64 / 5.0;
                if bucket.wait(cost, start + time).is_none() {
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
    fn what_is_waited_for_is_there() {
        let start = Instant::now();
        let mut random = fastrand::Rng::with_seed(8);
        for _ in 0..1000 {
            let mut bucket = Bucket::new(random.u64(1..100_000), start);
            bucket.take(random.f64() * 200_000.0, start);
            let cost = random.f64() * 200_000.0;
            if let Some(wait) = bucket.wait(cost, start) {
                assert_eq!(bucket.wait(cost, start + wait + Duration::from_micros(1)), None);
            }
        }
    }

    #[test]
    fn a_cost_beyond_the_limit_needs_a_full_bucket() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        assert_eq!(bucket.wait(1e9, start), None);
        bucket.take(25.0, start);
        assert!(bucket.wait(1.0, start + 90 * SECOND).is_some(), "it owes 15, which takes 90 s");
        assert_eq!(bucket.wait(1.0, start + 97 * SECOND), None);
    }

    #[test]
    fn headers_take_away_and_never_add() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start);
        bucket.take(10.0, start);
        bucket.correct(left(55, None), start);
        assert_eq!(bucket.share_left(start), 50.0 / 60.0);
        bucket.correct(left(6, None), start);
        assert_eq!(bucket.share_left(start), 0.1);
    }

    #[test]
    fn a_reset_restores_but_for_what_was_taken_since() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start);
        bucket.correct(left(0, Some(5 * SECOND)), start);
        assert_eq!(bucket.wait(30.0, start).map(|wait| wait.as_secs()), Some(5));
        bucket.take(2.0, start + 3 * SECOND);
        assert_eq!(bucket.share_left(start + 4 * SECOND), 2.0 / 60.0);
        assert_eq!(bucket.share_left(start + 5 * SECOND), 58.0 / 60.0);
    }

    #[test]
    fn what_comes_back_never_overflows() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        bucket.take(4.0, start);
        bucket.put_back(9.0, start);
        assert_eq!(bucket.share_left(start), 1.0);
        bucket.set_limit(5);
        assert_eq!(bucket.share_left(start), 1.0);
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(60, start + SECOND);
        bucket.take(60.0, start + SECOND);
        assert!(bucket.wait(1.0, start).is_some());
        assert!(bucket.wait(2.0, start + 2 * SECOND).is_some());
        assert!(bucket.wait(1.0, start + 2 * SECOND).is_none());
    }
}
