//! The limits of one key or organization.

use std::num::NonZeroU64;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use relay_config::KeyLimits;
use relay_messages::{RateLimit, RateLimits};
use serde::Serialize;

use super::bucket::Bucket;
use super::cooldown::Cooldown;
use super::hint::Hint;
use super::usage::{RequestCost, TokensUsed, TypicalUsage};
use crate::lock::lock;

/// The cooldown after a limit, if the upstream reports no time.
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(30);
/// The longest cooldown. Longer times that an upstream reports are cut to it.
const MAX_COOLDOWN: Duration = Duration::from_secs(31 * 24 * 3600);

/// The smallest amount of a limit: one request, or one token.
const ANY: f64 = 1.0;

/// The limits of one key, or of the organization that several keys belong to, and the amounts left of them.
///
/// ```
/// use relay_config::KeyLimits;
/// use relay_messages::MessagesBody;
/// use relay_routing::{Quota, RequestCost, TokensUsed};
/// use std::time::Instant;
///
/// let now = Instant::now();
/// let limits = KeyLimits::default().with_requests(1);
/// let quota = Quota::new(limits, now);
/// let body = MessagesBody::parse(r#"{"model":"m"}"#.into())?;
/// let cost = RequestCost::new(&body);
/// let reservation = quota.reserve(&cost, now).expect("a full bucket");
/// assert_eq!(quota.wait_time(&cost, now).map(|wait| wait.as_secs()), Some(60));
/// // While an answer flows, `Quota::take` takes the tokens that it has used so far.
/// quota.settle(reservation, TokensUsed::new(12, 34), now);
/// # Ok::<(), relay_messages::BodyError>(())
/// ```
#[derive(Debug)]
pub struct Quota {
    state: Mutex<QuotaState>,
    hint: Hint,
}

#[derive(Debug)]
struct QuotaState {
    requests: KnownLimit,
    tokens: KnownLimit,
    input_tokens: KnownLimit,
    output_tokens: KnownLimit,
    cooldown: Cooldown,
    /// The period after the upstream has rejected the account.
    rejection: Cooldown,
    typical: TypicalUsage,
}

/// One limit: configured, learned from headers, or not known yet.
#[derive(Debug)]
struct KnownLimit {
    configured: Option<u64>,
    /// `None` as long as the limit is not known.
    bucket: Option<Bucket>,
}

/// One limit of a key at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitLevel {
    /// The counted unit: `requests`, `tokens`, `input_tokens` or `output_tokens`.
    pub name: &'static str,
    /// The amount per minute.
    pub per_minute: u64,
    /// The amount that is left now, without the amounts that are reserved for requests under way.
    pub remaining: u64,
    /// True if the configuration states the limit; `false` if it was learned from responses.
    pub is_configured: bool,
}

/// The share of a request in its limits: the amounts that are reserved, and those that are taken already. End it with
/// [`Quota::settle`] or [`Quota::cancel`].
#[derive(Debug)]
#[must_use = "a reservation that is never settled keeps its amounts, and its trial never ends"]
pub struct Reservation {
    /// The estimate of the input tokens; `None` if no token limit is configured.
    estimate: Option<u64>,
    /// The reserved input tokens that are not taken yet.
    input: f64,
    /// The reserved output tokens that are not taken yet.
    output: f64,
    /// The tokens that are taken.
    taken: (u64, u64),
    is_trial: bool,
}

impl Quota {
    /// Creates full buckets for the configured limits. The other limits are learned from headers.
    #[must_use]
    pub fn new(limits: KeyLimits, now: Instant) -> Self {
        let limit = |configured: Option<NonZeroU64>| KnownLimit {
            configured: configured.map(Into::into),
            bucket: configured.map(|limit| Bucket::new(limit.into(), now)),
        };
        let state = QuotaState {
            requests: limit(limits.requests),
            tokens: limit(limits.tokens),
            input_tokens: limit(limits.input_tokens),
            output_tokens: limit(limits.output_tokens),
            cooldown: Cooldown::default(),
            rejection: Cooldown::default(),
            typical: TypicalUsage::default(),
        };
        let hint = Hint::new(now);
        hint.update(state.has_limit(), state.has_pause());
        Self { state: Mutex::new(state), hint }
    }

    /// Returns the time until `cost` can be reserved, or `None` if it can be reserved now.
    pub fn wait_time(&self, cost: &RequestCost<'_>, now: Instant) -> Option<Duration> {
        if !self.hint.has_limit() {
            return None;
        }
        let mut state = self.lock();
        let wait = state.wait_time(cost, now)?;
        if let Some(least) = state.least_wait_time(now) {
            self.hint.set_not_before(now + least);
        }
        Some(wait)
    }

    /// Returns `true` if no request that uses tokens can be reserved now, as far as that is known without a lock. `false`
    /// means that it is not known.
    pub(crate) fn is_known_to_be_limited(&self, now: Instant) -> bool {
        self.hint.is_before(now)
    }

    /// Returns the remaining cooldown, or `None` if none is running.
    pub fn cooldown(&self, now: Instant) -> Option<Duration> {
        self.lock().cooldown.remaining(now)
    }

    /// Takes the expected usage of `cost`, or returns `None` if a limit or a cooldown does not permit it.
    pub fn reserve(&self, cost: &RequestCost<'_>, now: Instant) -> Option<Reservation> {
        let mut state = self.change();
        if state.wait_time(cost, now).is_some() {
            return None;
        }
        let is_trial = state.cooldown.begin_trial(now);
        let (estimate, input, output) = match state.has_configured_tokens() && cost.has_tokens() {
            true => {
                let estimate = cost.input_tokens();
                (Some(estimate), state.typical.input(estimate), state.typical.output(cost.max_tokens()))
            }
            false => (None, 0.0, 0.0),
        };
        state.requests.take(1.0, now);
        state.reserve(input, output);
        Some(Reservation { estimate, input, output, taken: (0, 0), is_trial })
    }

    /// Takes the tokens that an answer under way has used so far. An amount is not taken twice, and a number that is
    /// not known yet changes nothing.
    pub fn take(&self, reservation: &mut Reservation, used: TokensUsed, now: Instant) {
        let mut state = self.change();
        if !state.has_token_limit() {
            return;
        }
        state.take_used(reservation, used, now);
        if used.input.is_some_and(|input| input > 0) {
            // The input is known as a whole.
            let rest = std::mem::take(&mut reservation.input);
            state.release(rest, 0.0);
        }
    }

    /// Ends a reservation with the tokens used. An unreported number stays at its estimate.
    pub fn settle(&self, mut reservation: Reservation, used: TokensUsed, now: Instant) {
        let mut state = self.change();
        if reservation.is_trial {
            state.cooldown.end_trial();
        }
        if let (Some(estimate), true) = (reservation.estimate, used != TokensUsed::ZERO) {
            state.typical.record(estimate, used);
        }
        let (input, output) = reservation.taken;
        let used = TokensUsed {
            input: used.input.or(Some(input + reservation.input.round() as u64)),
            output: used.output.or(Some(output + reservation.output.round() as u64)),
        };
        state.take_used(&mut reservation, used, now);
        state.release(reservation.input, reservation.output);
    }

    /// Ends the reservation of a request that was never sent, and returns everything that it took.
    pub fn cancel(&self, reservation: Reservation, now: Instant) {
        self.change().requests.take(-1.0, now);
        self.settle(reservation, TokensUsed::ZERO, now);
    }

    /// Returns the known limits: what remains of each beside the reservations, and the time until it is full.
    #[must_use]
    pub fn state(&self, now: Instant) -> RateLimits {
        let mut state = self.lock();
        let mut of = |limit: fn(&mut QuotaState) -> &mut KnownLimit| {
            let bucket = limit(&mut state).bucket.as_mut();
            bucket.map_or_else(RateLimit::default, |bucket| bucket.state(now))
        };
        RateLimits::default()
            .with_requests(of(|state| &mut state.requests))
            .with_tokens(of(|state| &mut state.tokens))
            .with_input_tokens(of(|state| &mut state.input_tokens))
            .with_output_tokens(of(|state| &mut state.output_tokens))
    }

    /// Takes over the levels, the learned limits, the cooldown and the averages of `other`. Configured limits
    /// stay.
    pub fn inherit_state(&self, other: &Self) {
        let before = other.lock();
        let mut state = self.change();
        for (limit, before) in state.limits_mut().zip(before.limits()) {
            limit.inherit_state(before);
        }
        state.cooldown = before.cooldown.clone();
        state.cooldown.end_trial();
        state.rejection = before.rejection.clone();
        state.typical = before.typical.clone();
    }

    /// Records that the upstream has rejected the account of the keys for `time`.
    pub(crate) fn reject(&self, time: Duration, now: Instant) {
        self.change().rejection.extend(time, now);
    }

    /// Ends a cooldown and a rejection that began before `sent_at`, the time at which a successful request was sent.
    pub(crate) fn record_success(&self, sent_at: Instant) {
        if self.hint.has_pause() {
            let mut state = self.change();
            state.cooldown.record_success(sent_at);
            state.rejection.record_success(sent_at);
        }
    }

    /// Returns `true` if the upstream has recently rejected the account of the keys.
    pub(crate) fn is_rejected(&self, now: Instant) -> bool {
        self.hint.has_pause() && self.lock().rejection.remaining(now).is_some()
    }

    /// Applies the rate limits that an upstream reports in its headers.
    pub fn observe(&self, reported: &RateLimits, now: Instant) {
        let state = &mut *self.change();
        state.requests.observe(reported.requests, &mut state.cooldown, now);
        state.tokens.observe(reported.tokens, &mut state.cooldown, now);
        state.input_tokens.observe(reported.input_tokens, &mut state.cooldown, now);
        state.output_tokens.observe(reported.output_tokens, &mut state.cooldown, now);
    }

    /// Starts a cooldown of `time`, at most 31 days. Without a time it lasts 30 s.
    pub fn start_cooldown(&self, time: Option<Duration>, now: Instant) {
        self.change().cooldown.extend(time.unwrap_or(DEFAULT_COOLDOWN).min(MAX_COOLDOWN), now);
    }

    /// Ends a cooldown that began before `sent_at`, the time at which a successful request was sent.
    pub fn end_cooldown(&self, sent_at: Instant) {
        self.change().cooldown.record_success(sent_at);
    }

    /// Ends the cooldown and the rejection of the account, whenever they began. Returns `true` if one was running. The amounts
    /// left of the limits do not change.
    pub fn reset_pauses(&self, now: Instant) -> bool {
        let mut state = self.change();
        let (cooldown, rejection) = (state.cooldown.end(now), state.rejection.end(now));
        cooldown || rejection
    }

    /// Returns the smallest fraction left of any limit, from 0 to 1; 1 if no limit is known.
    #[must_use]
    pub fn fraction_left(&self, now: Instant) -> f64 {
        if !self.hint.has_limit() {
            return 1.0;
        }
        self.lock()
            .limits_mut()
            .filter_map(|limit| limit.bucket.as_mut())
            .fold(1.0, |least, bucket| least.min(bucket.fraction_left(now)))
    }

    /// Returns the limits that are known, configured or learned.
    #[must_use]
    pub fn levels(&self, now: Instant) -> Vec<LimitLevel> {
        let names = ["requests", "tokens", "input_tokens", "output_tokens"];
        let mut state = self.lock();
        let known = state.limits_mut().zip(names).filter_map(|(limit, name)| {
            let (per_minute, remaining) = limit.bucket.as_mut()?.level(now);
            Some(LimitLevel { name, per_minute, remaining, is_configured: limit.configured.is_some() })
        });
        known.collect()
    }

    fn lock(&self) -> MutexGuard<'_, QuotaState> {
        lock(&self.state)
    }

    /// Locks the state for a change, after which the hint is up to date.
    fn change(&self) -> Change<'_> {
        Change { state: self.lock(), hint: &self.hint }
    }
}

/// Exclusive access to the state for a change.
struct Change<'a> {
    state: MutexGuard<'a, QuotaState>,
    hint: &'a Hint,
}

impl Deref for Change<'_> {
    type Target = QuotaState;

    fn deref(&self) -> &QuotaState {
        &self.state
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut QuotaState {
        &mut self.state
    }
}

impl Drop for Change<'_> {
    /// Updates the hint before the lock is released.
    fn drop(&mut self) {
        self.hint.update(self.state.has_limit(), self.state.has_pause());
    }
}

impl QuotaState {
    fn wait_time(&mut self, cost: &RequestCost<'_>, now: Instant) -> Option<Duration> {
        let mut waits = [self.cooldown.wait_time(now), self.requests.wait_time(1.0, now), None, None, None];
        if self.has_token_limit() && cost.has_tokens() {
            let input = match self.has_configured_tokens() {
                true => self.typical.input(cost.input_tokens()),
                false => ANY,
            };
            waits[2] = self.tokens.wait_time(input.max(ANY), now);
            waits[3] = self.input_tokens.wait_time(input, now);
            // The length of an answer is not known before its end.
            waits[4] = self.output_tokens.wait_time(ANY, now);
        }
        waits.into_iter().flatten().max()
    }

    /// Returns the time until the smallest request that uses tokens is permitted, or `None` if it is permitted now.
    fn least_wait_time(&mut self, now: Instant) -> Option<Duration> {
        let cooldown = self.cooldown.wait_time(now);
        self.limits_mut().map(|limit| limit.wait_time(ANY, now)).chain([cooldown]).flatten().max()
    }

    /// Returns `true` if any limit is known, or a cooldown or a rejection may be running.
    fn has_limit(&self) -> bool {
        self.limits().any(|limit| limit.bucket.is_some()) || self.has_pause()
    }

    /// Returns `true` if a cooldown or a rejection may be running.
    fn has_pause(&self) -> bool {
        self.cooldown.is_running() || self.rejection.is_running()
    }

    fn token_limits(&self) -> [&KnownLimit; 3] {
        [&self.tokens, &self.input_tokens, &self.output_tokens]
    }

    fn has_token_limit(&self) -> bool {
        self.token_limits().iter().any(|limit| limit.bucket.is_some())
    }

    fn has_configured_tokens(&self) -> bool {
        self.token_limits().iter().any(|limit| limit.configured.is_some())
    }

    fn reserve(&mut self, input: f64, output: f64) {
        self.tokens.reserve(input + output);
        self.input_tokens.reserve(input);
        self.output_tokens.reserve(output);
    }

    fn release(&mut self, input: f64, output: f64) {
        self.tokens.release(input + output);
        self.input_tokens.release(input);
        self.output_tokens.release(output);
    }

    /// Takes what `used` has more than `reservation` has taken, out of its reserved amounts as far as they last. If it
    /// has less, the difference is refunded.
    fn take_used(&mut self, reservation: &mut Reservation, used: TokensUsed, now: Instant) {
        let more = |used: Option<u64>, taken: &mut u64| {
            let before = std::mem::replace(taken, used.unwrap_or(*taken));
            *taken as f64 - before as f64
        };
        let input = more(used.input, &mut reservation.taken.0);
        let output = more(used.output, &mut reservation.taken.1);
        let from = |reserved: &mut f64, taken: f64| {
            let part = taken.clamp(0.0, *reserved);
            *reserved -= part;
            part
        };
        let (of_input, of_output) =
            (from(&mut reservation.input, input), from(&mut reservation.output, output));
        self.tokens.take(input + output, now);
        self.input_tokens.take(input, now);
        self.output_tokens.take(output, now);
        self.release(of_input, of_output);
    }

    fn limits(&self) -> impl Iterator<Item = &KnownLimit> {
        [&self.requests, &self.tokens, &self.input_tokens, &self.output_tokens].into_iter()
    }

    fn limits_mut(&mut self) -> impl Iterator<Item = &mut KnownLimit> {
        [&mut self.requests, &mut self.tokens, &mut self.input_tokens, &mut self.output_tokens].into_iter()
    }
}

impl KnownLimit {
    fn inherit_state(&mut self, before: &Self) {
        if let Some(bucket) = &before.bucket {
            self.bucket = Some(bucket.inherited(self.configured));
        }
    }

    /// Returns the time until `cost` fits into the limit. An upstream's own limit needs [`ANY`] amount only: the upstream
    /// counts what is used, not what is estimated, and reports what remains.
    fn wait_time(&mut self, cost: f64, now: Instant) -> Option<Duration> {
        let cost = if self.configured.is_some() { cost } else { ANY };
        self.bucket.as_mut()?.wait_time(cost, now)
    }

    fn reserve(&mut self, amount: f64) {
        if let Some(bucket) = self.bucket.as_mut().filter(|_| self.configured.is_some()) {
            bucket.reserve(amount);
        }
    }

    fn release(&mut self, amount: f64) {
        if let Some(bucket) = self.bucket.as_mut().filter(|_| self.configured.is_some()) {
            bucket.release(amount);
        }
    }

    fn take(&mut self, cost: f64, now: Instant) {
        match &mut self.bucket {
            Some(bucket) if cost >= 0.0 => bucket.take(cost, now),
            Some(bucket) => bucket.refund(-cost, now),
            None => {}
        }
    }

    /// Applies a reported limit. It counts if none is configured or if it is the smaller one.
    fn observe(&mut self, mut reported: RateLimit, cooldown: &mut Cooldown, now: Instant) {
        // A reset refills the upstream's own limit, not a lower configured one. A reset in the past refills
        // nothing: clocks that disagree would put every reset into the past.
        let is_own =
            self.configured.is_none_or(|configured| reported.limit.is_some_and(|limit| limit <= configured));
        reported.reset_after = reported.reset_after.filter(|after| is_own && !after.is_zero());
        if let Some(limit) = reported.limit {
            let limit = self.configured.map_or(limit, |configured| configured.min(limit));
            match &mut self.bucket {
                Some(bucket) => bucket.set_limit(limit),
                None => self.bucket = Some(Bucket::learned(limit, now)),
            }
        }
        match (&mut self.bucket, reported.remaining, reported.reset_after) {
            (Some(bucket), _, _) => bucket.observe(reported, now),
            // An exhausted limit of unknown size becomes a cooldown.
            (None, Some(0), Some(reset_after)) => cooldown.extend(reset_after.min(MAX_COOLDOWN), now),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_messages::MessagesBody;

    use super::*;
    use crate::clock;

    const SECOND: Duration = Duration::from_secs(1);

    fn quota(requests: u64, input_tokens: u64, now: Instant) -> Quota {
        let limits = KeyLimits::default().with_requests(requests).with_input_tokens(input_tokens);
        Quota::new(limits, now)
    }

    fn body() -> MessagesBody {
        MessagesBody::parse(r#"{"model":"m","max_tokens":100}"#.into()).unwrap()
    }

    fn used(input: u64, output: u64) -> TokensUsed {
        TokensUsed { input: Some(input), output: Some(output) }
    }

    fn reported(limit: u64, remaining: u64, reset_after: Duration) -> RateLimit {
        RateLimit::default().with_limit(limit).with_remaining(remaining).with_reset_after(reset_after)
    }

    #[test]
    fn requests_are_counted_and_become_available_again_with_time() {
        let (now, body) = (clock::now(), body());
        let (quota, cost) = (quota(2, 0, now), RequestCost::new(&body));
        for _ in 0..2 {
            quota.settle(quota.reserve(&cost, now).unwrap(), TokensUsed::default(), now);
        }
        assert_eq!(quota.wait_time(&cost, now).map(|wait| wait.as_secs()), Some(30));
        assert!(quota.reserve(&cost, now).is_none());
        assert!(quota.reserve(&cost, now + 31 * SECOND).is_some());
    }

    #[test]
    fn a_reservation_is_settled_with_the_tokens_used() {
        let (now, body) = (clock::now(), body());
        let (quota, cost) = (quota(0, 1000, now), RequestCost::with_estimate(&body, 400));
        let left = || (quota.fraction_left(now) * 1000.0).round();
        let first = quota.reserve(&cost, now).unwrap();
        assert_eq!(left(), 600.0);
        quota.settle(first, used(100, 7), now);
        assert_eq!(left(), 900.0);
        // The next answer reports no usage.
        let next = quota.reserve(&cost, now).unwrap();
        let reserved = 900.0 - left();
        assert!((100.0..400.0).contains(&reserved), "the averages follow the first answer: {reserved}");
        quota.settle(next, TokensUsed::default(), now);
        assert_eq!(left(), 900.0 - reserved);
    }

    #[test]
    fn a_request_above_its_estimate_delays_the_next_ones() {
        let (now, body) = (clock::now(), body());
        let (quota, cost) = (quota(0, 60, now), RequestCost::with_estimate(&body, 1));
        quota.settle(quota.reserve(&cost, now).unwrap(), used(120, 0), now);
        assert!(quota.wait_time(&cost, now + 54 * SECOND).is_some());
        assert!(quota.wait_time(&cost, now + 120 * SECOND).is_none());
    }

    #[test]
    fn limits_are_learned_from_headers_and_the_smaller_one_applies() {
        let (now, body) = (clock::now(), body());
        let cost = RequestCost::new(&body);
        let learned = quota(0, 0, now);
        let reported = RateLimits::default().with_requests(reported(50, 1, 60 * SECOND));
        learned.observe(&reported, now);
        assert!(learned.reserve(&cost, now).is_some());
        assert!(learned.reserve(&cost, now).is_none());

        let configured = quota(2, 0, now);
        let many = RateLimit::default().with_limit(50).with_remaining(50);
        configured.observe(&RateLimits::default().with_requests(many), now);
        let reserved = (0..5).filter(|_| configured.reserve(&cost, now).is_some()).count();
        assert_eq!(reserved, 2);
    }

    #[test]
    fn a_reset_refills_only_a_limit_of_the_upstream_and_only_if_it_is_ahead() {
        #[track_caller]
        fn check(configured: u64, reported: RateLimit, expected_in_seconds: u64) {
            let (now, body) = (clock::now(), body());
            let (quota, cost) = (quota(configured, 0, now), RequestCost::new(&body));
            for _ in 0..2 {
                quota.settle(quota.reserve(&cost, now).unwrap(), TokensUsed::default(), now);
            }
            quota.observe(&RateLimits::default().with_requests(reported), now);
            assert_eq!(quota.wait_time(&cost, now).map(|wait| wait.as_secs()), Some(expected_in_seconds));
        }
        check(2, reported(4000, 3998, SECOND), 30);
        check(2, reported(0, 0, SECOND).with_limit(None), 30);
        check(2, reported(2, 0, SECOND), 1);
        check(2, reported(2, 0, Duration::ZERO), 30);
        check(4000, reported(2, 0, SECOND), 1);
    }

    #[test]
    fn an_exhausted_limit_of_unknown_size_starts_a_cooldown() {
        let (now, body) = (clock::now(), body());
        let quota = quota(0, 0, now);
        let requests = RateLimit::default().with_remaining(0).with_reset_after(9 * SECOND);
        quota.observe(&RateLimits::default().with_requests(requests), now);
        assert_eq!(quota.wait_time(&RequestCost::new(&body), now), Some(9 * SECOND));
        quota.end_cooldown(now);
        assert_eq!(quota.wait_time(&RequestCost::new(&body), now), None);
    }

    #[test]
    fn a_reset_ends_a_cooldown_and_a_rejection_at_once() {
        let (now, body) = (clock::now(), body());
        let (quota, cost) = (quota(2, 0, now), RequestCost::new(&body));
        quota.settle(quota.reserve(&cost, now).unwrap(), TokensUsed::default(), now);
        quota.start_cooldown(Some(9 * SECOND), now);
        quota.reject(60 * SECOND, now);
        assert_eq!(quota.wait_time(&cost, now), Some(9 * SECOND));
        assert!(quota.is_known_to_be_limited(now));
        assert!(quota.reset_pauses(now));
        assert!(!quota.reset_pauses(now), "nothing is running");
        assert!(!quota.is_known_to_be_limited(now) && !quota.is_rejected(now));
        assert_eq!((quota.cooldown(now), quota.wait_time(&cost, now)), (None, None));
        assert_eq!(quota.fraction_left(now), 0.5, "the limits stay as they are");
    }

    #[test]
    fn a_request_that_was_never_sent_costs_nothing() {
        let (now, body) = (clock::now(), body());
        let (quota, cost) = (quota(1, 100, now), RequestCost::with_estimate(&body, 50));
        for _ in 0..3 {
            quota.cancel(quota.reserve(&cost, now).unwrap(), now);
        }
        assert_eq!(quota.fraction_left(now), 1.0);
    }

    #[test]
    fn a_trial_ends_with_its_reservation() {
        let (now, body) = (clock::now(), body());
        let (quota, cost) = (quota(0, 0, now), RequestCost::new(&body));
        quota.start_cooldown(Some(3600 * SECOND), now);
        let later = now + 60 * SECOND;
        let trial = quota.reserve(&cost, later).unwrap();
        assert!(quota.reserve(&cost, later).is_none());
        quota.settle(trial, TokensUsed::default(), later);
        assert!(quota.reserve(&cost, later).is_some());
    }

    #[test]
    fn a_quota_that_is_known_to_be_limited_permits_no_request() {
        let body = MessagesBody::parse(r#"{"model":"m"}"#.into()).unwrap();
        let mut random = fastrand::Rng::with_seed(4);
        let mut known = 0;
        for _ in 0..100 {
            let mut now = clock::now();
            let quota = quota(random.u64(0..4), random.u64(0..2) * 100, now);
            let mut open = Vec::new();
            for _ in 0..100 {
                now += Duration::from_millis(random.u64(0..9000));
                let cost = RequestCost::with_estimate(&body, random.u64(1..80));
                match random.u8(0..9) {
                    0..3 => open.extend(quota.reserve(&cost, now)),
                    3 => drop(open.pop().map(|reservation| quota.settle(reservation, TokensUsed::ZERO, now))),
                    4 => open.drain(..).for_each(|reservation| quota.cancel(reservation, now)),
                    5 => quota.start_cooldown(Some(Duration::from_secs(random.u64(0..100))), now),
                    6 => quota.end_cooldown(now),
                    7 => quota.reject(SECOND, now),
                    _ => {
                        let used = TokensUsed { input: Some(random.u64(0..90)), output: Some(9) };
                        open.drain(..).for_each(|reservation| quota.settle(reservation, used, now));
                    }
                }
                let wait = quota.wait_time(&cost, now);
                let is_known = quota.is_known_to_be_limited(now);
                known += u32::from(is_known);
                assert!(!is_known || wait.is_some(), "{quota:?}");
                assert_eq!(
                    quota.reserve(&cost, now).map(|taken| quota.cancel(taken, now)).is_none(),
                    wait.is_some()
                );
            }
        }
        assert!(known > 1000, "{known}");
    }
}
