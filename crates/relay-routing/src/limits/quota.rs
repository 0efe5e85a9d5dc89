//! The limits of one key.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use relay_config::KeyLimits;
use relay_messages::{RateLimit, RateLimits};
use tokio::time::Instant;

use super::bucket::Bucket;
use super::cooldown::Cooldown;
use super::usage::{RequestCost, TokensUsed, TypicalUsage};
use crate::lock::lock;

/// How long a key is left alone that has met a limit, where the upstream does not say.
const COOLDOWN: Duration = Duration::from_secs(30);
/// No upstream is believed that a limit lasts longer.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// The limits of one key, or of the organisation that several keys belong to, and what is left of them.
///
/// ```
/// use std::num::NonZeroU64;
/// use relay_config::KeyLimits;
/// use relay_providers::MessagesBody;
/// use relay_routing::{RequestCost, Quota, TokensUsed};
/// use tokio::time::Instant;
///
/// let now = Instant::now();
/// let limits = KeyLimits { requests: NonZeroU64::new(1), ..KeyLimits::default() };
/// let quota = Quota::new(limits, now);
/// let body = MessagesBody::parse(r#"{"model":"m"}"#.into())?;
/// let cost = RequestCost::new(&body);
/// let reservation = quota.reserve(&cost, now).expect("a full bucket");
/// assert_eq!(quota.wait(&cost, now).map(|wait| wait.as_secs()), Some(60));
/// quota.settle(reservation, TokensUsed { input: Some(12), output: Some(34) }, now);
/// # Ok::<(), relay_providers::BodyError>(())
/// ```
#[derive(Debug)]
pub struct Quota(Mutex<QuotaState>);

#[derive(Debug)]
struct QuotaState {
    requests: Limit,
    tokens: Limit,
    input_tokens: Limit,
    output_tokens: Limit,
    cooldown: Cooldown,
    typical: TypicalUsage,
}

/// One limit; without a bucket, it is not known.
#[derive(Debug)]
struct Limit {
    configured: Option<u64>,
    bucket: Option<Bucket>,
}

/// What a request has taken in advance. To be given back by [`Quota::settle`] or [`Quota::cancel`], else it is lost.
#[derive(Debug)]
#[must_use = "what is never settled stays taken, and a trial stays under way"]
pub struct Reservation {
    /// The estimate of the input that it was made from, if one was needed.
    estimate: Option<u64>,
    input: f64,
    output: f64,
    is_trial: bool,
}

impl Quota {
    /// Full buckets for the limits that are configured; others are learned.
    #[must_use]
    pub fn new(limits: KeyLimits, now: Instant) -> Self {
        let limit = |configured: Option<std::num::NonZeroU64>| Limit {
            configured: configured.map(Into::into),
            bucket: configured.map(|limit| Bucket::new(limit.into(), now)),
        };
        Self(Mutex::new(QuotaState {
            requests: limit(limits.requests),
            tokens: limit(limits.tokens),
            input_tokens: limit(limits.input_tokens),
            output_tokens: limit(limits.output_tokens),
            cooldown: Cooldown::default(),
            typical: TypicalUsage::default(),
        }))
    }

    /// When `cost` can be met; `None` is now.
    pub fn wait(&self, cost: &RequestCost<'_>, now: Instant) -> Option<Duration> {
        self.lock().wait(cost, now)
    }

    /// How long the upstream wants to be left alone, if it does.
    pub fn cooldown(&self, now: Instant) -> Option<Duration> {
        self.lock().cooldown.left(now)
    }

    /// Takes what `cost` will probably use, if it is there.
    pub fn reserve(&self, cost: &RequestCost<'_>, now: Instant) -> Option<Reservation> {
        let mut limits = self.lock();
        if limits.wait(cost, now).is_some() {
            return None;
        }
        let is_trial = limits.cooldown.begin_trial(now);
        let (estimate, input, output) = match limits.counts_tokens() {
            true => {
                let estimate = cost.input_tokens();
                (Some(estimate), limits.typical.input(estimate), limits.typical.output(cost.max_tokens()))
            }
            false => (None, 0.0, 0.0),
        };
        limits.requests.take(1.0, now);
        limits.take_tokens(input, output, now);
        Some(Reservation { estimate, input, output, is_trial })
    }

    /// Ends a reservation with what was really used; what is not known stays as it was estimated.
    pub fn settle(&self, reservation: Reservation, used: TokensUsed, now: Instant) {
        let mut limits = self.lock();
        if reservation.is_trial {
            limits.cooldown.end_trial();
        }
        if let (Some(estimate), true) = (reservation.estimate, used != TokensUsed::ZERO) {
            limits.typical.learn(estimate, used);
        }
        let difference = |reserved: f64, used: Option<u64>| used.map_or(0.0, |used| used as f64 - reserved);
        let input = difference(reservation.input, used.input);
        let output = difference(reservation.output, used.output);
        limits.take_tokens(input, output, now);
    }

    /// Ends the reservation of a request that was never sent.
    pub fn cancel(&self, reservation: Reservation, now: Instant) {
        self.lock().requests.take(-1.0, now);
        self.settle(reservation, TokensUsed::ZERO, now);
    }

    /// Goes on with what is left under `other`'s limits, and until when that wants to be left alone. Limits that are
    /// configured here stay.
    pub(crate) fn inherit_state(&self, other: &Self) {
        let before = other.lock();
        let mut limits = self.lock();
        for (limit, before) in limits.all().zip(before.all_known()) {
            limit.inherit_state(before);
        }
        limits.cooldown = before.cooldown.clone();
        limits.cooldown.end_trial();
        limits.typical = before.typical.clone();
    }

    /// Takes over what the upstream's headers say.
    pub fn correct(&self, reported: &RateLimits, now: Instant) {
        let limits = &mut *self.lock();
        limits.requests.correct(reported.requests, &mut limits.cooldown, now);
        limits.tokens.correct(reported.tokens, &mut limits.cooldown, now);
        limits.input_tokens.correct(reported.input_tokens, &mut limits.cooldown, now);
        limits.output_tokens.correct(reported.output_tokens, &mut limits.cooldown, now);
    }

    /// The upstream wants to be left alone.
    pub fn cool_down(&self, time: Option<Duration>, now: Instant) {
        self.lock().cooldown.extend(time.unwrap_or(COOLDOWN).min(LONGEST), now);
    }

    /// The upstream has served a request that was sent at `asked`: no cooldown that began before holds any longer.
    pub fn end_cooldown(&self, asked: Instant) {
        self.lock().cooldown.served(asked);
    }

    /// The smallest part that is left of any limit, from 0 to 1; 1 if none is known.
    #[must_use]
    pub fn share_left(&self, now: Instant) -> f64 {
        let mut limits = self.lock();
        limits
            .all()
            .filter_map(|limit| limit.bucket.as_mut())
            .fold(1.0, |least, bucket| least.min(bucket.share_left(now)))
    }

    fn lock(&self) -> MutexGuard<'_, QuotaState> {
        lock(&self.0)
    }
}

impl QuotaState {
    fn wait(&mut self, cost: &RequestCost<'_>, now: Instant) -> Option<Duration> {
        let mut waits = [self.cooldown.wait(now), self.requests.wait(1.0, now), None, None, None];
        if self.counts_tokens() {
            let input = self.typical.input(cost.input_tokens());
            let output = self.typical.output(cost.max_tokens());
            waits[2] = self.tokens.wait(input + output, now);
            waits[3] = self.input_tokens.wait(input, now);
            waits[4] = self.output_tokens.wait(output, now);
        }
        waits.into_iter().flatten().max()
    }

    fn counts_tokens(&self) -> bool {
        [&self.tokens, &self.input_tokens, &self.output_tokens].iter().any(|limit| limit.bucket.is_some())
    }

    /// Takes from the buckets, or puts back what is negative.
    fn take_tokens(&mut self, input: f64, output: f64, now: Instant) {
        self.tokens.take(input + output, now);
        self.input_tokens.take(input, now);
        self.output_tokens.take(output, now);
    }

    fn all_known(&self) -> impl Iterator<Item = &Limit> {
        [&self.requests, &self.tokens, &self.input_tokens, &self.output_tokens].into_iter()
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Limit> {
        [&mut self.requests, &mut self.tokens, &mut self.input_tokens, &mut self.output_tokens].into_iter()
    }
}

impl Limit {
    fn inherit_state(&mut self, before: &Self) {
        if let Some(bucket) = &before.bucket {
            let mut bucket = bucket.clone();
            if let Some(limit) = self.configured {
                bucket.set_limit(limit);
            }
            self.bucket = Some(bucket);
        }
    }

    fn wait(&mut self, cost: f64, now: Instant) -> Option<Duration> {
        self.bucket.as_mut()?.wait(cost, now)
    }

    fn take(&mut self, cost: f64, now: Instant) {
        match &mut self.bucket {
            Some(bucket) if cost >= 0.0 => bucket.take(cost, now),
            Some(bucket) => bucket.put_back(-cost, now),
            None => {}
        }
    }

    /// The upstream's limit counts where none is configured, or where it is the smaller one.
    fn correct(&mut self, mut reported: RateLimit, cooldown: &mut Cooldown, now: Instant) {
        // What the upstream fills again is its own limit, not a lower one that is configured; nor is anything filled by
        // a reset that is over, which clocks that disagree make of every one.
        let is_own =
            self.configured.is_none_or(|configured| reported.limit.is_some_and(|limit| limit <= configured));
        reported.reset_after = reported.reset_after.filter(|after| is_own && !after.is_zero());
        if let Some(limit) = reported.limit {
            let limit = self.configured.map_or(limit, |configured| configured.min(limit));
            match &mut self.bucket {
                Some(bucket) => bucket.set_limit(limit),
                None => self.bucket = Some(Bucket::new(limit, now)),
            }
        }
        match (&mut self.bucket, reported.remaining, reported.reset_after) {
            (Some(bucket), _, _) => bucket.correct(reported, now),
            // Nothing is left of a limit that nobody has told.
            (None, Some(0), Some(reset_after)) => cooldown.extend(reset_after.min(LONGEST), now),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use relay_messages::MessagesBody;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(requests: u64, input_tokens: u64, now: Instant) -> Quota {
        let limits = KeyLimits {
            requests: NonZeroU64::new(requests),
            input_tokens: NonZeroU64::new(input_tokens),
            ..KeyLimits::default()
        };
        Quota::new(limits, now)
    }

    fn body() -> MessagesBody {
        MessagesBody::parse(r#"{"model":"m","max_tokens":100}"#.into()).unwrap()
    }

    fn used(input: u64, output: u64) -> TokensUsed {
        TokensUsed { input: Some(input), output: Some(output) }
    }

    fn reported(limit: u64, remaining: u64, reset_after: Duration) -> RateLimit {
        RateLimit { limit: Some(limit), remaining: Some(remaining), reset_after: Some(reset_after) }
    }

    #[test]
    fn requests_are_counted_and_come_back_with_time() {
        let (now, body) = (Instant::now(), body());
        let (quota, cost) = (quota(2, 0, now), RequestCost::new(&body));
        for _ in 0..2 {
            quota.settle(quota.reserve(&cost, now).unwrap(), TokensUsed::default(), now);
        }
        assert_eq!(quota.wait(&cost, now).map(|wait| wait.as_secs()), Some(30));
        assert!(quota.reserve(&cost, now).is_none());
        assert!(quota.reserve(&cost, now + 31 * SECOND).is_some());
    }

    #[test]
    fn a_reservation_is_settled_with_what_was_used() {
        let (now, body) = (Instant::now(), body());
        let (quota, cost) = (quota(0, 1000, now), RequestCost::with_estimate(&body, 400));
        let left = || (quota.share_left(now) * 1000.0).round();
        let first = quota.reserve(&cost, now).unwrap();
        assert_eq!(left(), 600.0);
        quota.settle(first, used(100, 7), now);
        assert_eq!(left(), 900.0);
        // Nothing is known of how the next one ended.
        let next = quota.reserve(&cost, now).unwrap();
        let reserved = 900.0 - left();
        assert!((100.0..400.0).contains(&reserved), "the estimate has been learned from: {reserved}");
        quota.settle(next, TokensUsed::default(), now);
        assert_eq!(left(), 900.0 - reserved);
    }

    #[test]
    fn what_a_request_owes_keeps_the_next_ones_waiting() {
        let (now, body) = (Instant::now(), body());
        let (quota, cost) = (quota(0, 60, now), RequestCost::with_estimate(&body, 1));
        quota.settle(quota.reserve(&cost, now).unwrap(), used(120, 0), now);
        assert!(quota.wait(&cost, now + 59 * SECOND).is_some());
        assert!(quota.wait(&cost, now + 120 * SECOND).is_none());
    }

    #[test]
    fn limits_are_learned_and_the_smaller_one_counts() {
        let (now, body) = (Instant::now(), body());
        let cost = RequestCost::new(&body);
        let learned = quota(0, 0, now);
        let reported = RateLimits { requests: reported(50, 1, 60 * SECOND), ..RateLimits::default() };
        learned.correct(&reported, now);
        assert!(learned.reserve(&cost, now).is_some());
        assert!(learned.reserve(&cost, now).is_none());

        let configured = quota(2, 0, now);
        let many = RateLimit { limit: Some(50), remaining: Some(50), reset_after: None };
        configured.correct(&RateLimits { requests: many, ..RateLimits::default() }, now);
        let reserved = (0..5).filter(|_| configured.reserve(&cost, now).is_some()).count();
        assert_eq!(reserved, 2);
    }

    #[test]
    fn a_reset_fills_neither_a_lower_limit_that_is_configured_nor_anything_if_it_is_over() {
        #[track_caller]
        fn check(configured: u64, reported: RateLimit, expected_in_seconds: u64) {
            let (now, body) = (Instant::now(), body());
            let (quota, cost) = (quota(configured, 0, now), RequestCost::new(&body));
            for _ in 0..2 {
                quota.settle(quota.reserve(&cost, now).unwrap(), TokensUsed::default(), now);
            }
            quota.correct(&RateLimits { requests: reported, ..RateLimits::default() }, now);
            assert_eq!(quota.wait(&cost, now).map(|wait| wait.as_secs()), Some(expected_in_seconds));
        }
        check(2, reported(4000, 3998, SECOND), 30);
        check(2, RateLimit { limit: None, ..reported(0, 0, SECOND) }, 30);
        check(2, reported(2, 0, SECOND), 1);
        check(2, reported(2, 0, Duration::ZERO), 30);
        check(4000, reported(2, 0, SECOND), 1);
    }

    #[test]
    fn a_limit_that_is_used_up_and_not_told_is_a_cooldown() {
        let (now, body) = (Instant::now(), body());
        let quota = quota(0, 0, now);
        let requests = RateLimit { limit: None, remaining: Some(0), reset_after: Some(9 * SECOND) };
        quota.correct(&RateLimits { requests, ..RateLimits::default() }, now);
        assert_eq!(quota.wait(&RequestCost::new(&body), now), Some(9 * SECOND));
        quota.end_cooldown(now);
        assert_eq!(quota.wait(&RequestCost::new(&body), now), None);
    }

    #[test]
    fn what_was_never_sent_costs_nothing() {
        let (now, body) = (Instant::now(), body());
        let (quota, cost) = (quota(1, 100, now), RequestCost::with_estimate(&body, 50));
        for _ in 0..3 {
            quota.cancel(quota.reserve(&cost, now).unwrap(), now);
        }
        assert_eq!(quota.share_left(now), 1.0);
    }

    #[test]
    fn a_trial_ends_with_its_reservation() {
        let (now, body) = (Instant::now(), body());
        let (quota, cost) = (quota(0, 0, now), RequestCost::new(&body));
        quota.cool_down(Some(3600 * SECOND), now);
        let later = now + 60 * SECOND;
        let trial = quota.reserve(&cost, later).unwrap();
        assert!(quota.reserve(&cost, later).is_none());
        quota.settle(trial, TokensUsed::default(), later);
        assert!(quota.reserve(&cost, later).is_some());
    }
}
