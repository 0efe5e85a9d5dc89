//! Simulates traffic above the limits of all keys together, with outages, in paused time.
//!
//! Three providers have four keys each, with limits on requests and on tokens. The simulated upstreams record
//! the usage of each key; the test compares the records with the limits. `CC_RELAY_SIMULATION_REQUESTS` sets
//! the number of requests. The default covers all outages; a long run uses 200000.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]
#![allow(clippy::print_stdout, reason = "the printed numbers are the result of a long run")]

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, StreamBody};
use relay_config::{KeyId, KeyLimits, ProviderName, Secret, Strategy};
use relay_messages::{MessagesBody, estimate_tokens};
use relay_providers::{Answer, AnswerBody, Attempt, AttemptError, Endpoint, RelayRequest};
use relay_routing::{
    Candidate, CandidateService, CircuitSettings, CredentialId, Failover, FailoverSettings, Planner, Probe,
    ProbeSettings, ProviderPool, Quota, RouteErrorKind,
};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

/// The number of requests, unless the environment sets another: enough simulated time for all outages and the
/// recovery from them.
const DEFAULT_REQUESTS: usize = 30_000;
const REQUESTS_VARIABLE: &str = "CC_RELAY_SIMULATION_REQUESTS";
/// The requests in relation to the number that the limits permit: enough to use up the full buckets of the
/// start too.
const OVERLOAD: f64 = 1.5;
const KEYS: usize = 4;
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The requests and tokens that a key may use in a minute, by provider. The first provider runs out of
/// requests first, the second of tokens, the third of either.
const LIMITS: [(u64, u64); 3] = [(600, 4_000_000), (3000, 300_000), (420, 200_000)];
/// The outages: provider, start and end as fractions of the simulated time. Two of them overlap.
const OUTAGES: [(usize, f64, f64); 3] = [(0, 0.07, 0.18), (1, 0.14, 0.25), (2, 0.4, 0.46)];

/// The upstream's record of a key.
#[derive(Debug, Default)]
struct KeyRecord {
    /// The time of each request and the tokens that it used.
    served: Vec<(Duration, u64)>,
    /// The requests and tokens used and not yet refilled, at the last request.
    owed: (f64, f64),
}

#[derive(Debug, Default)]
struct Counts {
    served: u64,
    limited: u64,
    failing: u64,
    /// Requests that were refused although a key was free, by the records.
    needless: u64,
    /// The time from the end of each outage to the next served request.
    back_after: [Option<Duration>; OUTAGES.len()],
}

struct World {
    start: Instant,
    /// The provider, start and end of each outage.
    outages: [(usize, Duration, Duration); OUTAGES.len()],
    records: Mutex<Vec<[KeyRecord; KEYS]>>,
    counts: Mutex<Counts>,
    random: Mutex<Rng>,
}

impl World {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn is_down(&self, provider: usize, slack: Duration) -> bool {
        let now = self.now();
        self.outages.iter().any(|&(down, from, until)| down == provider && now >= from && now < until + slack)
    }

    async fn serve(
        self: Arc<Self>,
        provider: usize,
        key: usize,
        attempt: Attempt,
    ) -> Result<Answer, AttemptError> {
        if self.is_down(provider, Duration::ZERO) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            return Err(AttemptError::Connect("Connection refused".into()));
        }
        let estimate = estimate_tokens(attempt.request().body());
        let (input, output, head, rest) = {
            let mut random = lock(&self.random);
            // The estimate is wrong by up to a quarter. The length of an answer is not known in advance.
            (
                estimate * random.u64(75..125) / 100,
                random.u64(20..700),
                random.u64(200..1500),
                random.u64(0..8000),
            )
        };
        self.write(provider, key, input + output);
        tokio::time::sleep(Duration::from_millis(head)).await;
        // The usage is reported at the end of the answer.
        let usage = format!(r#"{{"usage":{{"input_tokens":{input},"output_tokens":{output}}}}}"#);
        let body = futures_util::stream::once(async move {
            tokio::time::sleep(Duration::from_millis(rest)).await;
            Ok(http_body::Frame::data(usage.into()))
        });
        let mut response = Response::new(AnswerBody::new(StreamBody::new(Box::pin(body))));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Answer::await_first_content(&attempt, response).await
    }

    fn write(&self, provider: usize, key: usize, tokens: u64) {
        let now = self.now();
        let mut records = lock(&self.records);
        let record = &mut records[provider][key];
        let (requests_owed, tokens_owed) = record.owed_at(LIMITS[provider], now);
        record.owed = (requests_owed + 1.0, tokens_owed + tokens as f64);
        record.served.push((now, tokens));
        for (index, &(down, _, until)) in self.outages.iter().enumerate() {
            if let (true, Some(after)) = (down == provider, now.checked_sub(until)) {
                lock(&self.counts).back_after[index].get_or_insert(after);
            }
        }
    }

    /// Returns `true` if a key of a provider that has been up for a while was clearly free, by the records.
    fn some_key_is_free(&self) -> bool {
        let (now, records) = (self.now(), lock(&self.records));
        (0..LIMITS.len()).filter(|&provider| !self.is_down(provider, 2 * PROBE_INTERVAL)).any(|provider| {
            let (requests, tokens) = LIMITS[provider];
            records[provider].iter().any(|record| {
                let (requests_owed, tokens_owed) = record.owed_at(LIMITS[provider], now);
                requests_owed + 2.0 <= requests as f64 && tokens_owed <= 0.95 * tokens as f64
            })
        })
    }
}

impl KeyRecord {
    fn owed_at(&self, (requests, tokens): (u64, u64), now: Duration) -> (f64, f64) {
        let minutes = self.served.last().map_or(0.0, |(last, _)| (now - *last).as_secs_f64() / 60.0);
        ((self.owed.0 - requests as f64 * minutes).max(0.0), (self.owed.1 - tokens as f64 * minutes).max(0.0))
    }

    /// Returns the most requests and the most tokens of any minute.
    fn busiest_minute(&self) -> (u64, u64) {
        let (mut first, mut tokens, mut most) = (0, 0, (0, 0));
        for (index, (at, used)) in self.served.iter().enumerate() {
            tokens += used;
            while self.served[first].0 + Duration::from_secs(60) <= *at {
                tokens -= self.served[first].1;
                first += 1;
            }
            most = (most.0.max((index - first + 1) as u64), most.1.max(tokens));
        }
        most
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

fn failover(world: &Arc<World>) -> Failover {
    let pools = LIMITS.iter().enumerate().map(|(provider, &(requests, tokens))| {
        let candidates = (0..KEYS).map(|key| {
            let world = Arc::clone(world);
            let service = service_fn(move |attempt| Arc::clone(&world).serve(provider, key, attempt));
            let limits = KeyLimits::default().with_requests(requests).with_tokens(tokens);
            let credential = CredentialId::Key(KeyId::of(&Secret::new(format!("{provider}-{key}"))));
            Candidate::new(credential, 1, CandidateService::new(service))
                .with_quota(Arc::new(Quota::new(limits, Instant::now().into_std())))
        });
        let probed = Arc::clone(world);
        let probe = service_fn(move |()| {
            let reached = !probed.is_down(provider, Duration::ZERO);
            async move { Ok(reached) }
        });
        let probe = (Probe::new(probe), ProbeSettings::new(PROBE_INTERVAL));
        let name = ProviderName::new(format!("p{provider}"));
        ProviderPool::new(name, vec![], Duration::from_secs(90), candidates.collect())
            .with_health(CircuitSettings::default(), Some(probe))
    });
    let planner = Planner::new(pools.collect(), Strategy::LeastLoaded, false);
    let settings = FailoverSettings::default();
    Failover::new(Arc::new(planner), settings)
}

async fn send(world: Arc<World>, failover: Failover, request: RelayRequest) {
    let failed = match failover.oneshot(request).await {
        Ok(routed) => {
            routed.answer.response.into_body().collect().await.unwrap();
            lock(&world.counts).served += 1;
            return;
        }
        Err(error) => error,
    };
    let needless = world.some_key_is_free();
    let mut counts = lock(&world.counts);
    counts.needless += u64::from(needless);
    match failed.kind {
        RouteErrorKind::Limited { .. } => counts.limited += 1,
        _ => counts.failing += 1,
    }
}

#[tokio::test(start_paused = true)]
async fn traffic_above_the_limits_uses_them_fully_and_never_exceeds_them() {
    let total = std::env::var(REQUESTS_VARIABLE).map_or(DEFAULT_REQUESTS, |number| number.parse().unwrap());
    let requests: Vec<RelayRequest> = (0..8)
        .map(|size| {
            let text = "word ".repeat(10 << (size % 6));
            let body = format!(
                r#"{{"model":"m","max_tokens":1000,"messages":[{{"role":"user","content":"{text}"}}]}}"#
            );
            RelayRequest::new(
                Endpoint::Messages,
                None,
                HeaderMap::new(),
                MessagesBody::parse(body.into()).unwrap(),
            )
        })
        .collect();
    let mean_tokens =
        requests.iter().map(|request| estimate_tokens(request.body())).sum::<u64>() as f64 / 8.0 + 360.0;

    // The requests that the limits permit in a minute: the limit on requests, or the one on tokens by the
    // mean.
    let permitted =
        LIMITS.map(|(requests, tokens)| KEYS as f64 * (requests as f64).min(tokens as f64 / mean_tokens));
    let pause = Duration::from_secs(60).div_f64(permitted.iter().sum::<f64>() * OVERLOAD);
    let duration = pause.mul_f64(total as f64);
    let world = Arc::new(World {
        start: Instant::now(),
        outages: OUTAGES
            .map(|(provider, from, until)| (provider, duration.mul_f64(from), duration.mul_f64(until))),
        records: Mutex::new((0..LIMITS.len()).map(|_| Default::default()).collect()),
        counts: Mutex::default(),
        random: Mutex::new(Rng::with_seed(42)),
    });
    let failover = failover(&world);
    let mut tasks = JoinSet::new();
    let mut random = Rng::with_seed(7);
    for _ in 0..total {
        // The pause is random, with this mean.
        tokio::time::sleep(pause.mul_f64(random.f64() * 2.0)).await;
        let request = random.choice(&requests).unwrap().clone();
        tasks.spawn(send(Arc::clone(&world), failover.clone(), request));
        while tasks.try_join_next().is_some() {}
    }
    let issued_in = world.now();
    while tasks.join_next().await.is_some() {}

    let counts = lock(&world.counts);
    let up = |provider: usize| {
        let down = world.outages.iter().filter(|(down, ..)| *down == provider);
        (issued_in - down.map(|&(_, from, until)| until - from).sum::<Duration>()).as_secs_f64()
    };
    println!("{total} requests in {} s, {:.0} tokens each on average", issued_in.as_secs(), mean_tokens);
    println!("{counts:?}");
    for (provider, keys) in lock(&world.records).iter().enumerate() {
        let (requests, tokens) = LIMITS[provider];
        for (key, record) in keys.iter().enumerate() {
            let (most_requests, most_tokens) = record.busiest_minute();
            let (part_requests, part_tokens) =
                (most_requests as f64 / requests as f64, most_tokens as f64 / tokens as f64);
            // The fraction used of the scarcer limit: a full bucket at the start, refilled while the provider
            // was up.
            let tokens_served: u64 = record.served.iter().map(|(_, tokens)| tokens).sum();
            let minutes = up(provider) / 60.0 + 1.0;
            let share = (record.served.len() as f64 / (requests as f64 * minutes))
                .max(tokens_served as f64 / (tokens as f64 * minutes));
            println!(
                "p{provider} key {key}: {} requests, {:.1} % of the permitted usage; busiest minute: {part_requests:.2} \
                 of its requests, {part_tokens:.2} of its tokens",
                record.served.len(),
                share * 100.0
            );
            assert!(share >= 0.95);
            // The limit plus the burst of a full bucket. The estimate of tokens is right only on average.
            assert!(part_requests <= 2.0 && part_tokens <= 2.05);
        }
    }
    assert_eq!(counts.served + counts.limited + counts.failing, total as u64);
    assert_eq!(counts.needless, 0);
    assert!(
        counts
            .back_after
            .iter()
            .all(|after| after.is_some_and(|after| after <= PROBE_INTERVAL + Duration::from_secs(1)))
    );
}
