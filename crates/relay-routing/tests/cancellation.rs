//! Cancellation: a request that is dropped at any point returns everything that it held.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

use std::num::NonZeroU32;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use relay_config::{KeyId, KeyLimits, ProviderName, Secret, Strategy};
use relay_messages::MessagesBody;
use relay_providers::{Answer, AnswerBody, Attempt, AttemptError, Endpoint, Outcome, RelayRequest};
use relay_routing::{
    Candidate, CandidateService, CircuitSettings, CircuitState, CredentialId, Failover, FailoverSettings,
    Planner, ProviderPool, Quota, Routed,
};
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

const TICK: Duration = Duration::from_millis(10);
const EVENTS: [&str; 4] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":30,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":20}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

/// Four providers: one that fails, one that is overloaded, one that streams, and one that remains, so that
/// the stream is held back.
struct World {
    planner: Arc<Planner>,
    quotas: Vec<Arc<Quota>>,
    /// The number of running upstream exchanges.
    open: Arc<AtomicU32>,
}

/// A running exchange with an upstream. Dropping it ends the exchange.
struct Exchange(Arc<AtomicU32>);

impl Exchange {
    fn begin(open: &Arc<AtomicU32>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(provider: usize, exchange: Exchange, attempt: Attempt) -> Result<Answer, AttemptError> {
    tokio::time::sleep(TICK).await;
    let mut response = Response::new(());
    match provider {
        0 => return Err(AttemptError::Transport("reset".into())),
        1 => {
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            let body = AnswerBody::default();
            return Ok(Answer::new(Outcome::Overloaded { retry_after: None }, response.map(|()| body)));
        }
        _ => {}
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    let exchange = Arc::new(exchange);
    let events = stream::iter(EVENTS).then(move |event| {
        let exchange = Arc::clone(&exchange);
        async move {
            tokio::time::sleep(TICK).await;
            drop(exchange);
            Ok(Frame::data(Bytes::from_static(event.as_bytes())))
        }
    });
    let response = response.map(|()| AnswerBody::new(StreamBody::new(Box::pin(events))));
    Answer::await_first_content(&attempt, response).await
}

impl World {
    fn new() -> Self {
        let (open, mut quotas) = (Arc::<AtomicU32>::default(), Vec::new());
        let pools = (0..4).map(|provider| {
            let counted = Arc::clone(&open);
            let service = service_fn(move |attempt| serve(provider, Exchange::begin(&counted), attempt));
            let limits = KeyLimits::default()
                .with_tokens(100_000)
                .with_input_tokens(100_000)
                .with_output_tokens(100_000);
            let quota = Arc::new(Quota::new(limits, Instant::now().into_std()));
            quotas.push(Arc::clone(&quota));
            let credential = CredentialId::Key(KeyId::of(&Secret::new(provider.to_string())));
            let candidate = Candidate::new(credential, 1, CandidateService::new(service)).with_quota(quota);
            // A single failure opens the circuit for no time. From then on it is always half-open.
            let circuit = CircuitSettings::default()
                .with_failure_threshold(NonZeroU32::MIN)
                .with_open_duration(Duration::ZERO)
                .with_half_open_probes(NonZeroU32::MAX);
            let name = ProviderName::new(format!("p{provider}"));
            ProviderPool::new(name, vec![], Duration::from_secs(90), vec![candidate])
                .with_health(circuit, None)
        });
        let planner = Planner::new(pools.collect(), Strategy::Failover, false);
        Self { planner: Arc::new(planner), quotas, open }
    }

    fn send(&self) -> impl Future<Output = Routed> + use<> {
        let settings = FailoverSettings::default();
        let body = MessagesBody::parse(r#"{"model":"m","stream":true,"messages":[]}"#.into()).unwrap();
        let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body);
        let failover = Failover::new(Arc::clone(&self.planner), settings);
        async move { failover.oneshot(request).await.unwrap() }
    }

    /// Asserts that no exchange runs, no amount is reserved, and no trial is running.
    #[track_caller]
    fn check_untouched(&self, point: &str) {
        assert_eq!(self.open.load(Ordering::Relaxed), 0, "{point}: an upstream exchange is still open");
        for (pool, quota) in self.planner.pools().iter().zip(&self.quotas) {
            assert_eq!(pool.in_flight(), 0, "{point}: {}", pool.name());
            // Reported usage stays taken: fifty tokens of a hundred thousand.
            assert!(
                quota.fraction_left(Instant::now().into_std()) > 0.999,
                "{point}: {} has reservations",
                pool.name()
            );
        }
        assert!(self.planner.has_usable(), "{point}: a permit was never returned");
    }
}

/// Polls `future` this many times and advances the time after each.
async fn poll_times<F: Future>(mut future: Pin<&mut F>, times: usize) -> Option<F::Output> {
    for _ in 0..times {
        let poll = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = poll {
            return Some(output);
        }
        tokio::time::advance(TICK / 2).await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_request_can_be_dropped_at_every_await() {
    let world = World::new();
    // The first request fails once, so that every further one is the trial of a half-open circuit.
    drop(world.send().await);
    assert_eq!(world.planner.pools()[0].circuit(), CircuitState::HalfOpen);
    let mut polls = 0;
    loop {
        let mut request = Box::pin(world.send());
        let routed = poll_times(request.as_mut(), polls).await;
        let is_answered = routed.is_some();
        drop((routed, request));
        world.check_untouched(&format!("dropped after {polls} polls"));
        if is_answered {
            break;
        }
        polls += 1;
    }
    assert!(polls > 6, "each of three attempts waits at least twice: {polls}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_be_dropped_at_every_frame() {
    let world = World::new();
    for polls in 0..20 {
        let mut body = world.send().await.answer.response.into_body();
        let mut has_ended = false;
        for _ in 0..polls {
            let next = pin!(body.frame());
            has_ended |= matches!(poll_times(next, 1).await, Some(None));
        }
        let in_flight: u32 = world.planner.pools().iter().map(ProviderPool::in_flight).sum();
        assert_eq!(in_flight, u32::from(!has_ended));
        drop(body);
        world.check_untouched(&format!("dropped after {polls} polls of the body"));
    }
}

#[tokio::test]
async fn the_last_frame_of_a_body_of_known_length_ends_the_lease() {
    let answer = || Answer::new(Outcome::Success, Response::new(AnswerBody::from(Bytes::from_static(b"{}"))));
    let service = service_fn(move |_| async move { Ok(answer()) });
    let candidate = Candidate::new(CredentialId::None, 1, CandidateService::new(service));
    let pool = ProviderPool::new(ProviderName::new("a"), vec![], Duration::from_secs(90), vec![candidate]);
    let planner = Arc::new(Planner::new(vec![pool], Strategy::Failover, false));
    let failover = Failover::new(Arc::clone(&planner), FailoverSettings::default());
    let body = MessagesBody::parse(r#"{"model":"m","messages":[]}"#.into()).unwrap();
    let request = RelayRequest::new(Endpoint::Messages, None, HeaderMap::new(), body);
    let mut body = failover.oneshot(request).await.unwrap().answer.response.into_body();
    let in_flight = || planner.pools()[0].in_flight();
    assert_eq!((in_flight(), body.is_end_stream()), (1, false));
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{}");
    assert_eq!((in_flight(), body.is_end_stream()), (0, true));
}

#[tokio::test(start_paused = true)]
async fn the_tokens_used_are_settled_at_the_end_of_the_answer() {
    let world = World::new();
    let start = Instant::now();
    let routed = world.send().await;
    routed.answer.response.into_body().collect().await.unwrap();
    let refilled = 100_000.0 * start.elapsed().as_secs_f64() / 60.0;
    let used = 100_000.0 * (1.0 - world.quotas[2].fraction_left(Instant::now().into_std()));
    assert!((50.0 - refilled..=50.0).contains(&used), "{used} of 30 + 20 tokens");
    assert_eq!(routed.trace.answer_stats.end().unwrap().0.usage.output_tokens, Some(20));
}
