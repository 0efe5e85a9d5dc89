//! Random traffic against a model of Anthropic's own accounting, and against configured limits.
//!
//! # Source
//! platform.claude.com/docs, "Rate limits": token buckets that refill continuously; input counts at the start of a request
//! and output as it is generated; `remaining` and `reset` in the headers of each response.

use std::time::{Duration, Instant};

use fastrand::Rng;
use relay_config::KeyLimits;
use relay_messages::{MessagesBody, RateLimit, RateLimits};

use super::{Quota, RequestCost, Reservation, TokensUsed};
use crate::clock;

const STEP: Duration = Duration::from_millis(50);
const MINUTE: f64 = 60.0;

/// One limit as the upstream counts it.
struct UpstreamLimit {
    limit: f64,
    level: f64,
}

impl UpstreamLimit {
    fn new(limit: f64) -> Self {
        Self { limit, level: limit }
    }

    fn pass(&mut self, time: Duration) {
        self.level = (self.level + self.limit * time.as_secs_f64() / MINUTE).min(self.limit);
    }

    fn take(&mut self, amount: f64) {
        self.level = (self.level - amount).max(0.0);
    }

    fn report(&self) -> RateLimit {
        let until_full = (self.limit - self.level) / self.limit * MINUTE;
        RateLimit::default()
            .with_limit(self.limit as u64)
            .with_remaining(self.level as u64)
            .with_reset_after(Duration::from_secs_f64(until_full))
    }
}

/// The limits of one key at the upstream.
struct Upstream {
    requests: UpstreamLimit,
    input: UpstreamLimit,
    output: UpstreamLimit,
}

impl Upstream {
    fn all(&mut self) -> [&mut UpstreamLimit; 3] {
        [&mut self.requests, &mut self.input, &mut self.output]
    }

    fn admits(&mut self) -> bool {
        self.all().iter().all(|limit| limit.level >= 1.0)
    }

    fn report(&self) -> RateLimits {
        RateLimits::default()
            .with_requests(self.requests.report())
            .with_input_tokens(self.input.report())
            .with_output_tokens(self.output.report())
    }
}

/// An answer under way.
struct Running {
    reservation: Reservation,
    is_stream: bool,
    input: u64,
    output: u64,
    sent: u64,
    per_step: u64,
}

/// Sends random traffic for a quarter of an hour and checks each refusal of the relay.
fn run(seed: u64, requests: f64, input: f64, output: f64) {
    let mut random = Rng::with_seed(seed);
    let body = MessagesBody::parse(r#"{"model":"m","max_tokens":64000}"#.into()).unwrap();
    let start = clock::now();
    let quota = Quota::new(KeyLimits::default(), start);
    let mut upstream = Upstream {
        requests: UpstreamLimit::new(requests),
        input: UpstreamLimit::new(input),
        output: UpstreamLimit::new(output),
    };
    let (mut running, mut served, mut largest): (Vec<Running>, u32, f64) = (Vec::new(), 0, 0.0);
    for step in 0..18_000 {
        let now = start + STEP * step;
        upstream.all().into_iter().for_each(|limit| limit.pass(STEP));
        if random.u8(0..20) == 0 {
            // The estimate may be far off in either direction.
            let cost = RequestCost::with_estimate(&body, random.u64(1..100_000));
            match quota.reserve(&cost, now) {
                None => {
                    let wait = quota.wait_time(&cost, now).unwrap().as_secs_f64();
                    let one_request = (largest / input).max(1.0 / requests) * MINUTE + 1.0;
                    let is_stricter = upstream.admits() && quota.cooldown(now).is_none();
                    assert!(!is_stricter || wait <= one_request, "seed {seed}: refused for {wait} s");
                }
                Some(reservation) if !upstream.admits() => {
                    quota.settle(reservation, TokensUsed::ZERO, now);
                    quota.start_cooldown(Some(Duration::from_secs(1)), now);
                }
                Some(reservation) => {
                    let used = random.u64(1..input as u64 / 3);
                    largest = largest.max(used as f64);
                    upstream.requests.take(1.0);
                    upstream.input.take(used as f64);
                    let is_stream = random.bool();
                    if is_stream {
                        quota.observe(&upstream.report(), now);
                    }
                    let output = if random.u8(0..10) == 0 { 30_000 } else { random.u64(1..1500) };
                    let per_step = random.u64(1..500);
                    running.push(Running { reservation, is_stream, input: used, output, sent: 0, per_step });
                    served += 1;
                }
            }
        }
        for answer in std::mem::take(&mut running) {
            running.extend(advance(answer, &quota, &mut upstream, now));
        }
    }
    assert!(served > 20, "seed {seed}: only {served} requests were served");
}

/// Generates the output of one step. Returns the answer if it has not ended.
fn advance(mut answer: Running, quota: &Quota, upstream: &mut Upstream, now: Instant) -> Option<Running> {
    let generated = answer.per_step.min(answer.output - answer.sent);
    answer.sent += generated;
    upstream.output.take(generated as f64);
    if answer.is_stream {
        quota.take(&mut answer.reservation, TokensUsed::so_far(answer.input, answer.sent / 4), now);
    }
    if answer.sent < answer.output {
        return Some(answer);
    }
    let used = TokensUsed { input: Some(answer.input), output: Some(answer.output) };
    quota.settle(answer.reservation, used, now);
    if !answer.is_stream {
        quota.observe(&upstream.report(), now);
    }
    None
}

#[test]
fn a_learned_limit_is_stricter_than_the_upstream_by_one_request_at_most() {
    for seed in 0..8 {
        run(seed, 50.0, 30_000.0, 8_000.0);
        run(seed, 4_000.0, 400_000.0, 80_000.0);
    }
}

#[test]
fn a_configured_limit_is_exceeded_by_its_burst_at_most() {
    let body = MessagesBody::parse(r#"{"model":"m","max_tokens":64000}"#.into()).unwrap();
    for seed in 0..4 {
        let mut random = Rng::with_seed(seed);
        let limits = KeyLimits::default().with_input_tokens(10_000);
        let (start, mut used) = (clock::now(), Vec::new());
        let quota = Quota::new(limits, start);
        // A larger limit of the upstream changes nothing, nor does its reset.
        let report = RateLimit::default().with_limit(50_000).with_remaining(50_000).with_reset_after(STEP);
        for step in 0..20_000 {
            let now = start + STEP * step;
            let input = random.u64(1..3000);
            let cost = RequestCost::with_estimate(&body, input);
            if let Some(mut reservation) = quota.reserve(&cost, now) {
                quota.observe(&RateLimits::default().with_input_tokens(report), now);
                quota.take(&mut reservation, TokensUsed::so_far(input, 1), now);
                let output = Some(random.u64(1..30_000));
                quota.settle(reservation, TokensUsed { input: Some(input), output }, now);
                used.push((step, input));
            }
        }
        for (first, _) in &used {
            let minute = used.iter().filter(|(step, _)| (*first..first + 1200).contains(step));
            let sum: u64 = minute.map(|(_, input)| input).sum();
            assert!(sum <= 20_001, "seed {seed}: {sum} input tokens in a minute");
        }
    }
}

#[test]
fn an_answer_far_above_a_learned_output_limit_does_not_lock_the_key() {
    let body = MessagesBody::parse(r#"{"model":"m"}"#.into()).unwrap();
    let cost = RequestCost::new(&body);
    let limit =
        RateLimit::default().with_limit(8_000).with_remaining(8_000).with_reset_after(Duration::from_secs(1));
    let reported = RateLimits::default().with_output_tokens(limit);
    let used = TokensUsed { input: Some(1), output: Some(30_000) };
    for is_stream in [true, false] {
        let start = clock::now();
        let quota = Quota::new(KeyLimits::default(), start);
        let mut reservation = quota.reserve(&cost, start).unwrap();
        if is_stream {
            quota.observe(&reported, start);
            quota.take(&mut reservation, TokensUsed::so_far(1, 7_500), start);
        }
        quota.settle(reservation, used, start);
        if !is_stream {
            quota.observe(&reported, start);
        }
        let wait = quota.wait_time(&cost, start).unwrap_or_default();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
    }
}
