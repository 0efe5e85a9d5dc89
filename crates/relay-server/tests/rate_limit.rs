//! The limits of clients, around a service that is not the relay's.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, its helpers included")]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Channel, Full};
use relay_server::auth::Client;
use relay_server::rate_limit::{ClientLimits, LimitKind, RateLimitLayer, RateLimited};
use relay_server::respond::RespondLayer;
use tokio::time::{Instant, advance};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> ClientLimits {
    ClientLimits::default()
}

/// A request of `client` with a body of this length.
fn request(client: &str, length: usize) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::from(vec![b' '; length]));
    request.extensions_mut().insert(Client::new(client));
    request
}

/// A response with this content type and body.
fn response(content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().header("content-type", content_type).body(Full::new(body.into())).unwrap()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// A service within `limits` that answers every request with `answer`.
fn answering(
    limits: ClientLimits,
    answer: impl Fn() -> Result<Response<Full<Bytes>>, BoxError> + Clone,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<relay_server::rate_limit::LimitedBody<Full<Bytes>>>,
    Error = BoxError,
> + Clone {
    RateLimitLayer::new(limits).layer(service_fn(move |_: Request<Full<Bytes>>| std::future::ready(answer())))
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_are_refused_with_the_time_to_wait() {
    let inner =
        service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(response("text/plain", "x")) });
    let layer = RateLimitLayer::new(limits().with_requests(3)).with_client("free", limits());
    let service = RespondLayer::new().layer(layer.layer(inner));
    for remaining in ["2", "1", "0"] {
        let response = service.clone().oneshot(request("a", 0)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(response.headers(), "anthropic-ratelimit-requests-limit"), "3");
        assert_eq!(header(response.headers(), "anthropic-ratelimit-requests-remaining"), remaining);
        assert!(header(response.headers(), "anthropic-ratelimit-requests-reset").ends_with('Z'));
        assert!(!response.headers().contains_key("anthropic-ratelimit-tokens-limit"));
    }
    let refused = service.clone().oneshot(request("a", 0)).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(header(refused.headers(), "retry-after"), "20");
    assert_eq!(header(refused.headers(), "anthropic-ratelimit-requests-remaining"), "0");
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(
        body.starts_with(br#"{"type":"error","error":{"type":"rate_limit_error","message":"#),
        "{body:?}"
    );

    // Other clients are not affected, and one with limits of its own has those.
    assert_eq!(service.clone().oneshot(request("b", 0)).await.unwrap().status(), 200);
    for _ in 0..10 {
        let response = service.clone().oneshot(request("free", 0)).await.unwrap();
        assert!(!response.headers().contains_key("anthropic-ratelimit-requests-limit"));
    }
    advance(20 * SECOND).await;
    assert_eq!(service.clone().oneshot(request("a", 0)).await.unwrap().status(), 200);
    assert_eq!(service.clone().oneshot(request("a", 0)).await.unwrap().status(), 429);
}

/// Sends a request of 40 bytes to a client with 1000 tokens per minute, and asserts the tokens that remain after its response.
async fn check_tokens(answer: impl Fn() -> Response<Full<Bytes>> + Clone, expected: &str) {
    let mut service = answering(limits().with_tokens(1000), move || Ok(answer()));
    let response = service.ready().await.unwrap().call(request("a", 40)).await.unwrap();
    response.into_body().collect().await.unwrap();
    let next = service.ready().await.unwrap().call(request("a", 0)).await.unwrap();
    // The reservation of the second request is the typical output, which the first one has influenced.
    let remaining = header(next.headers(), "anthropic-ratelimit-tokens-remaining").to_owned();
    assert_eq!(remaining, expected);
}

const MESSAGE: &str = r#"{"id":"m","type":"message","usage":{"input_tokens":100,"cache_read_input_tokens":9000,"cache_creation_input_tokens":20,"output_tokens":30}}"#;

#[tokio::test(start_paused = true)]
async fn the_usage_of_a_response_replaces_the_estimate() {
    let events = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":100,\
                  \"cache_creation_input_tokens\":20,\"output_tokens\":1}}}\n\n\
                  event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":30}}\n\n\
                  event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    // 1000 - 150 - the typical output: 500 + 0.2 × (30 - 500).
    check_tokens(|| response("application/json; charset=utf-8", MESSAGE), "444").await;
    check_tokens(move || response("text/event-stream", events), "444").await;
    // The estimate stays: 1000 - 40 / 4 - 500 - 500.
    let compressed = || {
        let mut response = response("application/json", MESSAGE);
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    };
    check_tokens(compressed, "0").await;
    // A failed request uses no tokens.
    let failed = || {
        let mut response = response("application/json", "{}");
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        response
    };
    check_tokens(failed, "1000").await;
}

#[tokio::test(start_paused = true)]
async fn a_response_above_the_limit_is_paid_for_by_the_next_requests() {
    let used = r#"{"type":"message","usage":{"input_tokens":1000,"output_tokens":300}}"#;
    let mut service = answering(limits().with_tokens(1000), move || Ok(response("application/json", used)));
    let first = service.ready().await.unwrap().call(request("a", 40)).await.unwrap();
    first.into_body().collect().await.unwrap();
    let refused = service.ready().await.unwrap().call(request("a", 40)).await.unwrap_err();
    let refused = *refused.downcast::<RateLimited>().unwrap();
    assert_eq!((refused.kind, refused.limit), (LimitKind::Tokens, 1000));
    assert!((18..=30).contains(&refused.retry_seconds()), "{refused:?}");
    advance(refused.retry_seconds() as u32 * SECOND).await;
    assert!(service.ready().await.unwrap().call(request("a", 40)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_until_the_body_has_ended_or_is_dropped() {
    let inner = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, BoxError>(Response::new(Channel::<Bytes, BoxError>::new(1).1))
    });
    let service = RateLimitLayer::new(limits().with_concurrent(2)).layer(inner);
    let call = |client: &str| service.clone().oneshot(request(client, 0));
    let (first, second) = (call("a").await.unwrap(), call("a").await.unwrap());
    let refused = call("a").await.map(drop).unwrap_err();
    let refused = refused.downcast_ref::<RateLimited>().unwrap();
    assert_eq!((refused.kind, refused.retry_seconds()), (LimitKind::Concurrent, 1));
    assert!(call("b").await.is_ok());
    drop(first);
    let third = call("a").await.unwrap();
    assert!(call("a").await.is_err());
    assert!(second.into_body().collect().await.is_ok());
    assert!(call("a").await.is_ok());
    drop(third);
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_answered_with_the_limits() {
    let service = answering(limits().with_requests(5), || Err("broken".into()));
    let response = RespondLayer::new().layer(service).oneshot(request("a", 0)).await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(header(response.headers(), "anthropic-ratelimit-requests-remaining"), "4");
}

#[tokio::test]
async fn a_function_names_the_clients_and_the_others_are_not_limited() {
    let inner =
        service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(response("text/plain", "x")) });
    let by_tenant =
        |headers: &HeaderMap, _: &http::Extensions| Some(headers.get("x-tenant")?.to_str().ok()?.into());
    let service = RateLimitLayer::new(limits().with_requests(1)).with_identify(by_tenant).layer(inner);
    let of = |tenant: &str| Request::builder().header("x-tenant", tenant).body(Full::default()).unwrap();
    assert!(service.clone().oneshot(of("a")).await.is_ok());
    assert!(service.clone().oneshot(of("a")).await.is_err());
    assert!(service.clone().oneshot(of("b")).await.is_ok());
    for _ in 0..3 {
        assert!(service.clone().oneshot(request("a", 0)).await.is_ok());
    }
}

/// The limits as numbers: what a client may have used, and what it has in flight.
struct Model {
    requests: f64,
    tokens: f64,
    in_flight: u32,
    at: Instant,
}

impl Model {
    const REQUESTS: u32 = 40;
    const TOKENS: u64 = 20_000;
    const CONCURRENT: u32 = 3;

    fn refill(&mut self) {
        let minutes = self.at.elapsed().as_secs_f64() / 60.0;
        self.at = Instant::now();
        self.requests = (self.requests + f64::from(Self::REQUESTS) * minutes).min(f64::from(Self::REQUESTS));
        self.tokens = (self.tokens + Self::TOKENS as f64 * minutes).min(Self::TOKENS as f64);
    }
}

#[tokio::test(start_paused = true)]
async fn no_sequence_of_requests_exceeds_a_limit_by_more_than_the_requests_in_flight() {
    let limits =
        limits().with_requests(Model::REQUESTS).with_tokens(Model::TOKENS).with_concurrent(Model::CONCURRENT);
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let inner = service_fn(|request: Request<Full<Bytes>>| async move {
            let used = *request.extensions().get::<u64>().unwrap();
            let body = format!(r#"{{"type":"message","usage":{{"input_tokens":{used},"output_tokens":0}}}}"#);
            Ok::<_, BoxError>(response("application/json", body))
        });
        let service = RateLimitLayer::new(limits).layer(inner);
        let (full_requests, full_tokens) = (f64::from(Model::REQUESTS), Model::TOKENS as f64);
        let mut model =
            Model { requests: full_requests, tokens: full_tokens, in_flight: 0, at: Instant::now() };
        let mut open = Vec::new();
        let mut admitted = 0;
        for _ in 0..600 {
            advance(Duration::from_millis(random.u64(0..1500))).await;
            model.refill();
            if random.u8(0..3) == 0 && !open.is_empty() {
                let (response, used): (Response<_>, u64) = open.swap_remove(random.usize(0..open.len()));
                BodyExt::collect(response.into_body()).await.unwrap();
                model.in_flight -= 1;
                // The debt of one period is the largest that a client has.
                model.tokens = (model.tokens - used as f64).max(-0.9 * full_tokens);
                continue;
            }
            let used = random.u64(1..4000);
            let mut request = request("a", used as usize * 4);
            request.extensions_mut().insert(used);
            if let Ok(response) = service.clone().oneshot(request).await {
                assert!(model.in_flight < Model::CONCURRENT, "seed {seed}: too many in flight");
                assert!(model.requests > 1.0 - 1e-6, "seed {seed}: too many requests");
                // A full bucket refills what is reserved for the requests in flight.
                let reserved = f64::from(Model::CONCURRENT) * 4500.0;
                assert!(model.tokens > -reserved, "seed {seed}: {} tokens are left", model.tokens);
                model.in_flight += 1;
                model.requests -= 1.0;
                admitted += 1;
                open.push((response, used));
            }
        }
        assert!(admitted > 30, "seed {seed}: only {admitted} requests were admitted");
    }
}
