//! Half an hour of traffic beyond what all keys together can bear, with outages, in simulated time.
//!
//! Three providers with four keys each, limited in requests and in tokens. The upstreams keep books of their own of what
//! each key was sent, and these are held against the limits afterwards.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]
#![allow(clippy::print_stdout, reason = "the numbers are what this test is read for")]

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, StreamBody};
use relay_config::{KeyId, KeyLimits, ProviderName, Secret, Strategy};
use relay_messages::{MessagesBody, estimate_tokens};
use relay_providers::{Answer, Attempt, AttemptError, Endpoint, OnBreak, Outcome, RelayRequest};
use relay_routing::{
    Candidate, CandidateService, CircuitSettings, Credential, Failover, FailoverSettings, Planner, Probe,
    ProbeSettings, ProviderPool, Quota, RouteErrorKind,
};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

const REQUESTS: usize = 200_000;
/// How much more is asked for than the limits permit.
const OVERLOAD: f64 = 1.15;
const KEYS: usize = 4;
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// Requests and tokens that a key may use in a minute, by provider: at the first requests run out first, at the second
/// tokens, at the third now these, now those.
const LIMITS: [(u64, u64); 3] = [(600, 4_000_000), (3000, 300_000), (420, 200_000)];
/// Who is down, from when to when, in seconds; two of them together for a while.
const OUTAGES: [(usize, u64, u64); 3] = [(0, 120, 300), (1, 240, 420), (2, 700, 730)];

/// What an upstream knows of a key.
#[derive(Debug, Default)]
struct Book {
    /// When it was asked, and how many tokens that came to.
    served: Vec<(Duration, u64)>,
    /// What has been used and not been refilled since the last request.
    owed: (f64, f64),
}

#[derive(Debug, Default)]
struct Counts {
    served: u64,
    limited: u64,
    failing: u64,
    /// Refused although the books say that a key was free.
    needless: u64,
    /// For each outage, how long after it the provider served somebody.
    back_after: [Option<Duration>; OUTAGES.len()],
}

struct World {
    start: Instant,
    books: Mutex<Vec<[Book; KEYS]>>,
    counts: Mutex<Counts>,
    random: Mutex<Rng>,
}

impl World {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn is_down(&self, provider: usize, slack: Duration) -> bool {
        let now = self.now();
        OUTAGES.iter().any(|&(down, from, until)| {
            down == provider && now >= Duration::from_secs(from) && now < Duration::from_secs(until) + slack
        })
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
            // The estimate is wrong by up to a quarter, and nobody knows beforehand how long an answer gets.
            (
                estimate * random.u64(75..125) / 100,
                random.u64(20..700),
                random.u64(200..1500),
                random.u64(0..8000),
            )
        };
        self.write(provider, key, input + output);
        tokio::time::sleep(Duration::from_millis(head)).await;
        // What was used is known when the answer has ended.
        let usage = format!(r#"{{"usage":{{"input_tokens":{input},"output_tokens":{output}}}}}"#);
        let body = futures_util::stream::once(async move {
            tokio::time::sleep(Duration::from_millis(rest)).await;
            Ok(http_body::Frame::data(usage.into()))
        });
        let mut response = Response::new(StreamBody::new(Box::pin(body)).boxed_unsync());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Answer::begin(&attempt, Outcome::Success, response).await
    }

    fn write(&self, provider: usize, key: usize, tokens: u64) {
        let now = self.now();
        let mut books = lock(&self.books);
        let book = &mut books[provider][key];
        let (requests_owed, tokens_owed) = book.owed_at(LIMITS[provider], now);
        book.owed = (requests_owed + 1.0, tokens_owed + tokens as f64);
        book.served.push((now, tokens));
        for (index, &(down, _, until)) in OUTAGES.iter().enumerate() {
            if let (true, Some(after)) = (down == provider, now.checked_sub(Duration::from_secs(until))) {
                lock(&self.counts).back_after[index].get_or_insert(after);
            }
        }
    }

    /// Whether a key of a provider that has been up for a while was clearly free, by the books.
    fn somebody_is_free(&self) -> bool {
        let (now, books) = (self.now(), lock(&self.books));
        (0..LIMITS.len()).filter(|&provider| !self.is_down(provider, 2 * PROBE_INTERVAL)).any(|provider| {
            let (requests, tokens) = LIMITS[provider];
            books[provider].iter().any(|book| {
                let (requests_owed, tokens_owed) = book.owed_at(LIMITS[provider], now);
                requests_owed + 2.0 <= requests as f64 && tokens_owed <= 0.95 * tokens as f64
            })
        })
    }
}

impl Book {
    fn owed_at(&self, (requests, tokens): (u64, u64), now: Duration) -> (f64, f64) {
        let minutes = self.served.last().map_or(0.0, |(last, _)| (now - *last).as_secs_f64() / 60.0);
        ((self.owed.0 - requests as f64 * minutes).max(0.0), (self.owed.1 - tokens as f64 * minutes).max(0.0))
    }

    /// The most that fell into any minute.
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
            let limits = KeyLimits {
                requests: NonZeroU64::new(requests),
                tokens: NonZeroU64::new(tokens),
                ..KeyLimits::default()
            };
            let credential = Credential::Key(KeyId::of(&Secret::new(format!("{provider}-{key}"))));
            Candidate::new(credential, 1, CandidateService::new(service))
                .with_quota(Arc::new(Quota::new(limits, Instant::now())))
        });
        let probed = Arc::clone(world);
        let probe = service_fn(move |()| {
            let reached = !probed.is_down(provider, Duration::ZERO);
            async move { Ok(reached) }
        });
        let probe = (Probe::new(probe), ProbeSettings { interval: PROBE_INTERVAL });
        let name = ProviderName::new(format!("p{provider}"));
        ProviderPool::new(name, vec![], Duration::from_secs(90), candidates.collect())
            .with_health(CircuitSettings::default(), Some(probe))
    });
    let planner = Planner::new(pools.collect(), Strategy::LeastLoaded, false);
    let settings = FailoverSettings {
        failover_timeout: Duration::from_secs(5),
        max_attempts: NonZeroU32::new(6).unwrap(),
        on_break: OnBreak::Abort,
    };
    Failover::new(Arc::new(planner), settings)
}

async fn ask(world: Arc<World>, failover: Failover, request: RelayRequest) {
    let failed = match failover.oneshot(request).await {
        Ok(routed) => {
            routed.answer.response.into_body().collect().await.unwrap();
            lock(&world.counts).served += 1;
            return;
        }
        Err(error) => error,
    };
    let needless = world.somebody_is_free();
    let mut counts = lock(&world.counts);
    counts.needless += u64::from(needless);
    match failed.kind {
        RouteErrorKind::Limited { .. } => counts.limited += 1,
        _ => counts.failing += 1,
    }
}

#[tokio::test(start_paused = true)]
async fn limits_are_used_to_the_last_request_and_never_exceeded() {
    let world = Arc::new(World {
        start: Instant::now(),
        books: Mutex::new((0..LIMITS.len()).map(|_| Default::default()).collect()),
        counts: Mutex::default(),
        random: Mutex::new(Rng::with_seed(42)),
    });
    let failover = failover(&world);
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

    // What the limits permit in a minute: requests, or as many as there are tokens for on average.
    let permitted =
        LIMITS.map(|(requests, tokens)| KEYS as f64 * (requests as f64).min(tokens as f64 / mean_tokens));
    let pause = Duration::from_secs(60).div_f64(permitted.iter().sum::<f64>() * OVERLOAD);
    let mut tasks = JoinSet::new();
    let mut random = Rng::with_seed(7);
    for _ in 0..REQUESTS {
        // Some come at once, others after a while.
        tokio::time::sleep(pause.mul_f64(random.f64() * 2.0)).await;
        let request = random.choice(&requests).unwrap().clone();
        tasks.spawn(ask(Arc::clone(&world), failover.clone(), request));
        while tasks.try_join_next().is_some() {}
    }
    let issued_in = world.now();
    while tasks.join_next().await.is_some() {}

    let counts = lock(&world.counts);
    let up = |provider: usize| {
        let down = OUTAGES.iter().filter(|(down, ..)| *down == provider);
        (issued_in - down.map(|(_, from, until)| Duration::from_secs(until - from)).sum::<Duration>())
            .as_secs_f64()
    };
    println!("{REQUESTS} requests in {} s, {:.0} tokens each on average", issued_in.as_secs(), mean_tokens);
    println!("{counts:?}");
    for (provider, keys) in lock(&world.books).iter().enumerate() {
        let (requests, tokens) = LIMITS[provider];
        for (key, book) in keys.iter().enumerate() {
            let (most_requests, most_tokens) = book.busiest_minute();
            let (part_requests, part_tokens) =
                (most_requests as f64 / requests as f64, most_tokens as f64 / tokens as f64);
            // Of that one of its limits that was used most, over the time in which its provider was up.
            let tokens_served: u64 = book.served.iter().map(|(_, tokens)| tokens).sum();
            let minutes = up(provider) / 60.0;
            let share = (book.served.len() as f64 / (requests as f64 * minutes))
                .max(tokens_served as f64 / (tokens as f64 * minutes));
            println!(
                "p{provider} key {key}: {} requests, {:.1} % of what its limits permit; busiest minute: {part_requests:.2} \
                 of its requests, {part_tokens:.2} of its tokens",
                book.served.len(),
                share * 100.0
            );
            assert!(share >= 0.95);
            // The limit, and the burst that a full bucket allows; tokens by estimate, which is right on average alone.
            assert!(part_requests <= 2.0 && part_tokens <= 2.05);
        }
    }
    assert_eq!(counts.served + counts.limited + counts.failing, REQUESTS as u64);
    assert_eq!(counts.needless, 0);
    assert!(
        counts
            .back_after
            .iter()
            .all(|after| after.is_some_and(|after| after <= PROBE_INTERVAL + Duration::from_secs(1)))
    );
}
